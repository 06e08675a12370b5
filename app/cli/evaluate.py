"""`unlearnboard evaluate`: every model of a study on every probe, except for what was done before."""

from __future__ import annotations

import argparse
import difflib
import json
import shlex
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_cache, add_rehash, add_study
from app.cli.terminal import ProgressLines, ctrl_c_flag, printable
from app.cli.usable_models import check_models, print_unusable
from backends.errors import StudyError
from backends.study import PROTOCOL_NAMES, ProtocolName, Study

if TYPE_CHECKING:
    from app.cli.options import Subparsers
    from cache.analysis.scoreboard import Scoreboard
    from cache.store import Store


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard evaluate`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="run every model of a study on its probes; finished work is skipped",
        description="Run every model of a study on every probe and store the evidence. Ctrl-C stops; the "
        "same command resumes, and never runs a model twice on one probe. Two evaluations that "
        "share a cache divide the models between them.",
        allow_abbrev=False,
    )
    add_study(parser)
    parser.add_argument("--models", metavar="NAME", nargs="+", help="only these models, by name")
    parser.add_argument(
        "--device", choices=["cpu", "cuda", "mps"], help="device (default: the fastest available)"
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOL_NAMES,
        help="how language models are prompted and scored (default: the study's, else corrected: the standard one)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one line of JSON for each metric and model; progress goes to stderr",
    )
    parser.add_argument("--metrics", metavar="KEY", nargs="+", help="with --json: only these")
    add_cache(parser)
    add_rehash(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Evaluate, and say how to see the result."""
    chosen = _json_metrics(options)
    return evaluate(options.study, options.models, options.device, chosen, options.protocol)


def evaluate(
    path: Path,
    names: Sequence[str] | None,
    device: str | None,
    as_json: Sequence[str] | None = None,
    protocol: ProtocolName | None = None,
) -> int:
    """Run the models of a study on all its probes, except for what was done before.

    Args:
        path: the study file.
        names: models; None is all whose weights are here.
        device: "cpu", "cuda" or "mps"; None takes the fastest available.
        as_json: keys of the metrics to print as JSON, none for all; None prints a summary for people.
        protocol: how language models are asked; None is what the study says.
    """
    from app.shared.probe_listing import of_sets
    from app.shared.settings import open_cache
    from backends.checkpoints.resolved import ResolvedModels
    from backends.pool import ModelPool
    from backends.study.file import read_study
    from cache.evaluate.context import EvaluationContext
    from cache.evaluate.evaluation import evaluate as run_evaluation
    from cache.evaluate.incomplete import IncompleteEvaluation

    study = read_study(path)
    if protocol is not None and study.modality != "text":
        raise StudyError(
            "only studies of language models have protocols", where="--protocol", how="Leave it out"
        )
    study = replace(study, protocol=protocol or study.protocol)
    _check_names(study, names)
    store = open_cache()
    models = ResolvedModels(study)
    wrong = check_models(study, models)
    print_unusable(wrong)
    here = [name for name, model in models.items() if model.can_be_evaluated]
    wanted = list(names or [model.name for model in study.models if model.name in {*here, *wrong}])
    if not set(wanted) & set(here):
        absent = f"the weights of {', '.join(names or ())} are not on this machine"
        raise StudyError(
            f"{absent}, only recorded answers can be shown"
            if names
            else "no model of this study has its weights on this machine",
            where=str(path),
        )
    for each in study.probe_sets:
        for row in each.left_out:
            print(printable(f"{each.name}: left out {row}"), file=sys.stderr)
    for line in of_sets(study.probe_sets):
        print(printable(line), file=sys.stdout if as_json is None else sys.stderr)
    started = time.monotonic()
    refused: IncompleteEvaluation | None = None
    notes: dict[str, None] = {}
    lines = ProgressLines(None if as_json is None else sys.stderr)
    try:
        with ctrl_c_flag() as stop:
            pool = ModelPool(device)
            run_evaluation(
                EvaluationContext(study, store, pool, models, stop),
                wanted,
                lines.show,
                lambda note: notes.setdefault(note),
            )
    except IncompleteEvaluation as error:
        refused = error  # said at the end: what could be evaluated has values
    finally:
        lines.close()
        for note in notes:
            print(printable(note), file=sys.stderr)
    if as_json is not None:
        from cache.analysis.scoreboard import scoreboard

        named = study.protocol if study.modality == "text" else ""
        for line in json_values(scoreboard(study, store), wanted, as_json, named):
            print(line)
    if refused is not None:
        raise refused
    if as_json is not None:
        return 0
    for sentence in _lost_utility(study, store, wanted):
        print(printable(sentence))
    seconds = time.monotonic() - started
    under = f" under the protocol {study.protocol}" if study.protocol != "corrected" else ""
    print(
        f"{len(wanted)} of {len(study.models)} models are evaluated{under} ({seconds:.0f} s). See them with:"
    )
    print(f"  unlearnboard {shlex.quote(str(path))}")
    return 0


def _json_metrics(options: argparse.Namespace) -> list[str] | None:
    """Keys of the metrics that `evaluate` prints as JSON, none for all; None where it prints for people."""
    from app.cli.metrics import check_keys

    check_keys(options.metrics or (), "--metrics")
    if options.metrics and not options.json:
        raise StudyError("--metrics only selects what --json prints", how="Add --json")
    return list(options.metrics or ()) if options.json else None


def json_values(
    board: Scoreboard, models: Collection[str], metrics: Sequence[str] = (), protocol: str = "corrected"
) -> Iterator[str]:
    """Every value of these models as JSON, one a line; null where it is not defined."""
    from app.cli.metrics import plain

    frame = board.frame[board.frame["model"].isin(list(models))]
    if metrics:
        frame = frame[frame["metric"].isin(metrics)]
    for row in frame.astype(object).to_dict("records"):
        values = {str(name): plain(value) for name, value in row.items()}
        yield json.dumps(values | {"protocol": protocol}, ensure_ascii=False)


def _check_names(study: Study, names: Sequence[str] | None) -> None:
    known = [model.name for model in study.models]
    for name in names or ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            how = f"Did you mean {close[0]!r}?" if close else f"Its models are: {', '.join(known)}"
            raise StudyError(f"the study has no model {name!r}", where="--models", how=how)


def _lost_utility(study: Study, store: Store, models: Sequence[str]) -> list[str]:
    from cache.analysis.lost_utility import lost_utility
    from cache.analysis.scoreboard import scoreboard

    return lost_utility(scoreboard(study, store), study.original.name, models)
