"""A strength curve: which of its models the cache has evidence of, where its knee is, and from where on it forgets more
than a model that never knew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from backends.errors import CheckpointError, StudyError
from backends.metrics.card import Direction
from backends.study import Study
from backends.study.strength import dialled, is_dialled
from cache.analysis.frontier import Floats, costs, knee
from cache.store import Store
from cache.store.reading import identity_to_read

LEAST_POINTS = 3


class StrengthFindings(NamedTuple):
    """Strengths; None where the curve has no such point."""

    knee_strength: float | None
    passing_strength: float | None


def recorded(study: Study, unlearned: str, store: Store, strengths: Iterable[float]) -> list[float]:
    """At which strengths between the original and an unlearned model there is evidence; the ends are no such models.

    Args:
        study: has both models; none where they cannot be mixed, or are not here.
        unlearned: name of the unlearned model.
        store: the cache.
        strengths: those that are looked for.
    """
    kind, found = "scores" if study.modality == "text" else "images", []
    for strength in strengths:
        try:
            spec = dialled(study.original, study.model(unlearned), strength)
            if is_dialled(spec) and store.contexts(kind, identity_to_read(spec).fingerprint):
                found.append(strength)
        except (CheckpointError, StudyError):
            continue
    return found


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
