"""Which run is best under a condition, and whether two metrics agree about the order of runs. Plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.metrics.card import Direction
from cache.analysis.frontier import Floats, costs

LEAST_RUNS = 3


class Agreement(NamedTuple):
    """Rank correlation of two metrics over the runs that have both; NaN below three."""

    spearman: float
    spearman_p: float
    kendall: float
    kendall_p: float
    n: int


def ranks(values: Floats, better: Direction) -> Floats:
    """Rank of each run, 1 is best, ties share their mean rank; NaN where unknown."""
    from scipy.stats import rankdata

    found: Floats = rankdata(costs(values[:, None], (better,))[:, 0], nan_policy="omit")
    return found


def agreement(first: Floats, second: Floats, better: tuple[Direction, Direction]) -> Agreement:
    """Whether two metrics order the runs alike: 1 where they do, -1 where one turns the other around."""
    from scipy.stats import kendalltau, spearmanr

    known = ~np.isnan(first) & ~np.isnan(second)
    n = int(known.sum())
    if n < LEAST_RUNS:
        return Agreement(np.nan, np.nan, np.nan, np.nan, n)
    ours, theirs = (
        costs(each[known, None], (way,))[:, 0] for each, way in zip((first, second), better, strict=True)
    )
    if np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return Agreement(np.nan, np.nan, np.nan, np.nan, n)
    rho, tau = spearmanr(ours, theirs), kendalltau(ours, theirs)
    return Agreement(float(rho.statistic), float(rho.pvalue), float(tau.statistic), float(tau.pvalue), n)


def best_of_each(
    groups: Sequence[str], aim: Floats, better: Direction, allowed: NDArray[np.bool_]
) -> dict[str, int | None]:
    """Position of the best allowed run of every group; None where a group has none that is allowed.

    Args:
        groups: of each run, such as its method.
        aim: the metric to be good at.
        better: its direction.
        allowed: runs that meet the condition.
    """
    cost = costs(aim[:, None], (better,))[:, 0]
    usable = np.where(allowed & ~np.isnan(cost), cost, np.inf)
    result: dict[str, int | None] = {}
    for group in dict.fromkeys(groups):
        places = np.flatnonzero([each == group for each in groups])
        place = int(places[np.argmin(usable[places])])
        result[group] = None if np.isinf(usable[place]) else place
    return result


def within(values: Floats, base: float, share: float, better: Direction) -> NDArray[np.bool_]:
    """Runs that are at most `share` of the base's value worse than the base; better ones always are.

    Args:
        values: of one metric.
        base: the original's value.
        share: 0.02 allows two per cent of it.
        better: the metric's direction.
    """
    cost = costs(values[:, None], (better,))[:, 0]
    start = float(costs(np.array([[base]]), (better,))[0, 0])
    allowed: NDArray[np.bool_] = cost <= start + share * abs(base) + 1e-12
    return allowed
