"""A verdict is wrong in at most about one of twenty cases, on models drawn from known distributions."""

from __future__ import annotations

import pytest

from tests.benchmarks.verdict_errors import Like, errors


@pytest.mark.parametrize(("n", "trials"), [(12, 200), (36, 200), (400, 40)])
@pytest.mark.parametrize("like", ["retained", "original"])
def test_the_verdict_is_seldom_wrong(n: int, trials: int, like: Like) -> None:
    found = errors(n, like, trials)
    assert found.wrong <= 0.05
    assert found.harm <= 0.06


def test_more_probes_decide_more() -> None:
    assert errors(400, "retained", 40).undecided < errors(12, "retained", 200).undecided
