"""How sure a frontier is: chance of being on it, area each method reaches, its knee, distance to the retained model.

Everything is drawn from the same resamples of the probes for all models (`Scoreboard.drawn`), so that comparisons are
paired. Without resamples there are point estimates and no intervals. Knows no stores and no studies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backends.metrics.card import Direction
from cache.analysis.frontier import Floats, costs, fronts, hypervolumes, knee
from cache.analysis.resampling import CONFIDENCE, Interval

LEAST_RESAMPLES = 20
LEAST_UNITS = 3
"""Probes (or subjects) below which nothing is known of how two metrics vary together."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Two metrics as costs, and the rectangle that hypervolumes are shares of.

    Attributes:
        directions: which way is better, by axis.
        worst: the reference point, as measured (not turned).
        best: the opposite corner.
    """

    directions: tuple[Direction, Direction]
    worst: tuple[float, float]
    best: tuple[float, float]


@dataclass(frozen=True, slots=True)
class MethodArea:
    """What one method reaches with all its checkpoints.

    Attributes:
        hypervolume: share of the plane's rectangle that its checkpoints dominate, 0 to 1.
        interval: 95 %, percentile, widened to the value where it lies outside; NaN without resamples.
        knee: position (in the given points) of the checkpoint at the knee of its front, or None.
        chance: how often, over the resamples, this method's area is the largest; NaN without resamples.
    """

    hypervolume: float
    interval: Interval
    knee: int | None
    chance: float


@dataclass(frozen=True, slots=True)
class Distance:
    """From the retained model, over the plane: 0 is there, 1 is across the rectangle (root mean square of the axes).

    Attributes:
        value: the distance.
        interval: at least 95 %; it begins at 0 where the two cannot be told apart. NaN where it cannot be told.
    """

    value: float
    interval: Interval


def plane(
    values: Floats,
    directions: tuple[Direction, Direction],
    bounds: Sequence[tuple[float, float | None]],
) -> Plane | None:
    """The rectangle from worst to best: the metrics' own bounds where they have both, else what was measured.

    Args:
        values: shape (n, 2), as measured.
        directions: which way is better.
        bounds: smallest and largest possible value of each metric; None if there is none.

    Returns:
        None where an axis has no width, as with a single value, or where neither way is better.
    """
    worst, best = [], []
    for column, (way, (low, high)) in enumerate(zip(directions, bounds, strict=True)):
        known = values[:, column][~np.isnan(values[:, column])]
        if not len(known) or way == "neutral":
            return None
        if way == "zero":
            edge = (float(np.abs(known).max()), 0.0)
        elif high is not None and np.isfinite(low):
            edge = (high, low) if way == "lower" else (low, high)
        else:
            ends = float(known.max()), float(known.min())
            edge = ends if way == "lower" else (ends[1], ends[0])
        if edge[0] == edge[1]:
            return None
        worst.append(edge[0])
        best.append(edge[1])
    return Plane(directions, (worst[0], worst[1]), (best[0], best[1]))


def front_chances(drawn: Floats, directions: tuple[Direction, Direction]) -> Floats:
    """How often each point is on the Pareto front, over the resamples.

    Args:
        drawn: shape (n, 1 + B, 2): the value, then its bootstrap replicates.
        directions: which way is better.

    Returns:
        Shape (n,); NaN for all where one of them lacks resamples on one axis: a point that stands still among
        points that move would be given a chance it has not.
    """
    samples = _resamples(drawn)
    if samples.shape[1] < LEAST_RESAMPLES or not _moves(drawn).all():
        return np.full(len(drawn), np.nan)
    chances: Floats = fronts(costs(samples, directions).transpose(1, 0, 2)).mean(axis=0)
    return np.where(np.isnan(drawn[:, 0]).any(axis=1), np.nan, chances)


def method_areas(drawn: Floats, methods: Sequence[str], where: Plane) -> dict[str, MethodArea]:
    """Hypervolume of each method's checkpoints as a share of the plane, with its interval and its knee.

    Args:
        drawn: shape (n, 1 + B, 2).
        methods: of each point.
        where: axes and reference.
    """
    worst, best = (costs(np.array([corner]), where.directions)[0] for corner in (where.worst, where.best))
    whole = float(np.prod(worst - best))
    points: Floats = costs(drawn[:, 0], where.directions)
    samples = costs(_resamples(drawn), where.directions).transpose(1, 0, 2)
    members = {
        name: [place for place, each in enumerate(methods) if each == name] for name in dict.fromkeys(methods)
    }
    moves = _moves(drawn)
    several = samples.shape[0] >= LEAST_RESAMPLES
    areas = {name: hypervolumes(samples[:, chosen], worst) / whole for name, chosen in members.items()}
    wins = _wins(areas) if several and len(areas) > 1 and moves.all() else {}
    values = {
        name: float(hypervolumes(points[None, chosen], worst)[0] / whole) for name, chosen in members.items()
    }
    return {
        name: MethodArea(
            hypervolume=values[name],
            interval=_interval(values[name], areas[name])
            if several and moves[chosen].all()
            else Interval(np.nan, np.nan),
            knee=_knee(drawn[:, 0], chosen, where.directions),
            chance=wins.get(name, float("nan")),
        )
        for name, chosen in members.items()
    }


def distances(drawn: Floats, retained: int, where: Plane, units: Floats | None = None) -> list[Distance]:
    """Distance of every point to the retained model, paired over the resamples.

    The resamples of the difference, moved to their mean, are what sampling alone does to it; the radius that holds 95 %
    of them, corrected for few probes by Hotelling's factor (`small_sample`), is how far the measured difference is from
    the true one. By the triangle inequality the true distance is at most that radius away from the measured one, so
    the interval is the distance plus and minus the radius, not below 0. It contains 0 exactly where the difference is
    within the radius, that is, where a test at 5 % cannot tell the two models apart: percentiles of the distances in
    the resamples never would, since a distance of resamples is never 0. The construction is ours;
    `tests/benchmarks/coverage_comparisons.py` has how often it holds the truth.

    Args:
        drawn: shape (n, 1 + B, 2).
        retained: position of the retained model.
        where: gives each axis its scale.
        units: shape (n, 2), how many probes (or subjects) each point stands on, by axis; NaN or None where that is not
            known.
    """
    scale = np.abs(np.array(where.worst) - np.array(where.best))
    apart = (drawn - drawn[retained]) / scale
    far = np.sqrt(np.mean(apart[:, 0] ** 2, axis=1))
    counts = np.full((len(drawn), 2), np.nan) if units is None else np.fmin(units, units[retained])
    radii = _radii(apart[:, 1:], counts)
    return [
        Distance(
            float(value), Interval(0.0, 0.0) if place == retained else _around(float(value), float(radius))
        )
        for place, (value, radius) in enumerate(zip(far, radii, strict=True))
    ]


def small_sample(units: float) -> float:
    """How much larger the squared radius of a 95 % region of two means is than of a normal law with known variance.

    Hotelling's T square for n observations over the quantile of chi-square: (n - 1) (0.05^(-2 / (n - 2)) - 1) over
    -2 ln 0.05. 1.5 for 12, 1.1 for 36; 1 where n is not known, infinite below 3.
    """
    if np.isnan(units):
        return 1.0
    if units < LEAST_UNITS:
        return np.inf
    tail = 1 - CONFIDENCE
    return float((units - 1) * (tail ** (-2 / (units - 2)) - 1) / (-2 * np.log(tail)))


def ellipse(
    drawn: Floats,
    count: int = 48,
    units: Sequence[float] | Floats = (np.nan, np.nan),
    bounds: Sequence[tuple[float, float | None]] = ((-np.inf, None), (-np.inf, None)),
) -> Floats | None:
    """Outline of the 95 % region of a point on both axes.

    It is an ellipse about the mean of the resamples, of their shape, and holds 95 % of them (Mahalanobis distance), and
    more for few probes: each axis is stretched by the fourth root of Hotelling's factor (`small_sample`), which is the
    square root for squared lengths. Taking the root is ours: the weight that resamples have at the ends of the range
    already widens them. The value itself is never left out.

    Args:
        drawn: shape (1 + B, 2).
        count: corners of the outline.
        units: by axis, how many probes (or subjects) the point stands on; NaN where that is not known.
        bounds: smallest and largest possible value of each metric, beyond which no region reaches.

    Returns:
        Shape (count, 2); None without resamples on both axes, or with fewer than three probes.
    """
    samples = drawn[1:][~np.isnan(drawn[1:]).any(axis=1)]
    factors = np.array([small_sample(each) for each in units])
    if len(samples) < LEAST_RESAMPLES or not np.isfinite(factors).all():
        return None
    middle = samples.mean(axis=0)
    moved = (samples - middle) * factors**0.25
    spread, turn = np.linalg.eigh(np.cov(moved.T))
    lengths = np.sqrt(np.maximum(spread, 0))
    scale = np.where(lengths > 0, lengths, 1.0)
    away = np.sum((np.concatenate([drawn[:1] - middle, moved]) @ turn / scale) ** 2, axis=1)
    radius = np.sqrt(max(float(np.quantile(away[1:], CONFIDENCE)), float(away[0])))
    angles = np.linspace(0, 2 * np.pi, count)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    outline = middle + (turn @ (radius * lengths[:, None] * circle)).T
    low, high = np.array([(low, np.inf if high is None else high) for low, high in bounds]).T
    inside: Floats = np.clip(outline, low, high)
    return inside


def _resamples(drawn: Floats) -> Floats:
    """Shape (n, B, 2); an axis without resamples stands still, all without any is B = 0."""
    samples = drawn[:, 1:]
    unknown = np.isnan(samples)
    if unknown.all():
        return samples[:, :0]
    filled: Floats = np.where(unknown.all(axis=1, keepdims=True), drawn[:, :1], samples)
    return filled


def _moves(drawn: Floats) -> NDArray[np.bool_]:
    """Which points have resamples on both axes."""
    known: NDArray[np.bool_] = np.any(~np.isnan(drawn[:, 1:]), axis=1)
    return np.logical_and(known[:, 0], known[:, 1])


def _radii(apart: Floats, units: Floats) -> Floats:
    """How far sampling alone moves the difference of each point; see `distances`.

    Args:
        apart: shape (n, B, 2): the difference in every resample.
        units: shape (n, 2), by axis, probes that it stands on.

    Returns:
        Shape (n,); NaN where it cannot be told.
    """
    known: NDArray[np.bool_] = ~np.asarray(np.isnan(apart).any(axis=2))
    factors = np.array([[small_sample(each) for each in row] for row in units])
    told = (known.sum(axis=1) >= LEAST_RESAMPLES) & np.isfinite(factors).all(axis=1)
    radii = np.full(len(apart), np.nan)
    if not told.any():  # runs of which only numbers are known
        return radii
    some = np.where(known[told, :, None], apart[told], np.nan)
    mean, quantile = (np.mean, np.quantile) if known[told].all() else (np.nanmean, np.nanquantile)
    moved = (some - mean(some, axis=1, keepdims=True)) * factors[told, None] ** 0.5
    radii[told] = quantile(np.sqrt(np.mean(moved**2, axis=2)), CONFIDENCE, axis=1)
    # The same on every probe: at most this share would differ (the exact 95 % bound for none), by at most 1.
    alike = radii <= 1e-12
    radii[alike] = 1 - (1 - CONFIDENCE) ** (1 / np.fmin(units[alike, 0], units[alike, 1]))
    return radii


def _around(value: float, radius: float) -> Interval:
    """A distance plus and minus a radius, not below 0; NaN where one of them is not known."""
    if not np.isfinite(radius) or np.isnan(value):
        return Interval(np.nan, np.nan)
    return Interval(max(0.0, value - radius), value + radius)


def _interval(value: float, samples: Floats) -> Interval:
    known = samples[~np.isnan(samples)]
    if len(known) < LEAST_RESAMPLES:
        return Interval(np.nan, np.nan)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(min(float(low), value), max(float(high), value))


def _knee(values: Floats, chosen: Sequence[int], directions: tuple[Direction, Direction]) -> int | None:
    """A knee needs three checkpoints on the front."""
    found = knee(values[list(chosen)], directions)
    return None if found is None or len(chosen) < 3 else chosen[found]


def _wins(areas: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """How often each is the largest; ties are shared."""
    table = np.stack(list(areas.values()))
    largest = table == table.max(axis=0)
    shares = (largest / largest.sum(axis=0)).mean(axis=1)
    return dict(zip(areas, map(float, shares), strict=True))
