"""Rows of the scoreboard of what came out under attack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from backends.metrics import METRICS
from backends.metrics.attacked import attacked_key, recovered_key, strongest_key
from backends.metrics.key import MetricKey
from backends.study import Part, Study
from cache.analysis.robustness.ladder import PLAIN, STRONGEST, Rung


def attack_rows(study: Study, rungs: Sequence[Rung]) -> list[tuple[object, ...]]:
    """metric, role, key, value, low, high, n for every attack, and for the strongest with the share recovered."""
    rows: list[tuple[object, ...]] = []
    for rung in rungs:
        n = rung.found.n
        if rung.attack == PLAIN:
            continue
        if rung.attack == STRONGEST:
            score, share = (make(rung.measure, study.modality) for make in (strongest_key, recovered_key))
            rows.append(_row(score, rung.value, rung.low, rung.high, n))
            if rung.found.apart:
                rows.append(_row(share, rung.found.share, rung.found.low, rung.found.high, n))
        elif rung.measure == "says" and attacked_key(rung.attack) in METRICS:
            rows.append(_row(attacked_key(rung.attack), rung.value, rung.low, rung.high, n))
    return [row for row in rows if not math.isnan(float(str(row[3])))]


def reference_rows(part: Part, attacked: Mapping[str, Sequence[Rung]]) -> list[tuple[object, ...]]:
    """The same for the original or the retained model, the ceiling and the floor of all others; without intervals."""
    rows: dict[str, tuple[object, ...]] = {}
    for rung in (each for several in attacked.values() for each in several):
        key = attacked_key(rung.attack)
        if rung.measure != "says" or key not in METRICS:
            continue
        value = rung.found.ceiling if part == "original" else rung.found.floor
        if not math.isnan(value) and (part == "original" or rung.floor_is == part):
            rows.setdefault(key, _row(key, value, math.nan, math.nan, rung.found.n))
    return list(rows.values())


def _row(metric: str, value: float, low: float, high: float, n: int) -> tuple[object, ...]:
    return metric, "forget", str(MetricKey("forget", metric)), value, low, high, n
