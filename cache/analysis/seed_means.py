"""A method over its training seeds: the mean of its runs, with an interval that has both levels, probes and seeds.

The probes are those of every run, so their part is read from resamples that all runs share. The seeds' part is a t
interval over the runs' values. Both are put together by the distances of their ends from the mean (MOVER, Zou and
Donner 2008), which keeps the skew of the probes' part. What a seed does to single probes is counted in both parts, so
that the interval is rather too wide.
"""

from __future__ import annotations

from collections.abc import Collection
from math import sqrt

import numpy as np
import pandas as pd

from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.study import ModelSpec, Study
from cache.analysis.probe_draws import bounds_of
from cache.analysis.resampling import CONFIDENCE, Floats, Interval, interval_of
from cache.analysis.scoreboard import Scoreboard

COLUMNS = ("method", "step", "seeds", "over", "key", "value", "low", "high")


def over_seeds(study: Study, board: Scoreboard, keys: Collection[str] | None = None) -> pd.DataFrame:
    """Means over training seeds of all but p-values, for each method and step of which the study names several seeds.

    Args:
        study: the study.
        board: its numbers.
        keys: role/metric of those that are wanted; None for all.

    Returns:
        Columns method, step (Int64), seeds (how many have a value), over (which), key, value, low, high (95 %, NaN
        where it cannot be told).
    """
    rows = []
    for (method, step), runs in _groups(study).items():
        names = [spec.name for spec in runs]
        measured = board.frame[board.frame["model"].isin(names)]
        for key in dict.fromkeys(map(str, measured["key"])):
            metric = METRICS.get(MetricKey.parse(key).undivided.name)
            if (keys is not None and key not in keys) or (metric is not None and metric.card.p_value):
                continue
            drawn = board.drawn(names, key)
            known = np.flatnonzero(~np.isnan(drawn[:, 0]))
            if len(known) > 1:
                low, high = seed_interval(drawn[known], bounds_of(key))
                over = ", ".join(str(runs[place].seed) for place in known)
                rows.append((method, step, len(known), over, key, float(drawn[known, 0].mean()), low, high))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"step": "Int64", "seeds": int, "value": float})


def seed_interval(drawn: Floats, bounds: tuple[float, float | None] = (-np.inf, None)) -> Interval:
    """95 % interval of the mean over seeds; NaN below two seeds, or where one has no resamples.

    Args:
        drawn: shape (seeds, 1 + B): the value of each run, then that of every resample, which all runs share.
        bounds: smallest and largest possible value.
    """
    from scipy.special import stdtrit

    seeds = len(drawn)
    if seeds < 2:
        return Interval(np.nan, np.nan)
    mean = float(drawn[:, 0].mean())
    low, high = map(float, interval_of(drawn.mean(axis=0)))
    half = float(stdtrit(seeds - 1, (1 + CONFIDENCE) / 2)) * float(drawn[:, 0].std(ddof=1)) / sqrt(seeds)
    least, most = mean - sqrt((mean - low) ** 2 + half**2), mean + sqrt((high - mean) ** 2 + half**2)
    return Interval(max(least, bounds[0]), most if bounds[1] is None else min(most, bounds[1]))


def _groups(study: Study) -> dict[tuple[str, int | None], list[ModelSpec]]:
    """Runs of one method (or of the retained model) and step, where they are of different seeds."""
    groups: dict[tuple[str, int | None], list[ModelSpec]] = {}
    for spec in study.models:
        if spec.seed is not None and spec.part != "original":
            groups.setdefault((spec.method or spec.part, spec.step), []).append(spec)
    return {
        key: sorted(runs, key=lambda spec: spec.seed or 0)
        for key, runs in groups.items()
        if len({spec.seed for spec in runs}) == len(runs) > 1
    }
