"""What an attack recovers: the share, its interval, and when nothing can be told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from cache.analysis.paired_tests import paired_test
from cache.analysis.robustness.recovered import REACH, Scores, recovered

SUBJECTS = [f"subject {place // 6}" for place in range(36)]
Floats = NDArray[np.float64]


def rates(*shares: float, seed: int = 0) -> list[Floats]:
    random = np.random.default_rng(seed)
    return [(random.random(36) < share).astype(float) for share in shares]


def test_a_share_is_the_way_from_the_floor_to_the_ceiling() -> None:
    floor, ceiling = np.full(36, 0.1), np.full(36, 0.9)
    found = recovered(Scores(np.full(36, 0.5), floor, ceiling, SUBJECTS))
    assert found.share == pytest.approx(0.5)
    assert found.low <= 0.5 <= found.high and found.n == 36 and found.groups == 6


def test_it_leaves_out_0_exactly_where_the_paired_test_does() -> None:
    seen = set()
    for seed in range(40):
        own, floor, ceiling = rates(0.05 + 0.3 * (seed % 4), 0.05, 0.95, seed=seed)
        found = recovered(Scores(own, floor, ceiling, SUBJECTS))
        p = paired_test(own, floor, groups=SUBJECTS, reach=REACH).p
        assert found.p == p
        if found.apart:
            assert (found.low > 0 or found.high < 0) == (p < 0.05), seed
            seen.add(p < 0.05)
    assert seen == {True, False}


@pytest.mark.parametrize(("at", "name"), [(0.0, "floor"), (1.0, "ceiling")])
def test_a_model_that_answers_exactly_as_another_is_not_known_without_doubt(at: float, name: str) -> None:
    floor, ceiling = rates(0.0, 0.97)
    same = floor if name == "floor" else ceiling
    found = recovered(Scores(same, floor, ceiling, SUBJECTS))
    assert found.share == pytest.approx(at)
    assert found.low < at - 0.2 and found.high > at + 0.2


def test_probabilities_that_differ_by_nothing_worth_naming_are_equal() -> None:
    floor = np.full(36, 1e-12)
    found = recovered(Scores(floor * 5, floor, rates(0.97)[0], SUBJECTS))
    assert found.share == 0 and found.p == 1


def test_nothing_is_told_where_floor_and_ceiling_are_not_apart() -> None:
    own, floor, ceiling = rates(0.5, 0.15, 0.15)
    found = recovered(Scores(own, floor, ceiling, SUBJECTS))
    assert not found.apart and math.isnan(found.share) and found.ceiling == ceiling.mean()


def test_one_subject_in_which_they_are_not_apart_does_not_hide_five() -> None:
    floor, ceiling = np.zeros(36), np.repeat([0.86, 0.9995, 0.9999, 0.99999, 1.0, 1.0], 6)
    # Five nearly equal differences and one other: the paired test alone says nothing.
    assert paired_test(ceiling, floor, groups=SUBJECTS).p > 0.05
    found = recovered(Scores(np.zeros(36), floor, ceiling, SUBJECTS))
    assert found.apart and found.share == 0 and math.isfinite(found.low) and math.isfinite(found.high)


def test_a_probe_without_one_of_the_three_scores_does_not_count() -> None:
    own, floor, ceiling = rates(0.5, 0.05, 0.95)
    whole = recovered(Scores(own[6:], floor[6:], ceiling[6:], SUBJECTS[6:]))
    own[:2], floor[2:4], ceiling[4:6] = math.nan, math.nan, math.nan
    assert recovered(Scores(own, floor, ceiling, SUBJECTS)) == whole
    assert recovered(Scores(own * math.nan, floor, ceiling, SUBJECTS)).n == 0
