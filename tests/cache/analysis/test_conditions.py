"""Whether models meet a condition, judged by interval, and which is the best of those that do."""

from __future__ import annotations

import numpy as np
import pytest

from cache.analysis.conditions import Met, best_by_group, met
from cache.analysis.frontier import Floats

BASE = np.full(201, 0.70)
NONE = np.zeros(201)


def around(value: float, spread: float) -> Floats:
    """A value with 200 resamples spread evenly about it."""
    return np.concatenate([[value], value + spread * np.linspace(-1, 1, 200)])


@pytest.mark.parametrize(
    ("value", "spread", "outcome"),
    [(0.75, 0.02, "pass"), (0.699, 0.02, "borderline"), (0.701, 0.02, "borderline"), (0.60, 0.02, "fail")],
)
def test_only_a_whole_interval_passes_or_fails(value: float, spread: float, outcome: str) -> None:
    assert met(around(value, spread), BASE, NONE, "higher").outcome == outcome


def test_short_by_little_inside_its_own_interval_is_borderline_with_its_chance() -> None:
    found = met(around(0.691, 0.02), BASE, np.full(201, 0.007), "higher")  # 0.693 is asked for
    assert found.outcome == "borderline"
    assert found.chance == pytest.approx(0.45, abs=0.01)


def test_the_allowance_goes_to_the_worse_side() -> None:
    assert met(around(0.12, 0.001), BASE * 0 + 0.1, NONE + 0.03, "lower").outcome == "pass"
    assert met(around(0.14, 0.001), BASE * 0 + 0.1, NONE + 0.03, "lower").outcome == "fail"


def test_differences_are_paired() -> None:
    wide = around(0.7, 0.3)
    assert met(wide + 0.001, wide, NONE, "higher") == Met("pass", 1.0)


def test_without_resamples_the_value_alone_decides_and_no_chance_is_told() -> None:
    alone = np.array([0.71])
    found = met(alone, np.array([0.70]), np.zeros(1), "higher")
    assert found.outcome == "pass" and np.isnan(found.chance)
    assert met(np.array([np.nan]), np.array([0.70]), np.zeros(1), "higher").outcome == "unknown"


def test_the_best_of_each_group_passes_rather_than_being_borderline_and_is_a_candidate() -> None:
    found = [
        Met("pass", 1.0),
        Met("borderline", 0.5),
        Met("fail", 0.0),
        Met("borderline", 0.4),
        Met("pass", 1.0),
    ]
    cost = np.array([0.5, 0.9, 1.0, 0.8, np.nan])
    groups = ["A", "A", "A", "B", "C"]
    assert best_by_group(groups, cost, "higher", found, [True] * 5) == {"A": 0, "B": 3, "C": None}
    assert best_by_group(groups, cost, "higher", found, [False, *[True] * 4])["A"] == 1
    assert best_by_group(groups, cost, "lower", [Met("pass", 1.0)] * 5, [True] * 5)["A"] == 0
