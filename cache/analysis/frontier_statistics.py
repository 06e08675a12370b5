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

CHI_SQUARE_95 = 5.991464547107979
"""95 % quantile of the chi-square distribution with two degrees of freedom: -2 ln 0.05."""
LEAST_RESAMPLES = 20


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
        interval: 95 %, percentile; NaN without resamples.
        knee: position (in the given points) of the checkpoint at the knee of its front, or None.
        chance: how often, over the resamples, this method's area is the largest; NaN without resamples.
    """

    hypervolume: float
    interval: Interval
    knee: int | None
    chance: float


@dataclass(frozen=True, slots=True)
class Distance:
    """From the retained model, over the plane: 0 is there, 1 is across the rectangle (root mean square of the axes)."""

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
        None where an axis has no width, as with a single value.
    """
    worst, best = [], []
    for column, (way, (low, high)) in enumerate(zip(directions, bounds, strict=True)):
        known = values[:, column][~np.isnan(values[:, column])]
        if not len(known):
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
    return {
        name: MethodArea(
            hypervolume=float(hypervolumes(points[None, chosen], worst)[0] / whole),
            interval=_interval(areas[name]) if several and moves[chosen].all() else Interval(np.nan, np.nan),
            knee=_knee(drawn[:, 0], chosen, where.directions),
            chance=wins.get(name, float("nan")),
        )
        for name, chosen in members.items()
    }


def distances(drawn: Floats, retained: int, where: Plane) -> list[Distance]:
    """Distance of every point to the retained model, paired over the resamples.

    Args:
        drawn: shape (n, 1 + B, 2).
        retained: position of the retained model.
        where: gives each axis its scale.
    """
    scale = np.abs(np.array(where.worst) - np.array(where.best))
    far = np.sqrt(np.mean(((drawn - drawn[retained]) / scale) ** 2, axis=2))
    return [Distance(float(row[0]), _interval(row[1:])) for row in far]


def ellipse(drawn: Floats, count: int = 48) -> Floats | None:
    """Outline of the 95 % region of a point: the normal approximation of its resamples on both axes.

    Args:
        drawn: shape (1 + B, 2).
        count: corners of the outline.

    Returns:
        Shape (count, 2); None without resamples on both axes.
    """
    samples = drawn[1:][~np.isnan(drawn[1:]).any(axis=1)]
    if len(samples) < LEAST_RESAMPLES:
        return None
    spread, turn = np.linalg.eigh(np.cov(samples.T))
    angles = np.linspace(0, 2 * np.pi, count)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    outline: Floats = drawn[0] + (turn @ (np.sqrt(CHI_SQUARE_95 * np.maximum(spread, 0))[:, None] * circle)).T
    return outline


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


def _interval(samples: Floats) -> Interval:
    known = samples[~np.isnan(samples)]
    if len(known) < LEAST_RESAMPLES:
        return Interval(np.nan, np.nan)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(low), float(high))


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
