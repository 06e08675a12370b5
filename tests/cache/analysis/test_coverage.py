"""Intervals hold the truth about as often as they say, and the old ones did not: a small part of the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.coverage import ROWS, Row, covered

STUDIES = 150
LEAST = 0.95 - 3 * (0.95 * 0.05 / STUDIES) ** 0.5
"""Three standard errors of the simulation below 95 %."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_twelve_probes_say_no_more_than_they_know(row: Row) -> None:
    now = covered(row, row.now, 12, STUDIES)
    if "log-normal, 3 probes a subject" in row.name:
        assert np.isnan(now.share), "four subjects tell nothing of a metric without a largest value"
        return
    assert now.share >= LEAST - 0.01  # the narrowest of them are at 93 %
    assert not now.zero


@pytest.mark.parametrize("name", ["leak rate, true 3 %", "membership AUC, true .983"])
def test_more_probes_narrow_an_interval(name: str) -> None:
    row = next(each for each in ROWS if each.name == name)
    few, many = covered(row, row.now, 12, 60), covered(row, row.now, 100, 60)
    assert many.width < few.width / 2 and many.share > 0.85


def test_percentiles_of_resamples_alone_took_no_leak_for_certain() -> None:
    row = next(each for each in ROWS if each.name == "leak rate, true 3 %")
    before = covered(row, row.before, 12, STUDIES)
    assert before.share < 0.5 and before.zero > 0.5


def test_a_simulation_is_the_same_every_time() -> None:
    assert covered(ROWS[0], ROWS[0].now, 12, 20) == covered(ROWS[0], ROWS[0].now, 12, 20)
    assert np.isfinite(covered(ROWS[0], ROWS[0].now, 12, 20)).all()
