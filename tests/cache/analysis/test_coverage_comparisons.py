"""What compares models holds the truth about as often as it says, and the old ways did not: part of the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.coverage import Row, covered
from tests.benchmarks.coverage_comparisons import (
    EQUAL_MODEL,
    EQUAL_SKEWED,
    LOG_NORMAL,
    ROWS,
    TWO_METRICS,
    area,
    holds,
)

STUDIES = 150
LEAST = 0.95 - 3 * (0.95 * 0.05 / STUDIES) ** 0.5
"""Three standard errors of the simulation below 95 %."""


@pytest.mark.parametrize("row", [row for row in ROWS if row is not LOG_NORMAL], ids=lambda row: row.name)
def test_twelve_probes_say_no_more_than_they_know(row: Row) -> None:
    now = covered(row, row.now, 12, STUDIES)
    assert now.share >= LEAST
    assert not now.zero


def test_a_difference_that_is_heavily_skewed_is_held_less_often_and_more_often_than_before() -> None:
    before, now = (covered(LOG_NORMAL, way, 12, 300) for way in (LOG_NORMAL.before, LOG_NORMAL.now))
    assert before.share < 0.85 < 0.86 < now.share


def test_before_an_equal_model_was_always_far_and_regions_were_too_small() -> None:
    assert covered(EQUAL_MODEL, EQUAL_MODEL.before, 12, 40).share == 0
    assert covered(TWO_METRICS, TWO_METRICS.before, 12, STUDIES).share < 0.9


def test_more_probes_tell_more() -> None:
    for row in (EQUAL_SKEWED, EQUAL_MODEL, TWO_METRICS):
        few, many = covered(row, row.now, 12, 60), covered(row, row.now, 100, 60)
        assert many.width < few.width / 2 and many.share > 0.85


def test_an_outline_holds_what_is_inside() -> None:
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [0.0, 0.0]])
    assert holds(square, np.array([1.0, 1.9])) and holds(square[::-1], np.array([0.1, 0.1]))
    assert not holds(square, np.array([1.0, 2.1])) and not holds(square, np.array([-0.1, 1.0]))
    assert area(square) == 4
