"""Beyond the retained model nothing is gained."""

from __future__ import annotations

import numpy as np

from cache.analysis.over_forgotten import beyond, counted


def test_values_beyond_the_aim_count_as_the_aim_and_others_as_they_are() -> None:
    assert counted([0.05, 0.1, 0.3], "lower", 0.1).tolist() == [0.1, 0.1, 0.3]
    assert counted([0.95, 0.9, 0.3], "higher", 0.9).tolist() == [0.9, 0.9, 0.3]


def test_every_resample_has_the_aim_of_its_own() -> None:
    assert counted([[0.1, 0.1], [0.4, 0.4]], "lower", [0.2, 0.05]).tolist() == [[0.2, 0.1], [0.4, 0.4]]


def test_unknown_values_stay_unknown_and_without_an_aim_nothing_changes() -> None:
    assert np.isnan(counted([np.nan], "lower", 0.1)).all()
    assert counted([0.05, 0.3], "lower", np.nan).tolist() == [0.05, 0.3]


def test_a_metric_without_a_better_side_has_no_beyond() -> None:
    assert counted([-0.2, 0.2], "zero", 0.1).tolist() == [-0.2, 0.2]
    assert not beyond([0.0], [0.01], "zero", 0.1).any()
    assert not beyond([0.0], [0.01], "neutral", 0.1).any()


def test_only_a_whole_interval_beyond_the_aim_is_beyond() -> None:
    low, high = [0.0, 0.0, 0.2, np.nan], [0.05, 0.1, 0.3, np.nan]
    assert beyond(low, high, "lower", 0.1).tolist() == [True, False, False, False]
    assert beyond([0.95, 0.9, 0.5], [1.0, 1.0, 1.0], "higher", 0.9).tolist() == [True, False, False]
    assert not beyond(low, high, "lower", np.nan).any()
