"""Whether paired values differ on average, and by how much: one test gives the p-value and the interval.

Signs of the differences are flipped (Fisher 1935), exactly up to 13 differences, beyond that by seeded Monte Carlo with
the observed arrangement counted (Phipson and Smyth 2010). Turned round, the test gives its interval: the ends are order
statistics of the means of subsets (Hartigan 1969, typical values). Flipping takes differences to be symmetric about
their mean. That is so where two models are interchangeable, and for yes/no outcomes, where it is exact McNemar. For all
others a bootstrap-t (Efron 1982), which follows skew, must say the same: the p-value is the larger of the two and the
interval covers both, so that p < 0.05 exactly where the interval leaves out 0; for yes/no outcomes it also covers that
of Bonett and Price (2012). Taking both, and the rule for differences that are all equal, is ours. Knows nothing of
stores or studies.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

EXACT_PAIRS = 13
SUBSETS, RESAMPLES = 9999, 1999
LEAST_SUBSETS = 1999
LEAST_GROUPS = 6
"""Fewer differences can be arranged in so few ways that p is never below 0.05: two in 2^5."""
MOST_SKEWED = 1000
"""Beyond as many groups the skew of a mean no longer matters, and the bootstrap-t is left out."""
ONE_IN = 40
"""2.5 % on each side, as a whole number so that ends and p-values are counted alike."""
MOST_CELLS = 2_000_000
"""Of a matrix of subsets at a time: a hundred thousand probes are met in pieces."""
MOST_BITS = 20_000_000
ROUNDING = 1e-12


class PairedTest(NamedTuple):
    """Mean of ours - theirs with what is known of it.

    Attributes:
        mean: of the differences; NaN without any.
        low, high: 95 % interval. It leaves out 0 exactly where p < 0.05. Infinite where fewer than six groups (or
            probes) have a difference, and so cannot be told; NaN without any.
        p: two-sided, that there is no difference; NaN without any.
        n: probes with both values.
        groups: how many groups of probes were flipped as one; 0 where each probe was.
        alone: all probes are of one subject, so that each was taken as independent.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int
    groups: int = 0
    alone: bool = False

    @property
    def bounded(self) -> bool:
        """Both ends are known."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def paired_test(
    ours: ArrayLike,
    theirs: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    reach: float | None = None,
    seed: int = 0,
) -> PairedTest:
    """Compare two models on the same probes, in the same order.

    Args:
        ours: shape (n,); pairs with a NaN are left out.
        theirs: shape (n,).
        groups, reach, seed: see `paired_tests`.
    """
    left, right = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return paired_tests(left[:, None], right[:, None], groups=groups, reach=reach, seed=seed)[0]


def paired_tests(
    ours: Floats,
    theirs: Floats,
    *,
    groups: Sequence[Hashable] | None = None,
    reach: float | None = None,
    seed: int = 0,
) -> list[PairedTest]:
    """The test for every column, with the same subsets for all.

    Args:
        ours: shape (n, columns); pairs with a NaN are left out of their column.
        theirs: the same.
        groups: subject of each probe; probes without one ("" or None) are groups of their own. The signs of a group
            are flipped together, since its probes are not independent. Where all probes are of one subject, each counts
            as independent (`alone`): the result then speaks of this subject.
        reach: largest difference that the metric can have, which no interval exceeds; None (or not finite) if there is
            none. Where all differences are equal, it gives the interval: of n groups none differed, so at 95 % at most
            1 - 0.025^(1/n) of all would (the exact binomial bound for 0 of n), by no more than this, or else by no
            more than the range of all values.
        seed: of the Monte Carlo.
    """
    differences = ours - theirs
    limit = reach if reach is not None and np.isfinite(reach) else np.inf
    known = ~np.isnan(differences)
    filled = np.where(known, differences, 0.0)
    codes, alone = _codes(groups, len(differences))
    clustered = codes is not None
    if codes is not None:
        sums, counts = _summed(filled, codes), _summed(known.astype(np.float64), codes)
    else:
        sums, counts = filled, known.astype(np.float64)
    total, width = len(sums), differences.shape[1]
    if not total or not width:
        return [PairedTest(np.nan, np.nan, np.nan, np.nan, 0)] * width
    chosen_sums, chosen_counts, every = _subset_sums(sums, counts, seed)
    resampled = _bootstrap_t(sums, counts, seed) if total <= MOST_SKEWED else None
    found = []
    for column in range(width):
        n, own = int(known[:, column].sum()), counts[:, column] > 0
        if not n:
            found.append(PairedTest(np.nan, np.nan, np.nan, np.nan, 0))
            continue
        held, sizes, values = sums[own, column], counts[own, column], differences[known[:, column], column]
        mean = float(values.mean())
        low, high, p, means = _flipped(
            held, chosen_sums[:, column], chosen_counts[:, column], every, exact=total <= EXACT_PAIRS
        )
        if not clustered and _one_size(held):
            low, high = _of_proportions(held, low, high, p)
        elif resampled is not None and len(held) > 1:
            more = _studentised(mean, held, sizes, resampled[:, column])
            low, high, p = min(low, more[0]), max(high, more[1]), max(p, more[2])
        if len(held) >= LEAST_GROUPS and np.ptp(values) <= ROUNDING * np.abs(values).max():
            both = np.concatenate([each[known[:, column], column] for each in (ours, theirs)])
            low, high = _all_equal(mean, len(held), limit if np.isfinite(limit) else float(np.ptp(both)))
        low, high = _agreeing(mean, max(low, -limit), min(high, limit), p, means)
        if len(held) < LEAST_GROUPS:
            low, high = -np.inf, np.inf
        found.append(PairedTest(mean, float(low), float(high), float(p), n, total if clustered else 0, alone))
    return found


def standardised_change(differences: ArrayLike) -> float:
    """Effect size of paired differences: their mean over their standard deviation (Cohen's d_z), NaN left out.

    0.2 is called small, 0.5 medium, 0.8 large (Cohen 1988). NaN below two values; where all are equal, 0 or infinite.
    """
    sample = np.asarray(differences, np.float64)
    sample = sample[~np.isnan(sample)]
    if len(sample) < 2:
        return float("nan")
    mean, spread = float(sample.mean()), float(sample.std(ddof=1))
    if spread <= ROUNDING * abs(mean):
        return 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
    return mean / spread


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for being several (Holm 1979), in the order given; each at most 1.

    NaN is no test: it stays NaN and does not count.
    """
    p = np.asarray(p_values, np.float64)
    corrected = np.full_like(p, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    stepped = np.maximum.accumulate(p[order] * (len(order) - np.arange(len(order))))
    corrected[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in corrected]


def _codes(groups: Sequence[Hashable] | None, n: int) -> tuple[NDArray[np.int64] | None, bool]:
    """Number of each probe's group, None where groups are of no use; and whether all are of a single one."""
    if groups is None:
        return None, False
    numbers: dict[Hashable, int] = {}
    codes = np.empty(n, np.int64)
    for place, group in enumerate(groups):
        name: Hashable = ("", place) if group in ("", None) else ("group", group)
        codes[place] = numbers.setdefault(name, len(numbers))
    alone = len(numbers) == 1 < n
    return (codes if 1 < len(numbers) < n else None), alone


def _summed(values: Floats, codes: NDArray[np.int64]) -> Floats:
    total: Floats = np.zeros((int(codes.max()) + 1, values.shape[1]))
    np.add.at(total, codes, values)
    return total


def _subset_sums(sums: Floats, counts: Floats, seed: int) -> tuple[Floats, Floats, int]:
    """Sum and size of every subset of the groups (the flipped ones), and how many arrangements there are.

    The empty subset is the observed arrangement: it is counted, but not among the rows of what is drawn.
    """
    parts = [(subsets @ sums, subsets @ counts) for subsets in _subsets(len(sums), seed)]
    found = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    return *found, len(found[0]) + 1


def _subsets(groups: int, seed: int) -> Iterator[Floats]:
    if groups <= EXACT_PAIRS:
        yield ((np.arange(1, 2**groups)[:, None] >> np.arange(groups)) & 1).astype(np.float64)
        return
    random = np.random.default_rng([seed, groups])
    left = min(SUBSETS, max(LEAST_SUBSETS, MOST_BITS // groups))
    while left:
        rows = min(left, max(1, MOST_CELLS // groups))
        packed = random.integers(0, 256, (rows, -(-groups // 8)), np.uint8)
        yield np.unpackbits(packed, axis=1, count=groups).astype(np.float64)
        left -= rows


def _flipped(
    held: Floats, subset_sums: Floats, subset_counts: Floats, every: int, *, exact: bool
) -> tuple[float, float, float, Floats]:
    """Interval and p-value of the sign-flip test, and the means of the subsets in order.

    With d - m symmetric about 0, all signs are equally likely; flipping the signs of a subset lowers the sum unless the
    subset's mean is at most m. So as many arrangements reach the observed sum as subsets have a mean of at most m.
    """
    # A rounding error must not make an equal arrangement look smaller than the observed one.
    sums = np.where(np.abs(subset_sums) <= ROUNDING * np.abs(held).sum(), 0.0, subset_sums)
    some = subset_counts > 0
    means = np.sort(sums[some] / subset_counts[some])
    empty = every - len(means)
    place = -(-every // ONE_IN) - empty
    low, high = (means[place - 1], means[-place]) if 0 < place <= len(means) else (-np.inf, np.inf)
    moving = held[held != 0]
    if _one_size(held):
        p = _binomial(int(np.sum(moving > 0)), int(np.sum(moving < 0)))
    elif exact or len(moving) > EXACT_PAIRS:
        p = _two_sided(empty + np.sum(means <= 0), empty + np.sum(means >= 0), every)
    else:  # those of 0 change nothing, so the others can be flipped in all ways
        whole = next(_subsets(len(moving), 0)) @ moving
        near = ROUNDING * np.abs(moving).sum()
        p = _two_sided(1 + np.sum(whole <= near), 1 + np.sum(whole >= -near), len(whole) + 1)
    return float(low), float(high), p, means


def _bootstrap_t(sums: Floats, counts: Floats, seed: int) -> Floats:
    """Studentised means of resampled groups, shape (resamples, columns); NaN where a resample has no spread."""
    weights = _weights(len(sums), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn_counts = weights @ counts
        drawn = weights @ sums / drawn_counts
        squares = weights @ sums**2
        spread = squares - 2 * drawn * (weights @ (sums * counts)) + drawn**2 * (weights @ counts**2)
        spread = np.where(spread > ROUNDING * squares, spread, np.nan)
        whole = sums.sum(axis=0) / counts.sum(axis=0)
        studentised: Floats = (drawn - whole) * drawn_counts / np.sqrt(spread)
    return studentised


@lru_cache(maxsize=8)
def _weights(groups: int, seed: int) -> Floats:
    random = np.random.default_rng([seed, groups, 1])
    return random.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES).astype(np.float64)


def _studentised(mean: float, held: Floats, sizes: Floats, drawn: Floats) -> tuple[float, float, float]:
    """Interval and p-value of the bootstrap-t."""
    error = float(np.sqrt(np.sum((held - mean * sizes) ** 2)) / sizes.sum())
    ordered = np.sort(drawn[~np.isnan(drawn)])
    every = len(ordered) + 1
    place = -(-every // ONE_IN) - 1
    if error <= ROUNDING * abs(mean) or place <= 0:
        return mean, mean, 0.0  # no spread at all: the other test decides
    observed = mean / error
    p = _two_sided(1 + np.sum(ordered >= observed), 1 + np.sum(ordered <= observed), every)
    return mean - error * float(ordered[-place]), mean - error * float(ordered[place - 1]), p


def _all_equal(value: float, groups: int, reach: float) -> tuple[float, float]:
    """Of so many equal differences, how far the mean may lie from them (see `paired_tests`)."""
    if reach <= 0:
        return -np.inf, np.inf
    share = 1 - 0.025 ** (1 / groups)
    return (1 - share) * value - share * reach, (1 - share) * value + share * reach


def _agreeing(mean: float, low: float, high: float, p: float, means: Floats) -> tuple[float, float]:
    """Ends that leave out 0 exactly where the p-value, which may be exact where they are drawn, says so."""
    if p >= 0.05:
        return min(low, 0.0), max(high, 0.0)
    if low <= 0 <= high:
        beyond = np.abs(means[np.sign(means) == np.sign(mean)])
        end = float(beyond.min()) if len(beyond) else abs(mean)
        return (min(end, mean), high) if mean > 0 else (low, max(-end, mean))
    return low, high


def _of_proportions(held: Floats, low: float, high: float, p: float) -> tuple[float, float]:
    """The interval with that of a difference of paired proportions (Bonett and Price 2012), as far as p allows.

    Rates near 0 and 1 are skewed, whatever the test of no difference.
    """
    size, n = float(np.abs(held).max()), len(held) + 2
    more, less = (int(np.sum(held > 0)) + 1) / n, (int(np.sum(held < 0)) + 1) / n
    reach = 1.959963984540054 * float(np.sqrt((more + less - (more - less) ** 2) / n))
    ends = min(low, size * (more - less - reach)), max(high, size * (more - less + reach))
    if p < 0.05 and ends[0] <= 0 <= ends[1]:
        return (low, ends[1]) if low > 0 else (ends[0], high)
    return ends


def _one_size(held: Floats) -> bool:
    """All differences are 0 or of one size, as those of yes/no outcomes are."""
    sizes = np.abs(held[held != 0])
    return not len(sizes) or bool(np.ptp(sizes) <= ROUNDING * sizes[0])


def _binomial(more: int, less: int) -> float:
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(more, less), more + less, 0.5))) if more + less else 1.0


def _two_sided(above: int | np.integer[Any], below: int | np.integer[Any], every: int) -> float:
    return min(1.0, 2 * float(min(above, below)) / every)
