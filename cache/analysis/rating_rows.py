"""What follows from people's ratings: rows of a scoreboard, and how far the ratings can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backends.metrics.key import MetricKey
from backends.metrics.ratings import win_rate_key
from backends.study import Study
from cache.analysis.probe_draws import grouped
from cache.analysis.resampling import bootstrap_interval
from cache.store.ratings import Rating

TIE = 0.5


def rating_rows(study: Study, rated: Sequence[Rating], name: str) -> list[tuple[object, ...]]:
    """metric, role, key, value, low, high, n of a model's win rate on each role that it was rated on."""
    metric = win_rate_key(study.modality)
    rows: list[tuple[object, ...]] = []
    own = [each for each in rated if not each.is_catch and name in (each.left, each.right)]
    for role in dict.fromkeys(each.role for each in own):
        ratings = [each for each in own if each.role == role]
        values = np.array([score(each, name) for each in ratings], np.float64)
        groups = grouped(each.probe for each in ratings)
        low, high = bootstrap_interval(values, bounds=(0.0, 1.0), groups=groups)
        key = str(MetricKey(role, metric))
        rows.append((metric, role, key, float(values.mean()), float(low), float(high), len(ratings)))
    return rows


def score(rating: Rating, name: str) -> float:
    """1 where the model won, 0 where it lost, a half where neither did."""
    if rating.choice in ("same", "both bad"):
        return TIE
    return float((rating.left if rating.choice == "left" else rating.right) == name)


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far ratings can be trusted.

    Attributes:
        rated: comparisons of two models.
        catch_trials: comparisons of a model with itself, and how many of these were called equal (`caught`).
        repeated: comparisons that were rated more than once.
        alpha: Krippendorff's alpha (2011) for nominal ratings, over repeated comparisons: 1 where all agree, 0 where
            they agree as chance would; NaN where nothing was rated twice, or everything was rated alike.
    """

    rated: int
    caught: int
    catch_trials: int
    repeated: int
    alpha: float


def reliability(rated: Sequence[Rating]) -> Reliability:
    """What is known of the ratings themselves."""
    caught = [each.choice in ("same", "both bad") for each in rated if each.is_catch]
    units: dict[tuple[str, int, str, str], list[str]] = {}
    for each in rated:
        if not each.is_catch:
            first, second = sorted((each.left, each.right))
            better = {"left": each.left, "right": each.right}.get(each.choice, each.choice)
            units.setdefault((each.probe, each.seed, first, second), []).append(better)
    several = [said for said in units.values() if len(said) > 1]
    return Reliability(
        rated=sum(map(len, units.values())),
        caught=sum(caught),
        catch_trials=len(caught),
        repeated=len(several),
        alpha=nominal_alpha(several),
    )


def nominal_alpha(units: Sequence[Sequence[str]]) -> float:
    """Krippendorff's alpha for nominal values; each unit is what was said of one thing, twice or more.

    Source: Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C.
    """
    totals: Counter[str] = Counter()
    disagreeing = 0.0
    for unit in units:
        counts = Counter(unit)
        totals.update(unit)
        disagreeing += (len(unit) ** 2 - sum(n**2 for n in counts.values())) / (len(unit) - 1)
    n = totals.total()
    by_chance = n**2 - sum(count**2 for count in totals.values())
    return 1 - (n - 1) * disagreeing / by_chance if by_chance else float("nan")
