"""How sure a number is: bootstrap intervals over probes, paired tests, correction for many comparisons.

All are seeded. A bootstrap of many columns is one matrix product: the same resamples serve every model and metric, so
that differences between models are paired. Knows nothing of stores or studies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
EXACT_PAIRS = 13
SIGN_ROWS = 500
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Ends of a confidence interval; NaN where it is not defined."""

    low: float
    high: float


@lru_cache(maxsize=16)
def resample_counts(n: int, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """How often each of n probes is drawn in each resample, shape (resamples, n); rows sum to n."""
    random = np.random.default_rng([seed, n])
    return random.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def bootstrap_means(values: Floats, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Mean of every column in every resample of the rows.

    Args:
        values: shape (n, columns); NaN are left out of the mean of their column.
        resamples: how many.
        seed: of the resampling; equal n and seed give equal resamples.

    Returns:
        Shape (resamples, columns); NaN where a resample has no value.
    """
    n = values.shape[0]
    if n == 0:
        return np.full((resamples, values.shape[1]), np.nan)
    counts = resample_counts(n, resamples, seed)
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = (counts @ np.where(present, values, 0.0)) / (counts @ present.astype(np.float64))
    return means


def bootstrap_pairs(pairs: Floats, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Mean over pairs of two independent samples in every resample of both (an AUC, for 0, 0.5 and 1).

    Args:
        pairs: shape (n, m), a value for each pair; without NaN.
        resamples: how many.
        seed: of the resampling; equal shapes and seed give equal resamples.

    Returns:
        Shape (resamples,); NaN where there is no pair.
    """
    n, m = pairs.shape
    if not n or not m:
        return np.full(resamples, np.nan)
    rows, columns = resample_counts(n, resamples, seed), resample_counts(m, resamples, seed + 1)
    means: Floats = np.sum((rows @ pairs) * columns, axis=1) / (n * m)
    return means


def percentile_interval(samples: Floats, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """Lower and upper percentile over the first axis, NaN left out."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(samples, [tail, 1 - tail], axis=0)
    return low, high


def bootstrap_interval(
    values: ArrayLike,
    *,
    method: Literal["percentile", "BCa"] = "percentile",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Interval of the mean of a sample of shape (n,), NaN left out; NaN below two values.

    BCa (Efron 1987, by SciPy) corrects bias and skew and suits small skewed samples; a constant sample has width 0.
    """
    sample = np.asarray(values, np.float64)
    sample = sample[~np.isnan(sample)]
    if len(sample) < 2:
        return Interval(np.nan, np.nan)
    if method == "percentile" or np.ptp(sample) == 0:
        low, high = percentile_interval(bootstrap_means(sample[:, None], resamples, seed), confidence)
        return Interval(float(low[0]), float(high[0]))
    from scipy.stats import bootstrap

    found = bootstrap(
        (sample,),
        np.mean,
        n_resamples=resamples,
        confidence_level=confidence,
        method=method,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


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
