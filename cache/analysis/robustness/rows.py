"""Rows of the scoreboard of what came out under attack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from backends.metrics import METRICS
from backends.metrics.attacked import attacked_key, recovered_key, strongest_key
from backends.metrics.key import MetricKey
from backends.study import Modality, Part, Study
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
    return [row for row in rows if row[0] in METRICS and not math.isnan(float(str(row[3])))]


def reference_rows(
    part: Part, modality: Modality, attacked: Mapping[str, Sequence[Rung]]
) -> list[tuple[object, ...]]:
    """The same for the original or the retained model, the ceiling and the floor of all others; without intervals."""
    rows: dict[str, tuple[object, ...]] = {}
    for rung in (each for several in attacked.values() for each in several):
        key = attacked_key(rung.attack)
        if rung.measure != "says" or key not in METRICS or rung.attack == STRONGEST:
            continue
        value = rung.found.ceiling if part == "original" else rung.found.floor
        if not math.isnan(value) and (part == "original" or rung.floor_is == part):
            rows.setdefault(key, _row(key, value, math.nan, math.nan, rung.found.n))
    return [*rows.values(), *_strongest_reference(part, modality, attacked)]


def _strongest_reference(
    part: Part, modality: Modality, attacked: Mapping[str, Sequence[Rung]]
) -> list[tuple[object, ...]]:
    """Ceiling or floor under the strongest attack, on average over the models that it is the strongest on."""
    held: dict[str, list[float]] = {}
    for rung in (each for several in attacked.values() for each in several):
        value = rung.found.ceiling if part == "original" else rung.found.floor
        fits = part == "original" or rung.floor_is == part
        if rung.attack == STRONGEST and fits and not math.isnan(value):
            held.setdefault(strongest_key(rung.measure, modality), []).append(value)
    return [
        _row(key, sum(values) / len(values), math.nan, math.nan, len(values))
        for key, values in held.items()
        if key in METRICS
    ]


def _row(metric: str, value: float, low: float, high: float, n: int) -> tuple[object, ...]:
    return metric, "forget", str(MetricKey("forget", metric)), value, low, high, n
