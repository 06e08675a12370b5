"""How a metric ranks runs, and whether two metrics agree about their order. Plain arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
