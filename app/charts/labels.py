"""Where a chart has room for a name: greedy placement of short labels beside their points.

Works in pixels of a nominal plot area, y downwards; knows nothing about Plotly. Rectangles are arrays of shape (n, 4):
left, top, right, bottom. What is drawn is painted into a grid once, so a place is looked at in the same time whatever
stands on the chart. A label that would cover a point or another label is left out or, where that is wanted, joined to
its point by a line.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cache.analysis.frontier import Floats

CHARACTER = 6.9  # pixels, average advance of the 13 px label font
HEIGHT = 15.0
GAP = 4.0  # between marker and label
BESIDE = 8  # places right at the point
FURTHER = (20.0, 36.0, 56.0)  # distances of places that a line joins to their point
CELLS = 2  # of the grid in a pixel: less than half a pixel of a label may be covered
STROKE, DASH = 2.0, 6.0  # half width of a line, distance of the boxes along it


def place(
    spots: Floats,
    radii: Floats,
    texts: Sequence[str],
    obstacles: Floats,
    width: float,
    height: float,
    *,
    with_leaders: int = 0,
) -> Floats:
    """A place for each label, in the order given; NaN where there is no room.

    Args:
        spots: points that are named, the most important first, shape (n, 2).
        radii: of their markers, shape (n,).
        texts: the labels.
        obstacles: boxes of what is drawn, the labels' own markers included.
        width: of the plot area.
        height: of the plot area.
        with_leaders: so many of the first labels may stand further away, joined to their point by a line.

    Returns:
        Offset of each label's centre from its point, and 1 where a line must join them, else 0: shape (n, 3).
    """
    lengths = np.array([len(text) for text in texts]) * CHARACTER
    offsets = np.concatenate([_candidates(lengths, radii + gap) for gap in (GAP, *FURTHER)], axis=1)
    boxes = _boxes(spots[:, None] + offsets, lengths[:, None])
    inside = (boxes[..., :2] >= 0).all(axis=-1) & (boxes[..., 2] <= width) & (boxes[..., 3] <= height)
    free = inside & ~_covered(boxes, obstacles, width, height)
    free[with_leaders:, BESIDE:] = False
    taken = np.empty_like(boxes[:, 0])
    count = 0
    placed = np.full((len(texts), 3), np.nan)
    for label in np.flatnonzero(free.any(axis=1)):
        candidates = np.flatnonzero(free[label])
        apart = ~_overlap(boxes[label, candidates], taken[:count]).any(axis=1)
        if apart.any():
            chosen = candidates[np.argmax(apart)]
            placed[label] = *offsets[label, chosen], float(chosen >= BESIDE)
            taken[count] = boxes[label, chosen]
            count += 1
    return placed


def markers(spots: Floats, radii: Floats) -> Floats:
    """Boxes of markers at places of shape (n, 2)."""
    return np.column_stack([spots - radii[:, None], spots + radii[:, None]])


def lines(starts: Floats, ends: Floats) -> Floats:
    """Boxes of 4 pixels along lines, whose ends have shape (n, 2)."""
    counts = (np.hypot(*(ends - starts).T) // DASH).astype(int) + 2
    which = np.repeat(np.arange(len(counts)), counts)
    numbers = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    shares = (numbers / (counts - 1)[which])[:, None]
    dots = starts[which] + shares * (ends - starts)[which]
    return markers(dots, np.full(len(dots), STROKE))


def _candidates(lengths: Floats, gaps: Floats) -> Floats:
    """Right, left, above, below, then the four corners: shape (n, 8, 2)."""
    beside, stacked, none = lengths / 2 + gaps, HEIGHT / 2 + gaps - 3, np.zeros(len(gaps))
    right, left = beside - gaps, gaps - beside
    across = np.stack([beside, -beside, none, none, right, left, right, left], axis=-1)
    down = np.stack([none, none, -stacked, stacked, -stacked, -stacked, stacked, stacked], axis=-1)
    return np.stack([across, down], axis=-1)


def _boxes(centres: Floats, lengths: Floats) -> Floats:
    half = np.stack(np.broadcast_arrays(lengths / 2, HEIGHT / 2), axis=-1)
    return np.concatenate([centres - half, centres + half], axis=-1)


def _overlap(ours: Floats, others: Floats) -> NDArray[np.bool_]:
    """Which of two lists of boxes share an area: shape (ours, others)."""
    left, top, right, bottom = np.moveaxis(ours[:, None], -1, 0)
    shared: NDArray[np.bool_] = (
        (left < others[:, 2]) & (others[:, 0] < right) & (top < others[:, 3]) & (others[:, 1] < bottom)
    )
    return shared


def _covered(boxes: Floats, obstacles: Floats, width: float, height: float) -> NDArray[np.bool_]:
    """Which boxes something drawn reaches into: a table of sums over the grid says how many cells are painted."""
    across, down = int(np.ceil(width * CELLS)), int(np.ceil(height * CELLS))
    left, top = np.floor(obstacles[:, :2] * CELLS).astype(int).clip(0, (across, down)).T
    right, bottom = np.ceil(obstacles[:, 2:] * CELLS).astype(int).clip(0, (across, down)).T
    steps = np.zeros((down + 1, across + 1), np.int32)
    for rows, columns, sign in ((top, left, 1), (bottom, right, 1), (top, right, -1), (bottom, left, -1)):
        np.add.at(steps, (rows, columns), sign)
    painted = steps.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0
    sums = np.zeros((down + 1, across + 1), np.int32)
    sums[1:, 1:] = painted.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    left, top = np.moveaxis(np.ceil(boxes[..., :2] * CELLS).astype(int).clip(0, (across, down)), -1, 0)
    right, bottom = np.moveaxis(np.floor(boxes[..., 2:] * CELLS).astype(int).clip(0, (across, down)), -1, 0)
    reached: NDArray[np.bool_] = (
        sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0
    )
    return reached
