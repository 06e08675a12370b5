"""What a strength curve says: where its knee is, and from where on it forgets more than a model that never knew."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backends.metrics.card import Direction
from cache.analysis.frontier import Floats, costs, knee

LEAST_POINTS = 3


class StrengthFindings(NamedTuple):
    """Strengths; None where the curve has no such point."""

    knee_strength: float | None
    passing_strength: float | None


def findings(
    strengths: Floats, values: Floats, directions: tuple[Direction, Direction], aim: float | None
) -> StrengthFindings:
    """Read a curve of forgetting against utility.

    Args:
        strengths: a of each point, shape (n,).
        values: forgetting and utility of each point, shape (n, 2); NaN where not evaluated.
        directions: which way is better.
        aim: the retained model's forgetting; None without one.

    Returns:
        The knee of the Pareto front of the points, from three points on; and the strength at which the curve passes
        the aim, linear between neighbours: beyond it forgetting is damage, not gain.
    """
    order = np.argsort(strengths)
    a, points = strengths[order], values[order]
    known = ~np.isnan(points).any(axis=1)
    a, points = a[known], points[known]
    place = knee(points, directions) if len(a) >= LEAST_POINTS else None
    knee_strength = None if place is None else float(a[place])
    if aim is None or np.isnan(aim) or len(a) < 2:
        return StrengthFindings(knee_strength, None)
    cost = costs(points[:, :1], directions[:1])[:, 0]
    goal = float(costs(np.array([[aim]]), directions[:1])[0, 0])
    for left in range(len(a) - 1):
        if cost[left] > goal >= cost[left + 1]:
            share = (cost[left] - goal) / (cost[left] - cost[left + 1])
            return StrengthFindings(knee_strength, float(a[left] + share * (a[left + 1] - a[left])))
    return StrengthFindings(knee_strength, None)
