"""Closeness says which of two models a third is nearer to, on the same probes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.metrics.relative import closeness, closer, distances

shares = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)


def of(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, np.float64)


def test_it_is_the_difference_of_the_distances_over_their_sum() -> None:
    original, retained, model = of(1.0), of(0.2), of(0.4)
    found = closeness(distances(model[None], original[None]), distances(model[None], retained[None]))
    assert found == pytest.approx([(0.6 - 0.2) / (0.6 + 0.2)])


def test_a_model_that_is_one_of_the_two_is_at_an_end_and_one_as_far_from_both_is_in_the_middle() -> None:
    assert closeness(of(0.0, 2.0, 1.5), of(2.0, 0.0, 1.5)).tolist() == [-1.0, 1.0, 0.0]


def test_where_all_three_are_alike_neither_is_nearer() -> None:
    assert closeness(of(0.0), of(0.0)).tolist() == [0.0]


def test_what_is_not_known_stays_unknown() -> None:
    assert np.isnan(closeness(of(np.nan), of(1.0))).all()


@given(shares, shares, shares)
def test_swapping_original_and_retained_turns_the_sign(
    model: list[float], original: list[float], retained: list[float]
) -> None:
    ours, one, other = (np.array(each, np.float64)[:, None] for each in (model, original, retained))
    there = closeness(distances(ours, one), distances(ours, other))
    back = closeness(distances(ours, other), distances(ours, one))
    assert there == pytest.approx(-back) and (np.abs(there) <= 1).all()


def test_a_metric_without_a_value_counts_nothing() -> None:
    ours, theirs = np.array([[0.5, 0.5], [np.nan, 0.5]]), np.array([[0.25, 0.25], [1.0, 1.0]])
    assert distances(ours, theirs).tolist() == [0.25, 0.75]


def test_the_answer_is_undecided_unless_the_interval_leaves_out_0() -> None:
    answers = [
        closer(*ends) for ends in ((0.1, 0.5), (-0.5, -0.1), (-0.1, 0.5), (0.0, 1.0), (np.nan, np.nan))
    ]
    assert answers == ["retained", "original", "undecided", "undecided", "undecided"]
