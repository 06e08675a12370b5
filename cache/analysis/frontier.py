"""Which trade-offs are not beaten: Pareto front, hypervolume, knee. Plain geometry over points and directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backends.metrics.card import Direction

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class _SortedPoints(NamedTuple):
    """Points of each sample in the order of x, then of y."""

    order: NDArray[np.intp]
    x: Floats
    y: Floats


def pareto(points: ArrayLike, directions: Sequence[Direction]) -> Flags:
    """Points that no other point beats: as good in all directions and better in one. Equal points are all kept.

    Args:
        points: shape (n, d); a point with a NaN is never on the front.
        directions: which way is better, for each of the d columns.

    Returns:
        Shape (n,).
    """
    cost = costs(points, directions)
    if cost.shape[1] == 2:
        flat: Flags = fronts(cost[None])[0]
        return flat
    known = np.flatnonzero(~np.isnan(cost).any(axis=1))
    front = np.zeros(len(cost), bool)
    # In order of the sum of costs no later point can beat an earlier one, so each is compared with the front only.
    best = np.empty((0, cost.shape[1]))
    for index in known[np.argsort(cost[known].sum(axis=1), kind="stable")]:
        mine = cost[index]
        beaten = np.all(best <= mine, axis=1) & np.any(best < mine, axis=1)
        if not beaten.any():
            front[index] = True
            best = np.vstack([best, mine])
    return front


def fronts(cost: Floats) -> Flags:
    """Pareto fronts of many samples of points at once.

    Args:
        cost: shape (samples, n, 2), lower is better; a point with a NaN is on no front.

    Returns:
        Shape (samples, n).
    """
    samples, n, _ = cost.shape
    front = np.zeros((samples, n), bool)
    if not n:
        return front
    known: Flags = np.all(~np.isnan(cost), axis=2)
    order, x, y = _by_first(np.where(known[..., None], cost, np.inf))
    place = np.arange(n)
    first = np.concatenate([np.ones((samples, 1), bool), x[:, 1:] != x[:, :-1]], axis=1)
    start = np.maximum.accumulate(np.where(first, place, 0), axis=1)  # where the points of equal x begin
    lowest = np.minimum.accumulate(y, axis=1)
    before = np.where(start > 0, np.take_along_axis(lowest, np.maximum(start - 1, 0), axis=1), np.inf)
    unbeaten = (y == np.take_along_axis(y, start, axis=1)) & ((y < before) | (start == 0))
    np.put_along_axis(front, order, unbeaten, axis=1)
    return front & known


def hypervolume(points: ArrayLike, directions: Sequence[Direction], reference: Sequence[float]) -> float:
    """Area between the front of two-dimensional points and a reference that all of them should beat; larger is better.

    Args:
        points: shape (n, 2); points that do not beat the reference in both directions add nothing.
        directions: which way is better, for each column.
        reference: the worst acceptable value of each column.
    """
    cost = costs(points, directions)
    worst = costs([list(reference)], directions)[0]
    if cost.shape[1] != 2:
        raise ValueError("the hypervolume is implemented for two metrics only")
    return float(hypervolumes(cost[None], worst)[0])


def hypervolumes(cost: Floats, worst: Floats) -> Floats:
    """Hypervolumes of many samples of points at once.

    Args:
        cost: shape (samples, n, 2), lower is better; points with a NaN add nothing.
        worst: shape (2,), the reference.

    Returns:
        Shape (samples,).
    """
    inside: Flags = np.all(cost < worst, axis=2)  # false for a NaN
    _, x, y = _by_first(np.where(inside[..., None], cost, worst))
    ceiling = np.minimum.accumulate(np.concatenate([np.full((len(y), 1), worst[1]), y], axis=1), axis=1)
    area: Floats = np.sum((worst[0] - x) * (ceiling[:, :-1] - ceiling[:, 1:]), axis=1)
    return area


def knee(points: ArrayLike, directions: Sequence[Direction]) -> int | None:
    """Index of the front's point that is nearest to the best of both, axes scaled to the front's range.

    None without a point. The best of both is the corner of the front's best value in every direction.
    """
    cost = costs(points, directions)
    front = np.flatnonzero(pareto(points, directions))
    if not len(front):
        return None
    chosen = cost[front]
    span = np.ptp(chosen, axis=0)
    scaled = (chosen - chosen.min(axis=0)) / np.where(span > 0, span, 1.0)
    return int(front[np.argmin(np.linalg.norm(scaled, axis=1))])


def costs(points: ArrayLike, directions: Sequence[Direction]) -> Floats:
    """Points turned so that lower is better in every column, which is the last axis of any number of axes.

    NaN in a neutral column: nothing is better there, so that no point is on a front or the best of any.
    """
    values = np.asarray(points, np.float64)
    values = values.reshape(-1, len(directions)) if values.ndim < 3 else values
    turn: Mapping[Direction, Callable[[Floats], Floats]] = {
        "lower": np.positive,
        "higher": np.negative,
        "zero": np.abs,
        "neutral": _nothing_better,
    }
    return np.stack([turn[way](values[..., i]) for i, way in enumerate(directions)], axis=-1)


def _nothing_better(values: Floats) -> Floats:
    return np.full_like(values, np.nan)


def _by_first(cost: Floats) -> _SortedPoints:
    order = np.lexsort((cost[..., 1], cost[..., 0]), axis=-1)
    x, y = (np.take_along_axis(cost[..., column], order, axis=1) for column in (0, 1))
    return _SortedPoints(order, x, y)
