"""Names and steps beside the points of a trade-off chart where there is room, or at the end of a thin line.

Of many methods only those on the front have a name on the chart: thirty names would cover what they name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.charts.drawing import Drawing
from app.charts.families import Family, steps_of
from app.charts.ink import Ink, plain
from app.charts.labels import lines, markers, place
from app.charts.points import Axis
from cache.analysis.frontier import Floats

NOMINAL_WIDTH, NOMINAL_HEIGHT = 560.0, 430.0  # plot area in pixels at a window of 1280, for placing labels
FEW = 9
"""Methods up to which each has its name on the chart; of more, those that have points on the front."""
Span = tuple[float, float]
"""Plotted range of an axis, in its own unit."""


class Named(NamedTuple):
    """What stands on the chart: names of families, and rows of the points beside which they stand."""

    entries: set[str]
    rows: set[int]


def few(every: Sequence[Family]) -> bool:
    """Whether there are so few methods that each has its name on the chart."""
    return len({family.entry for family in every if family.part == "unlearned"}) <= FEW


def add_names(
    drawing: Drawing,
    points: pd.DataFrame,
    every: Sequence[Family],
    axes: tuple[Axis, Axis],
    spans: tuple[Span, Span],
    radii: Floats,
    ink: Ink,
    short: Mapping[str, str],
) -> Named:
    """Names of original, retained and every last checkpoint, then steps on the way, where there is room.

    Of many methods, names of the last checkpoints on the front.

    Args:
        drawing: takes the names.
        points: what is drawn.
        every: which of them are drawn together.
        axes, spans: horizontal and vertical.
        radii: of the markers, in pixels, one a point.
        ink: colours of text and lines.
        short: names of families as they stand on the chart.
    """
    x, y = (on_axis(points[letter].to_numpy(float), axis) for letter, axis in zip("xy", axes, strict=True))
    across = _pixels(x, spans[0], NOMINAL_WIDTH, flip=axes[0].reversed)
    down = _pixels(y, spans[1], NOMINAL_HEIGHT, flip=not axes[1].reversed)
    spots = np.column_stack([across, down])
    strokes = [
        (family.origin, int(family.places[0]))
        for family in every
        if family.origin is not None and family.part == "unlearned" and family.dated
    ]
    strokes += [pair for each in every if each.joined for pair in pairwise(each.places)]
    ends = np.array(strokes, int).reshape(-1, 2)
    drawn = np.concatenate([markers(spots, radii + 1), lines(spots[ends[:, 0]], spots[ends[:, 1]])])
    rows, texts, strong = _names(points, every)
    written = [short.get(text, text) for text in texts]
    offsets = place(
        spots[rows], radii[rows], written, drawn, NOMINAL_WIDTH, NOMINAL_HEIGHT, with_leaders=strong
    )
    named = Named(set(), set())
    for rank in np.flatnonzero(~np.isnan(offsets[:, 0])):
        needed = rank < strong
        if needed:
            named.entries.add(texts[rank])
            named.rows.add(int(rows[rank]))
        if float(offsets[rank, 2]):
            _add_leader(drawing, (x[rows[rank]], y[rows[rank]]), offsets[rank], written[rank], ink)
            continue
        drawing.annotations.append(
            {
                "x": x[rows[rank]],  # in the axes' own units
                "y": y[rows[rank]],
                "text": plain(written[rank]),
                "showarrow": False,
                "xshift": offsets[rank, 0],
                "yshift": -offsets[rank, 1],
                "font": {
                    "size": 13 if needed else 11,
                    "color": ink.text if needed else ink.muted,
                },
            }
        )
    return named


def _add_leader(drawing: Drawing, at: tuple[float, float], offset: Floats, text: str, ink: Ink) -> None:
    """A name away from its point, joined to it by a thin line."""
    drawing.annotations.append(
        {
            "x": at[0],
            "y": at[1],
            "ax": offset[0],
            "ay": offset[1],
            "text": plain(text),
            "showarrow": True,
            "arrowhead": 0,
            "arrowwidth": 1,
            "arrowcolor": ink.muted,
            "borderpad": 0,
            "font": {"size": 13, "color": ink.text},
        }
    )


def _names(points: pd.DataFrame, every: Sequence[Family]) -> tuple[NDArray[np.int64], list[str], int]:
    """Rows and texts of labels: who is who, which everybody needs, then steps along the way; how many are needed."""
    steps, front, all_named = steps_of(points), points["front"].to_numpy(bool), few(every)
    last, along = [], []
    for family in reversed(every):
        beaten = family.part == "unlearned" and not all_named
        ends = family.places[front[family.places]] if beaten else family.places
        if len(ends):
            last.append((int(ends[-1]), family.entry))
            rest = [int(row) for row in family.places if row != ends[-1] and not np.isnan(steps[row])]
            along += [(row, f"{steps[row]:g}") for row in rest]
    rows = np.array([row for row, _ in last + along], int)
    return rows, [text for _, text in last + along], len(last)


def _pixels(values: Floats, span: Span, length: float, *, flip: bool) -> Floats:
    """Positions along an axis of `length` pixels."""
    share = (values - span[0]) / (span[1] - span[0])
    return (1 - share if flip else share) * length


def on_axis(values: Floats, axis: Axis) -> Floats:
    """Where values lie along an axis, in its own unit: powers of ten on a logarithmic one."""
    return np.log10(values) if axis.log else values
