"""Names at the right ends of lines, moved apart where they would meet, and joined to their lines by thin ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from app.charts.ink import Ink, faint, plain

LETTER = 6.2
"""Pixels that a letter is wide, on average."""
LETTER_HEIGHT = 14.0
"""Pixels from one name to the next."""
MOST_NAMES = 30
LEADER = 0.045
"""Length of the thin lines, as a share of the horizontal axis."""


class LineEnd(NamedTuple):
    """Where a line ends, in the units of its axes, its name and colour."""

    x: float
    y: float
    text: str
    colour: str


class Panel(NamedTuple):
    """The axes of a panel by name ("x2", "y2"), their ranges as plotted, and its height in pixels."""

    x_axis: str
    y_axis: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    height: float


def add_line_ends(figure: go.Figure, panel: Panel, ends: Sequence[LineEnd], ink: Ink) -> None:
    """Write the names right of a panel; of more than MOST_NAMES, the first.

    Args:
        figure: gets the names.
        panel: where the lines are.
        ends: the most important first.
        ink: colour of the text.
    """
    ends = ends[:MOST_NAMES]
    bottom, top = panel.y_range
    pixels = [(end.y - bottom) / (top - bottom) * panel.height for end in ends]
    left, right = panel.x_range
    for end, at in zip(ends, moved_apart(pixels, LETTER_HEIGHT, panel.height), strict=True):
        figure.add_annotation(
            text=plain(end.text),
            x=end.x,
            y=end.y,
            xref=panel.x_axis,
            yref=panel.y_axis,
            ax=right + LEADER * (right - left),
            ay=bottom + at / panel.height * (top - bottom),
            axref=panel.x_axis,
            ayref=panel.y_axis,
            xanchor="left",
            align="left",
            arrowhead=0,
            arrowwidth=1,
            arrowcolor=faint(end.colour, 0.6),
            standoff=5,
            borderpad=0,
            font={"size": 11, "color": ink.text},
            name="line end",
        )


def room(names: Iterable[str]) -> float:
    """Pixels right of a panel that the names at its lines' ends take, with the thin lines."""
    return 30 + LETTER * max(map(len, names), default=0)


def moved_apart(places: Sequence[float], gap: float, height: float) -> list[float]:
    """Places at least `gap` from each other in the same order, as near to where they were as that allows.

    Neighbours that would meet become a block around the mean of where they were; blocks that then meet are joined.

    Args:
        places: along an axis.
        gap: smallest distance; less where not all have room in the height.
        height: places stay within 0 and this.
    """
    order = sorted(range(len(places)), key=lambda place: places[place])
    gap = min(gap, height / max(1, len(places) - 1))
    blocks: list[tuple[float, list[int]]] = []  # lowest place, members
    for place in order:
        blocks.append((_lowest([places[place]], gap, height), [place]))
        while len(blocks) > 1 and blocks[-2][0] + gap * len(blocks[-2][1]) > blocks[-1][0]:
            joined = [*blocks[-2][1], *blocks[-1][1]]
            blocks[-2:] = [(_lowest([places[each] for each in joined], gap, height), joined)]
    found = dict.fromkeys(order, 0.0)
    for lowest, members in blocks:
        for number, member in enumerate(members):
            found[member] = lowest + gap * number
    return [found[place] for place in range(len(places))]


def _lowest(places: Sequence[float], gap: float, height: float) -> float:
    """Where a block of these places begins."""
    length = gap * (len(places) - 1)
    return min(max(sum(places) / len(places) - length / 2, 0.0), height - length)
