"""What a trade-off chart draws beside its points: Pareto front, 95 % regions, noise band, best corner."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from app.charts.drawing import Drawing, Properties
from app.charts.ink import Ink, faint
from app.charts.points import OVER, Axis
from cache.analysis.frontier import Floats

Intervals = Literal["bars", "ellipses", "none"]


@dataclass(frozen=True, slots=True)
class Marks:
    """What is shown beside the points.

    Attributes:
        intervals: arms on both axes, 95 % regions, or nothing.
        outlines: 95 % region of each model, shape (corners, 2), as measured.
        grey: points that are beaten on both axes are greyed.
        band: half widths of the original's A/A band on x and y; None where an axis has none.
        ideal: best value of each metric, which the axes then reach; None for not.
        aim: value on each axis beyond which a model is over-forgotten; NaN for none.
        foreign: layers that are not the study's own.
        faint: layers that are drawn greyed.
        plain: model -> where it is when it is asked plainly (x, y), where an axis is of an attack.
    """

    intervals: Intervals = "bars"
    outlines: Mapping[str, Floats] = field(default_factory=dict)
    grey: bool = False
    band: tuple[float | None, float | None] = (None, None)
    ideal: tuple[float, float] | None = None
    aim: tuple[float, float] = (math.nan, math.nan)
    foreign: Collection[str] = ()
    faint: Collection[str] = ()
    plain: Mapping[str, tuple[float, float]] = field(default_factory=dict)


PLAIN = Marks()


def add_front(drawing: Drawing, points: pd.DataFrame, x: Axis, y: Axis, ink: Ink) -> None:
    """The boundary of what the unlearned models attain, as a staircase.

    None where the best value is in the middle, or where neither way is better.
    """
    if not {x.better, y.better} <= {"lower", "higher"}:
        return
    front = points[points["front"]].sort_values(["x_value", "y_value"], ascending=x.better == "higher")
    if len(front) < 2:
        return
    drawing.scatter(
        x=front["x"].to_numpy(float),
        y=front["y"].to_numpy(float),
        mode="lines",
        line={"color": faint(ink.muted, 0.28), "width": 7, "shape": "vh"},
        name="Pareto front",
        hoverinfo="skip",
        legendrank=2000,
    )


def add_band(drawing: Drawing, points: pd.DataFrame, x: Axis, y: Axis, marks: Marks, ink: Ink) -> None:
    """The seed variance of the original; a strip where only one axis has a band."""
    original = points[points["part"] == "original"].head(1)
    if not len(original):
        return
    shape = {"type": "rect", "line": {"width": 0}, "fillcolor": faint(ink.muted, 0.16), "layer": "below"}
    edges: dict[str, object] = {}
    for letter, axis, half in (("x", x, marks.band[0]), ("y", y, marks.band[1])):
        if half is None or axis.log:
            edges |= {f"{letter}ref": f"{letter} domain", f"{letter}0": 0, f"{letter}1": 1}
        else:
            at = float(original[letter].iloc[0])
            edges |= {f"{letter}ref": letter, f"{letter}0": at - half, f"{letter}1": at + half}
    if any(edges[f"{letter}ref"] == letter for letter in ("x", "y")):
        drawing.shapes.append(shape | edges)


def add_outlines(
    drawing: Drawing, models: Sequence[str], x: Axis, y: Axis, colour: str, marks: Marks
) -> None:
    """95 % regions of the points of one method."""
    if marks.intervals != "ellipses":
        return
    result = [marks.outlines[model] for model in models if model in marks.outlines]
    if not result:
        return
    gap = np.full((1, 2), np.nan)
    corners = np.concatenate([piece for outline in result for piece in (outline, gap)])
    drawing.scatter(
        x=corners[:, 0],
        y=corners[:, 1],
        mode="lines",
        fill="toself",
        fillcolor=faint(colour, 0.1),
        line={"color": faint(colour, 0.4), "width": 1},
        showlegend=False,
        hoverinfo="skip",
    )


def add_attacked(drawing: Drawing, points: pd.DataFrame, marks: Marks, ink: Ink) -> None:
    """An arrow to each model from where it is when it is asked plainly."""
    ends = [
        (*marks.plain[model], float(x), float(y))
        for model, x, y in zip(points["model"], points["x"], points["y"], strict=True)
        if model in marks.plain
    ]
    if not ends:
        return
    corners = np.array([[[a, b], [c, d], [np.nan, np.nan]] for a, b, c, d in ends]).reshape(-1, 2)
    drawing.scatter(
        x=corners[:, 0],
        y=corners[:, 1],
        mode="lines+markers",
        line={"color": ink.muted, "width": 1.5},
        marker={
            "symbol": ["circle-open", "arrow", "circle"] * len(ends),
            "size": [6, 10, 0] * len(ends),
            "angleref": "previous",
            "color": ink.muted,
            "standoff": [0, 9, 0] * len(ends),
        },
        name="From the plain question",
        hoverinfo="skip",
        legendrank=1950,
    )


def add_ideal(drawing: Drawing, x: Axis, y: Axis, marks: Marks, ink: Ink) -> None:
    """The corner where both metrics are best."""
    if marks.ideal is None or x.log or y.log:
        return
    drawing.scatter(
        x=[float(marks.ideal[0])],
        y=[float(marks.ideal[1])],
        mode="markers",
        marker={"symbol": "circle-cross-open", "size": 14, "color": ink.muted, "line": {"width": 1.5}},
        name="Ideal corner",
        hovertemplate="Best value of both metrics<extra></extra>",
        legendrank=1900,
    )


def over_forgotten(axis: Axis, aim: float, span: tuple[float, float]) -> tuple[float, float] | None:
    """From the retained model's value to the better end of an axis of forgetting; None where nothing is beyond it.

    Args:
        axis: horizontal or vertical.
        aim: the retained model's value; NaN for none.
        span: plotted range, low to high, in the axis's own unit (powers of ten on a logarithmic one), as the result.
    """
    if math.isnan(aim) or (axis.log and aim <= 0):
        return None
    upwards = axis.better == "higher"
    if aim == axis.bounds[1 if upwards else 0]:
        return None
    start = math.log10(aim) if axis.log else aim
    end = span[1] if upwards else span[0]
    return (start, end) if (end - start) * (1 if upwards else -1) > 0 else None


def add_over_forgotten(
    drawing: Drawing, x: Axis, y: Axis, spans: Sequence[tuple[float, float]], marks: Marks, ink: Ink
) -> None:
    """The zone beyond the retained model on an axis of forgetting, hatched and named.

    Args:
        drawing: gets the zone beneath everything else.
        x: horizontal axis.
        y: vertical axis.
        spans: plotted ranges of both axes, in their own units.
        marks: has the aim.
        ink: neutral colours.
    """
    for place, axis in enumerate((x, y)):
        ends = over_forgotten(axis, marks.aim[place], spans[place])
        if ends is None:
            continue
        start, end = ends
        corners = [spans[0], spans[1]]
        corners[place] = (start, end)
        across, down = (
            [10.0**at if each.log else at for at in pair] for pair, each in zip(corners, (x, y), strict=True)
        )
        zone = {
            "type": "scatter",
            "x": [across[0], across[1], across[1], across[0]],
            "y": [down[0], down[0], down[1], down[1]],
            "mode": "none",
            "fill": "toself",
            "fillpattern": {"shape": "/", "size": 9, "solidity": 0.12, "fgcolor": faint(ink.muted, 0.55)},
            "hoverinfo": "skip",
            "showlegend": False,
            "name": OVER,
        }
        drawing.traces.insert(0, zone)
        middle = (start + end) / 2
        right = (axis.better == "higher") != axis.reversed
        # Above the plot, where no point or name is.
        spot: Properties = {"x": end, "xanchor": "right" if right else "left", "y": 1, "yref": "paper"}
        spot["yanchor"] = "bottom"
        if place == 1:
            spot = {"y": middle, "x": 0.01, "xref": "paper", "xanchor": "left"}
        font = {"size": 11, "color": ink.muted}
        drawing.annotations.append({"text": OVER, "showarrow": False, "font": font} | spot)
