"""How sure a number is: bootstrap intervals over probes. What compares two models is in `paired_tests`.

All are seeded. A bootstrap of many columns is one matrix product: the same resamples serve every model and metric, so
that differences between models are paired. Knows nothing of stores or studies.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
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
