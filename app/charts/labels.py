"""Where a chart has room for a name: greedy placement of short labels beside their points.

Works in pixels of a nominal plot area; knows nothing about Plotly. A label that would cover a point or another label
is left out, the legend still names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import NamedTuple

CHARACTER = 6.9  # pixels, average advance of the 13 px label font
HEIGHT = 15.0
GAP = 4.0  # between marker and label


class Box(NamedTuple):
    """A rectangle in pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


class Placement(NamedTuple):
    """Offset of a label's centre from its point, in pixels, y downwards."""

    dx: float
    dy: float


class Name(NamedTuple):
    """A label to be placed: its point (pixels, y downwards), the radius of its marker, and the text."""

    x: float
    y: float
    radius: float
    text: str


def place(
    names: Sequence[Name], obstacles: Sequence[Box], width: float, height: float
) -> list[Placement | None]:
    """A place for each name, in the order given; None where there is no room.

    Args:
        names: the labels, the most important first.
        obstacles: boxes (pixels) of what is drawn, the labels' own markers included.
        width: of the plot area, pixels.
        height: of the plot area, pixels.
    """
    taken = list(obstacles)
    placements: list[Placement | None] = []
    for name in names:
        length = len(name.text) * CHARACTER
        boxes = [
            (offset, _box(name.x + offset.dx, name.y + offset.dy, length))
            for offset in _candidates(length, name.radius + GAP)
        ]
        free = [
            (offset, box)
            for offset, box in boxes
            if box.left >= 0 and box.right <= width and box.top >= 0 and box.bottom <= height
            if not any(box.overlaps(other) for other in taken)
        ]
        placements.append(free[0][0] if free else None)
        taken += [box for _, box in free[:1]]
    return placements


def markers(spots: Sequence[tuple[float, float, float]]) -> list[Box]:
    """Boxes of markers, given as x, y and radius in pixels."""
    return [Box(x - radius, y - radius, x + radius, y + radius) for x, y, radius in spots]


def line(start: tuple[float, float], end: tuple[float, float]) -> list[Box]:
    """Boxes of 4 pixels along a line."""
    length = hypot(end[0] - start[0], end[1] - start[1])
    shares = [index / (length // 6 + 1) for index in range(int(length // 6) + 2)]
    dots = [
        (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])) for share in shares
    ]
    return markers([(x, y, 2.0) for x, y in dots])


def _candidates(width: float, gap: float) -> list[Placement]:
    """Right, left, above, below, then the four corners."""
    beside, stacked = width / 2 + gap, HEIGHT / 2 + gap - 3
    sides = [Placement(beside, 0), Placement(-beside, 0), Placement(0, -stacked), Placement(0, stacked)]
    corners = [Placement(dx, dy) for dy in (-stacked, stacked) for dx in (beside - gap, gap - beside)]
    return sides + corners


def _box(x: float, y: float, width: float) -> Box:
    return Box(x - width / 2, y - HEIGHT / 2, x + width / 2, y + HEIGHT / 2)
