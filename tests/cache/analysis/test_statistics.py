"""Tests of differences against hand computation, SciPy and brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.analysis.statistics import (
    holm,
    mcnemar,
    paired_difference,
    permutation_test,
)

SAMPLE = np.random.default_rng(3).beta(2, 5, 60)


def test_a_paired_difference_is_narrower_than_the_values() -> None:
    random = np.random.default_rng(0)
    low, high = paired_difference(SAMPLE + 0.1 + random.normal(0, 0.01, 60), SAMPLE)
    assert low < 0.1 < high and high - low < 0.02


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=8))
def test_small_permutation_tests_are_exact(pairs: list[tuple[int, int]]) -> None:
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    differences = [a - b for a, b in pairs]
    observed = abs(sum(differences))
    signs = list(itertools.product([1, -1], repeat=len(pairs)))
    reached = sum(abs(sum(s * d for s, d in zip(row, differences, strict=True))) >= observed for row in signs)
    assert permutation_test(ours, theirs) == pytest.approx(reached / len(signs))


def test_large_permutation_tests_agree_with_scipy() -> None:
    from scipy.stats import permutation_test as scipys

    random = np.random.default_rng(1)
    ours, theirs = random.random(40), random.random(40) - 0.08
    expected = scipys(
        (ours, theirs), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=9999, rng=random
    ).pvalue
    assert permutation_test(ours, theirs) == pytest.approx(expected, abs=0.02)
    assert permutation_test(ours, ours) == 1.0


def test_mcnemar_by_hand() -> None:
    ours = [True] * 6 + [False] * 1 + [True] * 5
    theirs = [False] * 6 + [True] * 1 + [True] * 5
    assert mcnemar(ours, theirs) == pytest.approx(2 * (1 + 7) / 2**7)
    assert mcnemar(ours, ours) == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
