"""`unlearnboard models`: show what loading each model did, and what differs from the original."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from app.cli.options import add_cache, add_device, add_rehash, add_study
from app.cli.status import OK, USER_ERROR
from app.cli.terminal import printable
from app.cli.usable_models import check_models as unusable_models
from backends.checkpoints.loader_report import LoaderReport, ModelCheck
from backends.errors import CheckpointError, ModelError

if TYPE_CHECKING:
    from app.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard models`."""
    parser = subparsers.add_parser(
        "models",
        help="show what loading each model did, and what differs from the original",
        description="Load the models of a study and report for each the kind of checkpoint, what loading did, "
        "which tensors differ from the original's and by how much, and any other difference "
        "(scheduler, VAE, types). The exit status is 2 if a model cannot be used, or if the original "
        "does not generate the same picture twice.",
        allow_abbrev=False,
    )
    add_study(parser)
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each model")
    add_cache(parser)
    add_rehash(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Load the models of a study, once for each, and print what loading did and what differs from the original."""
    from app.shared.settings import open_cache
    from backends.checkpoints.identity import available
    from backends.extras import check_extra
    from backends.pool import ModelPool
    from backends.study.file import read_study
    from cache.evaluate.incomplete import with_model_name
    from cache.store.model_checks import check_models, model_checks

    study = read_study(options.study)
    wrong = unusable_models(study)
    if any(available(model) for model in study.models):
        check_extra(study.modality)
    store, pool = open_cache(), ModelPool(options.device)
    warnings: list[str] = []
    for model in study.models:
        if model.name not in wrong and available(model):
            try:
                warnings += check_models(study, store, pool, [model.name])
            except (CheckpointError, ModelError) as error:  # the other models are told of all the same
                wrong[model.name] = with_model_name(model.name, error)
    checks = model_checks(study, store, [spec.name for spec in study.models])
    for line in (as_json if options.json else lines)(checks):
        print(line if options.json else printable(line))
    for sentence in (*wrong.values(), *warnings):
        print(printable(sentence), file=sys.stderr)
    unsteady = any(check.identity for check in checks.values())
    return USER_ERROR if wrong or unsteady else OK


def lines(checks: Mapping[str, ModelCheck]) -> Iterator[str]:
    """What differs of each model, its notes below it."""
    width = max(map(len, checks), default=0)
    for name, check in checks.items():
        if check.report is None:
            same = "loaded twice, it generated the same picture" if not check.identity else check.identity
            yield f"{name:<{width}}  {same}"
            continue
        yield f"{name:<{width}}  {_summary(check.report)}"
        for sentence in (*check.report.notes, *check.report.differences):
            yield f"{'':<{width}}  - {sentence}"


def as_json(checks: Mapping[str, ModelCheck]) -> Iterator[str]:
    """One line of JSON for each model."""
    for name, check in checks.items():
        values = check.as_json()
        for block in (values["report"] or {}).get("blocks", []):
            if not math.isfinite(block["relative_l2"]):
                block["relative_l2"] = None
        yield json.dumps({"model": name, **values}, ensure_ascii=False)


def _summary(report: LoaderReport) -> str:
    furthest = max(report.blocks, key=lambda block: block.relative_l2, default=None)
    moved = (
        f", {furthest.component}.{furthest.block} moved most ({furthest.relative_l2:.3f})" if furthest else ""
    )
    if not report.parameters:
        return f"{report.shape}: {report.matched} tensors matched, not compared with the original"
    added = f", {report.added:,} parameters added" if report.added else ""
    rounded = f", {report.rounded} more by rounding only" if report.rounded else ""
    if not report.share:
        return f"{report.shape}: {report.matched} tensors matched, none differs from the original's{rounded}"
    return (
        f"{report.shape}: {report.matched} tensors matched, {report.changed} differ{rounded}, "
        f"{100 * report.share:.2f} % of the parameters{moved}{added}"
    )
