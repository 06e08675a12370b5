"""The interval of what an attack recovers holds the truth about as often as it says."""

from __future__ import annotations

import pytest

from tests.benchmarks.coverage_recovered import covered


@pytest.mark.parametrize("rates", [True, False])
def test_intervals_hold_the_truth(rates: bool) -> None:
    found = covered(0.3, 12, 3, rates=rates, studies=60)
    assert found.told > 0.95
    assert found.held > 0.87  # 60 studies of 95 % fall below this once in 300 times
    assert found.width < 0.7
