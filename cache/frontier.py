"""Which trade-offs are not beaten: Pareto front, hypervolume, knee. Plain geometry over points and directions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backends.metrics.card import Direction

Floats = NDArray[np.float64]


def pareto(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Points that no other point beats: as good in all directions and better in one. Equal points are all kept.

    Args:
        points: shape (n, d); a point with a NaN is never on the front.
        directions: which way is better, for each of the d columns.

    Returns:
        Shape (n,).
    """
    costs = _costs(points, directions)
    known = np.flatnonzero(~np.isnan(costs).any(axis=1))
    front = np.zeros(len(costs), bool)
    # In order of the sum of costs no later point can beat an earlier one, so each is compared with the front only.
    best = np.empty((0, costs.shape[1]))
    for index in known[np.argsort(costs[known].sum(axis=1), kind="stable")]:
        cost = costs[index]
        beaten = np.all(best <= cost, axis=1) & np.any(best < cost, axis=1)
        if not beaten.any():
            front[index] = True
            best = np.vstack([best, cost])
    return front


def hypervolume(points: ArrayLike, directions: Sequence[Direction], reference: Sequence[float]) -> float:
    """Area between the front of two-dimensional points and a reference that all of them should beat; larger is better.

    Args:
        points: shape (n, 2); points that do not beat the reference in both directions add nothing.
        directions: which way is better, for each column.
        reference: the worst acceptable value of each column.
    """
    costs = _costs(points, directions)
    worst = _costs([list(reference)], directions)[0]
    if costs.shape[1] != 2:
        raise ValueError("hypervolume is defined for two directions here")
    inside = costs[(costs < worst).all(axis=1)]
    area, ceiling = 0.0, worst[1]
    for x, y in inside[np.lexsort((inside[:, 1], inside[:, 0]))]:
        if y < ceiling:
            area += (worst[0] - x) * (ceiling - y)
            ceiling = y
    return float(area)


def knee(points: ArrayLike, directions: Sequence[Direction]) -> int | None:
    """Index of the front's point that is nearest to the best of both, axes scaled to the front's range.

    None without a point. The best of both is the corner of the front's best value in every direction.
    """
    costs = _costs(points, directions)
    front = np.flatnonzero(pareto(points, directions))
    if not len(front):
        return None
    chosen = costs[front]
    span = np.ptp(chosen, axis=0)
    scaled = (chosen - chosen.min(axis=0)) / np.where(span > 0, span, 1.0)
    return int(front[np.argmin(np.linalg.norm(scaled, axis=1))])


def _costs(points: ArrayLike, directions: Sequence[Direction]) -> Floats:
    """Points turned so that lower is better in every column."""
    values = np.asarray(points, np.float64).reshape(-1, len(directions))
    turn = {"lower": np.positive, "higher": np.negative, "zero": np.abs}
    return np.column_stack([turn[way](values[:, i]) for i, way in enumerate(directions)])
