"""Resampled means and AUCs against arithmetic by hand, exact intervals, and samples that say little."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta

from backends.metrics.privacy import auc
from cache.analysis import resampling
from cache.analysis.resampling import (
    ANYTHING,
    Bounds,
    Groups,
    Interval,
    bootstrap_areas,
    bootstrap_interval,
    bootstrap_means,
    interval_of,
    percentile_interval,
    resample_weights,
)

SHARE: Bounds = (0.0, 1.0)
LOSS: Bounds = (0.0, None)
SAMPLE = np.random.default_rng(3).beta(2, 5, 60)


def test_weights_are_exponential_and_the_same_every_time() -> None:
    weights = resample_weights(40, 2000, 1)
    assert weights.shape == (2000, 40) and (weights > 0).all()
    assert weights.mean() == pytest.approx(1, abs=0.02) and weights.std() == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(weights, resample_weights.__wrapped__(40, 2000, 1))
    assert not np.array_equal(weights, resample_weights(40, 2000, 2))


def test_without_ends_a_resample_is_a_weighted_mean_of_the_values_that_are_there() -> None:
    values = np.array([[1.0, 10.0], [2.0, np.nan], [4.0, 40.0]])
    for weights, means in zip(resample_weights(3, 50), bootstrap_means(values, 50), strict=True):
        assert means[0] == pytest.approx(np.average(values[:, 0], weights=weights))
        assert means[1] == pytest.approx(np.average([10.0, 40.0], weights=weights[[0, 2]]))


def test_models_share_weights_so_that_a_constant_difference_stays_constant() -> None:
    values = np.stack([SAMPLE, SAMPLE / 2], axis=1)
    drawn = bootstrap_means(values)
    np.testing.assert_allclose(drawn[:, 1], drawn[:, 0] / 2)
    alone = bootstrap_means(values[:, 1:], bounds=SHARE)
    both = bootstrap_means(values, bounds=[SHARE, SHARE])
    np.testing.assert_allclose(alone[:, 0], both[:, 1])


@pytest.mark.parametrize(("leaks", "n"), [(0, 12), (1, 12), (6, 12), (0, 36), (3, 36), (36, 36), (12, 400)])
def test_a_rate_has_the_interval_of_jeffreys(leaks: int, n: int) -> None:
    sample = np.append(np.ones(leaks), np.zeros(n - leaks))
    low, high = bootstrap_interval(sample, bounds=SHARE, resamples=20_000)
    exact = beta.ppf([0.025, 0.975], leaks + 0.5, n - leaks + 0.5)
    assert low == pytest.approx(exact[0] if leaks else 0, abs=0.05 * np.ptp(exact))
    assert high == pytest.approx(exact[1] if leaks < n else 1, abs=0.05 * np.ptp(exact))


def test_no_leak_among_few_probes_is_not_taken_for_none_at_all() -> None:
    assert bootstrap_interval(np.zeros(12), bounds=SHARE).low == 0
    assert 0.15 < bootstrap_interval(np.zeros(12), bounds=SHARE).high < 0.26
    assert bootstrap_interval(np.full(36, 0.02), bounds=SHARE).high > 0.05


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=12),
    st.sampled_from([SHARE, LOSS, ANYTHING]),
)
def test_an_interval_holds_the_mean_and_has_a_width_or_is_unknown(
    values: list[float], bounds: Bounds
) -> None:
    sample = np.array(values, np.float64)
    low, high = bootstrap_interval(sample, bounds=bounds)
    if np.isnan(low):
        known = sample[~np.isnan(sample)]
        few = resampling.LEAST if bounds == SHARE else resampling.LEAST_UNBOUNDED
        assert np.isnan(high) and (len(known) < few or np.ptp(known) == 0)
    else:
        assert low <= np.nanmean(sample) <= high and low < high
        assert low >= bounds[0]


@pytest.mark.parametrize("sample", [[], [0.5], [np.nan], [np.nan] * 20, [0.5, np.nan]])
def test_nothing_is_said_of_less_than_two_values(sample: list[float]) -> None:
    assert np.isnan(bootstrap_interval(sample, bounds=SHARE)).all()


def test_equal_values_say_something_only_where_the_range_is_known() -> None:
    assert np.isnan(bootstrap_interval([2.5] * 30, bounds=LOSS)).all()
    low, high = bootstrap_interval([0.5] * 30, bounds=SHARE)
    assert low < 0.5 < high


def test_a_column_without_values_leaves_the_others_as_they_are() -> None:
    values = np.stack([SAMPLE, np.full(60, np.nan), SAMPLE], axis=1)
    drawn = bootstrap_means(values, bounds=[SHARE, SHARE, LOSS])
    assert np.isnan(drawn[:, 1]).all()
    np.testing.assert_allclose(drawn[:, 0], bootstrap_means(SAMPLE[:, None], bounds=SHARE)[:, 0])
    low, high = interval_of(np.vstack([[0.3, np.nan, 0.3], drawn]))
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, False]


def test_values_outside_the_stated_range_are_the_ends_themselves() -> None:
    drawn = bootstrap_means(np.array([[1.2], [1.3]]), bounds=SHARE)
    assert (drawn <= 1.3).all() and (drawn > 0).all()


def test_a_loss_never_reaches_below_zero_and_beyond_what_was_seen() -> None:
    sample = np.append(np.full(11, 0.2), 9.0) * np.linspace(1, 1.1, 12)
    drawn = bootstrap_means(sample[:, None], bounds=LOSS)
    assert (drawn >= 0).all() and (bootstrap_means(-sample[:, None], bounds=ANYTHING) < 0).any()
    low, high = bootstrap_interval(sample, bounds=LOSS)
    assert 0 <= low < sample.mean() < high


def test_probes_of_one_subject_are_drawn_together() -> None:
    sample = np.repeat([0.0, 1.0] * 6, 6)
    groups = tuple(int(place) // 6 for place in range(72))
    alone, together = (bootstrap_interval(sample, bounds=SHARE, groups=each) for each in ((), groups))
    subjects = bootstrap_interval(sample[::6], bounds=SHARE)
    assert together == pytest.approx(subjects)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_subject_with_all_probes_says_nothing_of_others() -> None:
    assert np.isnan(bootstrap_interval(SAMPLE, bounds=SHARE, groups=(0,) * 60)).all()


def test_known_values_count_and_not_the_subjects_of_missing_ones() -> None:
    sample = np.array([0.1, 0.2, np.nan, np.nan])
    assert np.isnan(bootstrap_interval(sample, bounds=SHARE, groups=(0, 0, 1, 2))).all()
    assert not np.isnan(bootstrap_interval(sample, bounds=SHARE, groups=(0, 1, 1, 1))).any()


scores = st.lists(st.integers(-4, 4).map(float), min_size=2, max_size=9).map(np.array)


@settings(max_examples=30, deadline=None)
@given(scores, scores)
def test_an_area_is_that_of_weighted_pairs_with_observations_beyond_all_scores(
    forget: NDArray[np.float64], holdout: NDArray[np.float64]
) -> None:
    drawn = bootstrap_areas(forget, holdout, 5)
    left, right = (np.append(side, [-99.0, 99.0]) for side in (forget, holdout))
    wins = (np.sign(right[None, :] - left[:, None]) + 1) / 2
    for place, mean in enumerate(drawn):
        weights = [
            np.append(
                resample_weights(len(side), 5, seed)[place],
                resampling._end_weights(len(side), 5, seed, resampling.AUC_END)[place],
            )
            for seed, side in enumerate((forget, holdout))
        ]
        assert mean == pytest.approx(np.average(wins, weights=np.outer(*weights)))


@pytest.mark.parametrize("groups", [((), ()), ((0, 1, 2) * 10, (0, 1, 1, 2, 3) * 4)])
def test_areas_are_the_same_by_pairs_of_units_and_by_ranks(
    groups: tuple[Groups, Groups], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    forget, holdout = random.normal(0, 1, 30).round(1), random.normal(1, 1, 20).round(1)
    forget[[3, 7]] = np.nan
    pairs = bootstrap_areas(forget, holdout, groups=groups)
    monkeypatch.setattr(resampling, "MOST_PAIRED", 0)
    np.testing.assert_allclose(bootstrap_areas(forget, holdout, groups=groups), pairs)


def test_areas_are_the_same_in_pieces_and_leave_missing_scores_out(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    forget, holdout = random.normal(0, 1, 30), random.normal(1, 1, 20)
    monkeypatch.setattr(resampling, "MOST_PAIRED", 0)
    whole = bootstrap_areas(forget, holdout)
    monkeypatch.setattr(resampling, "CHUNK", 70)
    np.testing.assert_allclose(bootstrap_areas(forget, holdout), whole)
    missing = np.append(forget, [np.nan] * 5)
    assert auc(missing, holdout) == auc(forget, holdout)
    assert np.corrcoef(bootstrap_areas(missing, holdout, seeds=(0, 1)), whole)[0, 1] < 0.99
    assert np.nanmean(bootstrap_areas(missing, holdout)) == pytest.approx(whole.mean(), abs=0.02)


def test_a_perfect_attack_on_few_probes_is_not_certain() -> None:
    drawn = np.append(1.0, bootstrap_areas(np.zeros(12), np.ones(12)))
    low, high = interval_of(drawn)
    assert low < 0.9 and high == 1.0
    assert np.isnan(bootstrap_areas(np.zeros(1), np.ones(12))).all()
    assert np.isnan(bootstrap_areas(np.zeros(12), np.ones(12), groups=((0,) * 12, ()))).all()


def test_an_interval_is_widened_to_its_value() -> None:
    assert [float(end) for end in interval_of(np.array([0.0, 0.1, 0.2, 0.3]))] == pytest.approx([0, 0.295])
    drawn = np.array([[0.5, np.nan], [0.4, np.nan], [np.nan, np.nan], [0.6, np.nan]])
    low, high = percentile_interval(drawn[1:])
    assert low[0] == pytest.approx(0.405) and high[0] == pytest.approx(0.595)
    assert np.isnan([low[1], high[1]]).all()


def test_a_hundred_thousand_probes_need_no_gigabytes() -> None:
    random = np.random.default_rng(0)
    n = 100_000
    values = (random.random((n, 4)) < 0.3).astype(np.float64)
    resampling.resample_weights.cache_clear()
    tracemalloc.start()
    try:
        drawn = bootstrap_means(values, bounds=SHARE)
        areas = bootstrap_areas(values[:20_000, 0], random.random(20_000), 100)
        assert tracemalloc.get_traced_memory()[1] < 400e6
    finally:
        tracemalloc.stop()
    low, high = interval_of(np.vstack([values.mean(axis=0), drawn]))
    assert (high - low) / 2 == pytest.approx(np.full(4, 1.96 * (0.3 * 0.7 / n) ** 0.5), rel=0.12)
    assert not np.isnan(areas).any()
    none: Interval = bootstrap_interval(np.zeros(n), bounds=SHARE)
    assert none.high == pytest.approx(beta.ppf(0.975, 0.5, n + 0.5), rel=0.2)
