"""The worst share that was kept of everything that should stay."""

from __future__ import annotations

import math

import numpy as np

from backends.metrics.least_kept import least_kept


def test_it_is_the_smallest_share_over_the_last_axis() -> None:
    ours = np.array([[0.7, 0.9, 0.3], [0.7, 1.0, 0.92]])
    theirs = np.array([[0.7, 1.0, 0.9], [0.7, 1.0, 0.92]])
    np.testing.assert_allclose(least_kept(ours, theirs), [1 / 3, 1.0])


def test_parts_that_nobody_has_are_left_out_and_without_any_it_is_unknown() -> None:
    assert least_kept(np.array([0.5, 0.0, math.nan]), np.array([1.0, 0.0, 1.0])) == 0.5
    assert math.isnan(least_kept(np.array([0.0]), np.array([0.0])))
    assert math.isnan(least_kept(np.array([math.nan]), np.array([1.0])))


def test_everything_lost_is_zero() -> None:
    assert least_kept(np.array([0.7, 0.0]), np.array([0.7, 1.0])) == 0
