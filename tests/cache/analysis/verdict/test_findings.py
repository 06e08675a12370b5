"""A number held against a threshold: over it, within it, undecided, missing; at every boundary."""

from __future__ import annotations

import math

import pytest

from cache.analysis.verdict.comparisons import mover
from cache.analysis.verdict.findings import Comparison, decided, units_needed

NAN = math.nan
MEASURED = Comparison("forget/key_fact", 0.1, 0.0, 0.2, 0.0, "Retained", 0.1, 0.0, 0.2, 36, 6)


@pytest.mark.parametrize(
    ("excess", "low", "high", "outcome"),
    [
        (0.30, 0.06, 0.5, "yes"),  # all of the interval above
        (0.30, 0.05, 0.5, "undecided"),  # it touches the threshold
        (0.05, 0.00, 0.25, "no"),  # value on the threshold, interval on the reach
        (0.05, 0.00, 0.26, "undecided"),  # it reaches too far
        (0.06, 0.00, 0.20, "undecided"),  # the value is over, the interval is not
        (0.00, -1.0, 0.25, "no"),  # how far it goes below does not matter
        (0.30, NAN, NAN, "undecided"),
        (0.00, NAN, NAN, "undecided"),
        (0.00, -math.inf, math.inf, "undecided"),
        (NAN, NAN, NAN, "missing"),
        (NAN, 0.1, 0.2, "missing"),
    ],
)
def test_an_interval_decides(excess: float, low: float, high: float, outcome: str) -> None:
    finding = decided("says", MEASURED, excess, low, high, threshold=0.05, reach=0.25)
    assert finding.outcome == outcome
    assert bool(finding.measured) == (outcome != "missing")


def test_a_reach_below_the_threshold_is_the_threshold() -> None:
    assert decided("says", MEASURED, 0.3, 0.2, 0.4, threshold=0.4, reach=0.25).outcome == "no"
    assert decided("says", MEASURED, 0.3, 0.2, 0.41, threshold=0.4, reach=0.25).outcome == "undecided"


def test_more_subjects_decide_as_an_interval_narrows_with_their_root() -> None:
    over = decided("says", MEASURED, 0.15, -0.05, 0.4, 0.05, 0.25)  # half as wide needs four times as many
    assert (over.outcome, over.needed) == ("undecided", 6 * 4)
    within = decided("says", MEASURED, 0.05, 0.0, 0.45, 0.05, 0.25)
    assert within.needed == 6 * 4
    assert decided("says", MEASURED, 0.30, 0.05, 0.5, 0.05, 0.25).needed == 7  # it only just touches
    assert decided("says", MEASURED, 0.30, 0.06, 0.5, 0.05, 0.25).needed == 0


def test_no_number_is_named_where_none_would_decide() -> None:
    assert units_needed(6, 0.05, 0.0, math.inf, 0.05, 0.25) == 0
    assert units_needed(6, 0.05 + 1e-10, 0.0, 0.3, 0.05, 0.05) == 0  # the value is on the line
    assert units_needed(6, 0.0501, -0.5, 0.6, 0.05, 0.05) == 0  # hundreds of thousands
    assert units_needed(6, 0.3, math.nan, math.nan, 0.05, 0.25) == 0


def test_leaning_is_the_value_alone() -> None:
    assert decided("says", MEASURED, 0.06, 0.0, 0.2, 0.05, 0.25).leans
    assert not decided("says", MEASURED, 0.05, 0.0, 0.2, 0.05, 0.25).leans


def test_mover_is_the_formula_of_zou_and_donner() -> None:
    difference, low, high = mover((0.5, 0.4, 0.7), (0.2, 0.1, 0.25))
    assert difference == pytest.approx(0.3)
    assert low == pytest.approx(0.3 - (0.1**2 + 0.05**2) ** 0.5)
    assert high == pytest.approx(0.3 + (0.2**2 + 0.1**2) ** 0.5)
    assert all(math.isnan(end) for end in mover((0.5, NAN, NAN), (0.2, 0.1, 0.3))[1:])
