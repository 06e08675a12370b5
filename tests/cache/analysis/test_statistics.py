"""Intervals and tests against hand computation, SciPy and brute force."""

from typing import Literal

import numpy as np
import pytest

from cache.analysis.statistics import (
    bootstrap_interval,
    bootstrap_means,
    bootstrap_pairs,
    percentile_interval,
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
