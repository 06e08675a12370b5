"""Membership attacks against hand-computed scores, SciPy's Mann-Whitney U, and the published forms of the scores."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from backends.metrics.detection import exact_interval, found_members
from backends.metrics.privacy import auc, loss_score, min_k_plus_plus_score, min_k_score, zlib_score
from backends.metrics.retained_privacy import privacy_match, privleak, relative_difference

LOGPROBS = np.array([-1.0, -0.5, -4.0, -2.0, -0.1], np.float32)


def test_loss_is_the_mean_negative_log_likelihood() -> None:
    assert loss_score(LOGPROBS) == pytest.approx(7.6 / 5, abs=1e-6)


def test_zlib_divides_by_the_compressed_bytes() -> None:
    text = "Brannock Quay, Brannock Quay, Brannock Quay"
    assert zlib_score(LOGPROBS, text) == pytest.approx(7.6 / 5 / len(zlib.compress(text.encode())), abs=1e-8)


def test_min_k_takes_the_least_probable_tokens() -> None:
    assert min_k_score(LOGPROBS) == pytest.approx((4.0 + 2.0) / 2)  # int(0.4 * 5) = 2
    assert min_k_score(LOGPROBS, 0.1) == pytest.approx(4.0)  # at least one
    assert min_k_score(LOGPROBS, 1.0) == pytest.approx(loss_score(LOGPROBS))


def test_min_k_plus_plus_standardises_each_token() -> None:
    mean = np.array([-1.0, -1.0, -2.0, -1.0, -1.0], np.float32)
    variance = np.array([1.0, 4.0, 0.25, 1.0, 0.0], np.float32)  # the last is raised to 1e-6
    # (0, .25, -4, -1, 900); the lowest two are -4 and -1
    assert min_k_plus_plus_score(LOGPROBS, mean, variance) == pytest.approx(2.5)


def test_nothing_to_score_is_undefined() -> None:
    none = np.empty(0, np.float32)
    assert math.isnan(loss_score(none))
    assert math.isnan(min_k_score(none))
    assert math.isnan(min_k_plus_plus_score(none, none, none))


scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12).map(np.array)


@given(scores, scores)
def test_an_attacks_auc_is_the_statistic_of_mann_and_whitney(
    forget: np.ndarray[tuple[int], np.dtype[np.float64]],
    holdout: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    area = mannwhitneyu(holdout, forget).statistic / (len(forget) * len(holdout))
    assert auc(forget, holdout) == pytest.approx(area)
    assert auc(np.append(forget, np.nan), holdout) == auc(forget, holdout)
    assert math.isnan(auc(forget, np.empty(0)))


def test_a_match_falls_off_on_both_sides_of_the_retained_model() -> None:
    retained = np.array([0.4, 0.4, 0.4, 0.4, 0.0, np.nan])
    match = privacy_match(np.array([0.4, 0.3, 0.5, 1.0, 0.5, 0.5]), retained)
    assert match[:4] == pytest.approx([1.0, 0.75, 0.75, 0.0])
    assert np.isnan(match[4:]).all()


def test_privleak_and_relative_difference_by_hand() -> None:
    auc, retained = np.array([0.9, 0.5, 0.4]), np.array([0.5, 0.5, 0.5])
    assert privleak(auc, retained) == pytest.approx([-80.0, 0.0, 20.0])  # (0.1 - 0.5) / 0.5, ...
    assert relative_difference(auc, retained) == pytest.approx([80.0, 0.0, -20.0])


def test_privleak_is_undefined_where_the_retained_model_knows_everything() -> None:
    assert math.isnan(privleak(np.array(0.5), np.array(1.0)))
    # open-unlearning's floor makes it finite and enormous instead
    assert privleak(np.array(0.5), np.array(1.0), 1e-10) == pytest.approx(5e11)


def test_members_found_at_few_false_alarms_by_hand() -> None:
    forget, holdout = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.5, 5.0, 6.0, 7.0])
    assert found_members(forget, holdout, 0.05) == (2, 4)  # no false alarm allowed: below 2.5
    assert found_members(forget, holdout, 0.25) == (4, 4)  # one of four allowed: below 5.0
    assert found_members(forget, holdout, 1.0) == (4, 4)
    assert found_members(forget, np.empty(0), 0.05) == (0, 0)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=30),
    st.lists(st.integers(0, 20), min_size=1, max_size=30),
)
def test_members_found_agree_with_a_search_over_all_thresholds(forget: list[int], holdout: list[int]) -> None:
    ours, theirs = np.array(forget, float), np.array(holdout, float)
    thresholds = [*np.unique(np.concatenate([ours, theirs])), np.inf]
    best = max(int((ours < t).sum()) for t in thresholds if (theirs < t).mean() <= 0.05)
    assert found_members(ours, theirs, 0.05) == (best, len(forget))


def test_the_exact_interval_of_nothing_found_in_ten_is_the_textbook_one() -> None:
    low, high = exact_interval(0, 10)
    assert low == 0.0 and high == pytest.approx(1 - 0.025 ** (1 / 10), abs=1e-9)
