"""The models of a study as they were loaded, for the terminal: one line each, or JSON for scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

from backends.checkpoints.loader_report import LoaderReport, ModelCheck


def lines(checks: Mapping[str, ModelCheck]) -> Iterator[str]:
    """What differs of each model, its notes below it."""
    width = max(map(len, checks), default=0)
    for name, check in checks.items():
        if check.report is None:
            same = "loaded twice it drew the same picture" if not check.identity else check.identity
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
