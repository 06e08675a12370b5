"""Intervals of means and of AUCs: the Bayesian bootstrap, with a trace of weight at the ends of what is possible.

Every value, or every group of values that belong together, gets a random weight (exponential, Rubin 1981), and the
number is computed under a thousand such weightings. All models of a study share the weights, so that differences are
paired. A sample alone cannot say what it has not seen (no leak among twelve), so half an observation is added at each
end of the metric's range, a quarter in both samples of an AUC: for a rate this is the interval of Jeffreys (Brown, Cai
and DasGupta 2001). The additions to other means and to AUCs are ours; `docs/statistics.md` has their coverage.

Knows nothing of stores or studies.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bounds = tuple[float, float | None]
"""Smallest and largest possible value; -inf and None where there is none."""
Groups = tuple[int, ...]
"""Number of the group of each value, from 0; () where each value stands alone."""

RESAMPLES = 1000
CONFIDENCE = 0.95
MEAN_END = 0.5
"""Observations that are added at each end of a mean's range."""
AUC_END = 0.25
"""The same in each of the two samples of an AUC."""
BEYOND = 2.0
"""Where a metric has no end, the sample is given one: beyond its extreme by this many times (and `BEYOND_FEW` / n more)
the distance of that extreme from the median."""
BEYOND_FEW = 6.0
LEAST = 2
"""Values (or groups) below which nothing is said of a bounded mean or an AUC."""
LEAST_UNBOUNDED = 5
"""The same of a mean without bounds: below, the interval would hold a skewed mean in less than 90 % of studies."""
MOST_UNITS = 2000
"""More values or groups than this are weighted in as many random bundles: memory and time then stop growing with n."""
MOST_PAIRED = 100
"""Up to so many units on both sides an AUC is resampled by pairs of units; beyond, by ranks of values."""
CHUNK = 4_000_000
"""Numbers that are held at once while an AUC is resampled."""
ANYTHING: Bounds = (-np.inf, None)


class Interval(NamedTuple):
    """Ends of a confidence interval; NaN where it is not defined."""

    low: float
    high: float


class _Units(NamedTuple):
    """What gets one weight each.

    Attributes:
        of: which unit each value belongs to, shape (n,); None where each is its own.
        number: how many units there are.
        size: values in a group, on average; 1 without groups.
    """

    of: NDArray[np.intp] | None
    number: int
    size: float


