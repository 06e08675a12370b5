"""Intervals and tests against hand computation, SciPy and brute force."""

import itertools
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.analysis.statistics import (
    bootstrap_interval,
    bootstrap_means,
    bootstrap_pairs,
    holm,
    mcnemar,
    paired_difference,
    percentile_interval,
    permutation_test,
    resample_counts,
)

SAMPLE = np.random.default_rng(3).beta(2, 5, 60)


def test_resamples_draw_n_of_n_and_are_the_same_every_time() -> None:
    counts = resample_counts(7, 50, 1)
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(counts, resample_counts.__wrapped__(7, 50, 1))
    assert not np.array_equal(counts, resample_counts(7, 50, 2))


def test_one_matrix_product_is_what_drawing_row_by_row_gives() -> None:
    values = np.array([[1.0, 10.0], [2.0, np.nan], [4.0, 40.0]])
    counts = resample_counts(3, 200)
    for row, means in zip(counts, bootstrap_means(values, 200), strict=True):
        drawn = np.repeat(values, row.astype(int), axis=0)
        assert means[0] == pytest.approx(drawn[:, 0].mean())
        second = drawn[:, 1][~np.isnan(drawn[:, 1])]
        assert means[1] == pytest.approx(second.mean()) if len(second) else np.isnan(means[1])


def test_pairs_are_resampled_on_both_sides() -> None:
    pairs = np.array([[0.0, 1.0], [0.5, 1.0], [1.0, 0.0]])
    rows, columns = resample_counts(3, 100, 0).astype(int), resample_counts(2, 100, 1).astype(int)
    for drawn_rows, drawn_columns, mean in zip(rows, columns, bootstrap_pairs(pairs, 100), strict=True):
        drawn = np.repeat(np.repeat(pairs, drawn_rows, axis=0), drawn_columns, axis=1)
        assert mean == pytest.approx(drawn.mean())
    assert np.isnan(bootstrap_pairs(pairs[:0], 5)).all()


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_intervals_are_near_scipys(method: Literal["percentile", "BCa"]) -> None:
    from scipy.stats import bootstrap

    found = bootstrap_interval(SAMPLE, method=method, resamples=4000)
    theirs = bootstrap((SAMPLE,), np.mean, n_resamples=4000, method=method, rng=np.random.default_rng(9))
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.1 * width)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.1 * width)


def test_percentile_intervals_cover_the_true_mean_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    samples = random.normal(0.5, 1, (80, 300))
    low, high = percentile_interval(bootstrap_means(samples))
    covered = np.mean((low <= 0.5) & (high >= 0.5))
    assert 0.89 < covered < 0.99


def test_intervals_of_little_or_constant_data() -> None:
    assert np.isnan(bootstrap_interval([1.0])).all()
    assert bootstrap_interval([0.25] * 5, method="BCa") == (0.25, 0.25)
    assert bootstrap_interval([0.25, np.nan, 0.25]) == (0.25, 0.25)


def test_a_paired_difference_is_narrower_than_the_values() -> None:
    shifted = SAMPLE + 0.1
    low, high = paired_difference(shifted, SAMPLE)
    assert low == pytest.approx(0.1) and high == pytest.approx(0.1)


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
