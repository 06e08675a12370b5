"""A method over several targets: the mean of what its models, each made to forget another concept, have on a metric.

UnlearnCanvas reports UA, IRA and CRA so, averaged over its styles and objects. From the kept per-probe numbers alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from backends.metrics import METRICS, ImageMetric
from backends.metrics.key import MetricKey
from backends.study import ModelSpec, Study
from backends.study.targets import has_targets, target_name, target_of
from cache.analysis.resampling import interval_of
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.study_rows import Replicates

COLUMNS = ("method", "step", "targets", "over", "metric", "role", "key", "value", "low", "high", "original")


@dataclass(frozen=True, slots=True)
class _Group:
    """Models of one method and step: target in words -> models that were made to forget it."""

    method: str
    step: int | None
    models: dict[str, list[str]]


def over_targets(study: Study, board: Scoreboard) -> pd.DataFrame:
    """Means over targets of every metric of pictures, for each method and step; empty where models share one target.

    Models of one target (seeds of one method) are averaged first, so that each target counts once.

    Returns:
        Columns method, step (Int64), targets (how many have a value), over (their names), metric, role, key, value,
        low, high (95 %, prompts resampled, targets as they are), original (the original's mean over the same targets).
    """
    rows: list[tuple[object, ...]] = []
    measured = board.frame[board.frame["part"] == "unlearned"]
    for group in _groups(study):
        members = {name for names in group.models.values() for name in names}
        for key in dict.fromkeys(measured[measured["model"].isin(members)]["key"]):
            read = MetricKey.parse(str(key))
            if isinstance(METRICS.get(read.name), ImageMetric):
                rows += _row(study, board, group, str(key), read.metric, read.role)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"step": "Int64", "targets": int, "value": float, "original": float})


def _groups(study: Study) -> list[_Group]:
    groups: dict[tuple[str, int | None], _Group] = {}
    for spec in study.models if has_targets(study) else ():
        if spec.part == "unlearned":
            found = groups.setdefault(_key(spec), _Group(*_key(spec), {}))
            found.models.setdefault(target_name(target_of(study, spec.name)), []).append(spec.name)
    return list(groups.values())


def _key(spec: ModelSpec) -> tuple[str, int | None]:
    return spec.method or spec.name, spec.step


def _row(
    study: Study, board: Scoreboard, group: _Group, key: str, metric: str, role: str
) -> list[tuple[object, ...]]:
    ours, theirs = dict[str, Replicates](), list[float]()
    for target, names in group.models.items():
        drawn = board.drawn(names, key)
        drawn = drawn[~np.isnan(drawn[:, 0])]
        if len(drawn):
            ours[target] = drawn.mean(axis=0)
            theirs.append(float(board.drawn([study.original.name], key, under=names[0])[0, 0]))
    if not ours:
        return []
    mean = np.stack(list(ours.values())).mean(axis=0)
    low, high = interval_of(mean)
    known = [value for value in theirs if not np.isnan(value)]
    original = float(np.mean(known)) if len(known) == len(theirs) else np.nan
    head = (group.method, group.step, len(ours), "; ".join(ours))
    return [(*head, metric, role, key, float(mean[0]), float(low), float(high), original)]