@lru_cache(maxsize=16)
def resample_weights(count: int, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Weight of each unit in each resample, shape (resamples, count): independent, exponential, of mean 1."""
    weights: Floats = np.random.default_rng([seed, count]).standard_exponential((resamples, count))
    return weights


@lru_cache(maxsize=64)
def _end_weights(count: int, resamples: int, seed: int, observations: float) -> Floats:
    """Weight of the lower and the upper end in each resample, shape (resamples, 2): gamma, of mean `observations`."""
    drawn: Floats = np.random.default_rng([seed, count, 1]).standard_gamma(observations, (resamples, 2))
    return drawn


@lru_cache(maxsize=64)
def _units(n: int, seed: int, groups: Groups) -> _Units:
    of = np.unique(np.array(groups, np.intp), return_inverse=True)[1] if groups else None
    count = n if of is None else int(of.max()) + 1
    size = n / count if count else 1.0
    if count > MOST_UNITS:
        bundle = np.random.default_rng([seed, n, 2]).permutation(count) % MOST_UNITS
        of, count = bundle if of is None else bundle[of], MOST_UNITS
    return _Units(of, count, size)


def _summed(values: Floats, units: _Units) -> Floats:
    """Sums over the values of each unit, shape (units, columns)."""
    if units.of is None:
        return values
    columns = [np.bincount(units.of, column, units.number) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((units.number, 0))


def bootstrap_means(
    values: Floats,
    resamples: int = RESAMPLES,
    seed: int = 0,
    *,
    bounds: Bounds | list[Bounds] | None = None,
    groups: Groups = (),
) -> Floats:
    """Mean of every column in every resample of the rows.

    Args:
        values: shape (n, columns); NaN are left out of the mean of their column.
        resamples: how many.
        seed: of the resampling; equal n, groups and seed give equal weights.
        bounds: smallest and largest possible value, of all columns or a list of those of each. Without them there is no
            weight at any end.
        groups: rows that belong together (probes of one subject) get one weight.

    Returns:
        Shape (resamples, columns). NaN for a column with too few values (or groups of them) to say anything, and, where
        the metric lacks a bound, for one whose values are all equal.
    """
    n, columns = values.shape
    if n == 0:
        return np.full((resamples, columns), np.nan)
    units = _units(n, seed, groups)
    weights = resample_weights(units.number, resamples, seed)
    present = ~np.isnan(values)
    whole = bool(present.all())
    counts = _summed((present[:, :1] if whole else present).astype(np.float64), units)
    inside = _summed(values if whole else np.where(present, values, 0.0), units)
    sums, totals = weights @ inside, weights @ counts
    told = np.broadcast_to(np.sum(counts > 0, axis=0), columns)
    if bounds is None:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(sums / totals)
    low, high = _possible(values, bounds if isinstance(bounds, list) else [bounds] * columns)
    bounded = np.isfinite(low) & np.isfinite(high)
    first, last = low.copy(), high.copy()
    if not bounded.all():
        with np.errstate(invalid="ignore", divide="ignore"):
            seen = values if units.size == 1 else inside / counts
        known = told if units.size > 1 else np.sum(present, axis=0)
        first[~bounded], last[~bounded] = _ends(seen[:, ~bounded], known[~bounded])
    ends = units.size * _end_weights(units.number, resamples, seed, MEAN_END)
    enough = (told >= np.where(bounded, LEAST, LEAST_UNBOUNDED)) & (first < last)
    with np.errstate(invalid="ignore"):
        drawn = (sums + ends[:, :1] * first + ends[:, 1:] * last) / (totals + ends.sum(axis=1, keepdims=True))
    # An end beyond what is possible only serves to draw: no mean is there.
    return np.clip(np.where(enough, drawn, np.nan), low, high)


def _possible(values: Floats, bounds: list[Bounds]) -> tuple[Floats, Floats]:
    """Smallest and largest possible value of each column; a value beyond what should be possible is the end itself."""
    low = np.array([low for low, _ in bounds])
    high = np.array([np.inf if high is None else high for _, high in bounds])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column may be without any value
        return np.fmin(low, np.nanmin(values, axis=0)), np.fmax(high, np.nanmax(values, axis=0))


def _ends(values: Floats, told: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Ends that lie as far beyond a sample as `BEYOND` says, for each column, shape (columns,) each.

    Args:
        values: shape (n, columns), of single values, or the means of groups.
        told: shape (columns,), how many of them are known; the others are NaN.
    """
    ranked = np.sort(values, axis=0)  # NaN last
    least, left, right, most = np.take_along_axis(
        ranked, np.stack([0 * told, (told - 1) // 2, told // 2, told - 1]), axis=0
    )
    beyond = BEYOND + BEYOND_FEW / np.maximum(told, 1)
    middle = (left + right) / 2
    return least - beyond * (middle - least), most + beyond * (most - middle)


def bootstrap_areas(
    forget: Floats,
    holdout: Floats,
    resamples: int = RESAMPLES,
    seeds: tuple[int, int] = (0, 1),
    *,
    groups: tuple[Groups, Groups] = ((), ()),
) -> Floats:
    """The AUC of two independent samples (`backends.metrics.privacy.auc`) in every resample of both.

    Args:
        forget: shape (F,), NaN are left out.
        holdout: shape (H,), NaN are left out.
        resamples: how many.
        seeds: of each sample's weights; equal lengths, groups and seeds give equal weights.
        groups: of each sample, as for `bootstrap_means`.

    Returns:
        Shape (resamples,); NaN where a sample has too few values, or too few groups.
    """
    ours, theirs = (_side(*each) for each in zip((forget, holdout), seeds, groups, strict=True))
    if min(ours.told, theirs.told) < LEAST:
        return np.full(resamples, np.nan)
    if max(ours.units.number, theirs.units.number) <= MOST_PAIRED:
        every = slice(None)
        weights, ends = ours.unit_weights(every, resamples)
        others, other_ends = theirs.unit_weights(every, resamples)
        inside = np.sum(weights @ _won(ours, theirs) * others, axis=1)
        return _areas(inside, weights @ ours.sizes(), others @ theirs.sizes(), ends, other_ends)
    order = np.argsort(theirs.values, kind="stable")
    ranked = theirs.values[order]
    left, right = (np.searchsorted(ranked, ours.values, side) for side in ("left", "right"))
    result = np.empty(resamples)
    rows = max(1, CHUNK // max(len(ours.values), len(theirs.values)))
    for start in range(0, resamples, rows):
        part = slice(start, min(start + rows, resamples))
        weights, ends = ours.drawn(part, resamples)
        others, other_ends = theirs.drawn(part, resamples)
        below = np.zeros((len(others), len(ranked) + 1))
        np.cumsum(others[:, order], axis=1, out=below[:, 1:])
        whole, other_whole = weights.sum(axis=1), below[:, -1]
        inside = whole * other_whole - np.sum(weights * (below[:, left] + below[:, right]), axis=1) / 2
        result[part] = _areas(inside, whole, other_whole, ends, other_ends)
    return result


def _areas(inside: Floats, whole: Floats, other_whole: Floats, ends: Floats, other_ends: Floats) -> Floats:
    """AUC of each resample, with the ends' observations, which lie beyond all values; two of one end are a tie.

    Args:
        inside: shape (B,), weight of the pairs in which the holdout value is higher, ties half.
        whole: shape (B,), weight of all forget values.
        other_whole: the same of the holdout values.
        ends: shape (B, 2), weight of the forget sample's lower and upper end.
        other_ends: the same of the holdout sample.
    """
    won = (
        inside
        + whole * other_ends[:, 1]
        + ends[:, 0] * (other_whole + other_ends[:, 1])
        + (ends[:, 0] * other_ends[:, 0] + ends[:, 1] * other_ends[:, 1]) / 2
    )
    return np.asarray(won / ((whole + ends.sum(axis=1)) * (other_whole + other_ends.sum(axis=1))))


def _won(ours: _Side, theirs: _Side) -> Floats:
    """In how many pairs of values of two units the holdout value is higher, ties half: shape (units, units)."""
    order = np.argsort(theirs.values, kind="stable")
    ranked = theirs.values[order]
    left, right = (np.searchsorted(ranked, ours.values, side) for side in ("left", "right"))
    below = np.zeros((len(ranked) + 1, theirs.units.number))
    below[np.arange(1, len(ranked) + 1), theirs.unit[order]] = 1.0
    np.cumsum(below, axis=0, out=below)
    above = below[-1] - (below[left] + below[right]) / 2  # of each forget value, in each unit
    won: Floats = np.zeros((ours.units.number, theirs.units.number))
    np.add.at(won, ours.unit, above)
    return won


class _Side(NamedTuple):
    """One of the two samples of an AUC.

    Attributes:
        values: the known ones.
        unit: which unit each belongs to.
        units: how the whole sample is divided.
        told: how many units have a known value.
        seed: of the weights.
    """

    values: Floats
    unit: NDArray[np.intp]
    units: _Units
    told: int
    seed: int

    def drawn(self, part: slice, resamples: int) -> tuple[Floats, Floats]:
        """Weights of the values and of the two ends in some of the resamples."""
        weights, ends = self.unit_weights(part, resamples)
        return weights[:, self.unit], ends

    def unit_weights(self, part: slice, resamples: int) -> tuple[Floats, Floats]:
        """Weights of the units and of the two ends in some of the resamples."""
        weights = resample_weights(self.units.number, resamples, self.seed)[part]
        ends = self.units.size * _end_weights(self.units.number, resamples, self.seed, AUC_END)[part]
        return weights, ends

    def sizes(self) -> Floats:
        """How many known values each unit has."""
        return np.bincount(self.unit, minlength=self.units.number).astype(np.float64)


def _side(values: Floats, seed: int, groups: Groups) -> _Side:
    units = _units(len(values), seed, groups)
    known = np.flatnonzero(~np.isnan(values))
    unit = known if units.of is None else units.of[known]
    return _Side(values[known], unit, units, len(np.unique(unit)), seed)


def percentile_interval(samples: Floats, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """Lower and upper percentile over the first axis, NaN left out; NaN where there is nothing else."""
    tail = (1 - confidence) / 2
    if not np.isnan(samples).any():
        low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
        return low, high
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value
        low, high = np.nanquantile(samples, [tail, 1 - tail], axis=0)
    return low, high


def interval_of(drawn: Floats) -> tuple[Floats, Floats]:
    """95 % interval of what was drawn: percentiles of the resamples, widened to the value where it lies outside.

    The weight at the ends draws the resamples to the middle, so that a mean at an end lies beside them.

    Args:
        drawn: shape (1 + B,) or (1 + B, columns): the value, then its resamples.
    """
    low, high = percentile_interval(drawn[1:])
    return np.minimum(low, drawn[0]), np.maximum(high, drawn[0])


def bootstrap_interval(
    values: ArrayLike,
    *,
    bounds: Bounds = ANYTHING,
    groups: Groups = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Interval of the mean of a sample of shape (n,), NaN left out; NaN where nothing can be said (`bootstrap_means`).

    Args:
        values: the sample.
        bounds: smallest and largest possible value; by default anything may be.
        groups: of each value, as for `bootstrap_means`.
        resamples: how many.
        seed: of the resampling.
    """
    sample = np.asarray(values, np.float64)
    known = ~np.isnan(sample)
    if not known.any():
        return Interval(np.nan, np.nan)
    drawn = bootstrap_means(sample[:, None], resamples, seed, bounds=bounds, groups=groups)[:, 0]
    low, high = interval_of(np.append(sample[known].mean(), drawn))
    return Interval(float(low), float(high))
