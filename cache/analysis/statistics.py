"""Whether two models differ: paired tests, effect sizes, correction for many comparisons.

All are seeded. Intervals of single numbers are in `resampling`. Knows nothing of stores or studies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from cache.analysis.resampling import Interval, bootstrap_interval

EXACT_PAIRS = 13
SIGN_ROWS = 500


def paired_difference(ours: ArrayLike, theirs: ArrayLike, *, seed: int = 0) -> Interval:
    """Interval of the mean of ours - theirs over the same probes, in the same order."""
    return bootstrap_interval(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64), seed=seed)


def standardised_change(differences: ArrayLike) -> float:
    """Effect size of paired differences: their mean over their standard deviation (Cohen's d_z), NaN left out.

    0.2 is called small, 0.5 medium, 0.8 large (Cohen 1988). NaN below two values; where all are equal, 0 or infinite.
    """
    sample = np.asarray(differences, np.float64)
    sample = sample[~np.isnan(sample)]
    if len(sample) < 2:
        return float("nan")
    mean, spread = float(sample.mean()), float(sample.std(ddof=1))
    if spread <= 1e-12 * abs(mean):
        return 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
    return mean / spread


def permutation_test(ours: ArrayLike, theirs: ArrayLike, *, resamples: int = 9999, seed: int = 0) -> float:
    """Two-sided p-value that paired samples differ in mean only by chance, by flipping signs of the differences.

    Exact up to 13 pairs that differ; beyond that Monte Carlo with the observed arrangement counted (Phipson and Smyth
    2010).
    """
    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        return float("nan")
    difference = difference[difference != 0]  # whichever sign they get, they change nothing
    n = len(difference)
    # A rounding error must not make an equal arrangement look smaller than the observed one.
    observed = np.abs(difference.sum()) - 1e-12 * np.abs(difference).sum()
    if n <= EXACT_PAIRS:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ difference) >= observed).mean())
    random = np.random.default_rng(seed)
    reached = 0
    for start in range(0, resamples, SIGN_ROWS):  # all at once would take gigabytes for thousands of probes
        signs = random.choice(np.array([-1.0, 1.0]), size=(min(SIGN_ROWS, resamples - start), n))
        reached += int((np.abs(signs @ difference) >= observed).sum())
    return (reached + 1) / (resamples + 1)


def mcnemar(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Exact two-sided McNemar test of paired yes/no outcomes: 1 where no pair disagrees.

    Args:
        ours: shape (n,), true where this model was right.
        theirs: the same of the other model, same probes.
    """
    from scipy.stats import binomtest

    left, right = np.asarray(ours, bool), np.asarray(theirs, bool)
    only_ours, only_theirs = int(np.sum(left & ~right)), int(np.sum(~left & right))
    disagree = only_ours + only_theirs
    return float(binomtest(only_ours, disagree, 0.5).pvalue) if disagree else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for being several (Holm 1979), in the order given; each at most 1."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in corrected]
