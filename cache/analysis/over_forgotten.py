"""Forgetting beyond the retained model is no gain: values that count as equal to its own, and points that lie past it.

Plain arrays; a metric without a better side (0 is best, or neither is) has no "beyond".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backends.metrics.card import Direction
from cache.analysis.frontier import Floats


def counted(values: ArrayLike, better: Direction, aim: ArrayLike) -> Floats:
    """Values of which those better than the aim count as the aim.

    Args:
        values: of one metric, any shape.
        better: its direction.
        aim: the retained model's value, broadcast against the values; where it is NaN, values count as they are.
    """
    found, limit = np.asarray(values, np.float64), np.asarray(aim, np.float64)
    if better not in ("lower", "higher"):
        return found.copy()
    limited: Floats = np.maximum(found, limit) if better == "lower" else np.minimum(found, limit)
    return np.where(np.isnan(limit), found, limited)


def beyond(low: ArrayLike, high: ArrayLike, better: Direction, aim: float) -> NDArray[np.bool_]:
    """Points whose whole interval is better than the aim; False where an end or the aim is not known."""
    ends = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if better not in ("lower", "higher"):
        return np.zeros(ends[0].shape, bool)
    past: NDArray[np.bool_] = ends[1] < aim if better == "lower" else ends[0] > aim
    return past
