"""The trade-off chart: one point per checkpoint, one line per method, intervals, Pareto front. Data frame to Plotly
figure.

Knows nothing about Streamlit, stores or how the values came about. Every clickable point carries its model's code in
`customdata`. Works on columns, so that a thousand points cost little more than thirty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.drawing import Drawing
from app.charts.families import Family, column_of, families, steps_of
from app.charts.ink import DARK, LIGHT, Ink, faint, plain
from app.charts.layout import layout
from app.charts.marks import (
    PLAIN,
    Marks,
    add_attacked,
    add_band,
    add_front,
    add_ideal,
    add_outlines,
    add_over_forgotten,
)
from app.charts.point_names import Named, Span, add_names, few, on_axis
from app.charts.points import DESTROYED, OVER, Axis
from app.looks.model_looks import Look
from app.looks.names import protocol_words
from app.looks.short_names import cut, short_names
from cache.analysis.frontier import Floats

MARKER, MARKER_MIN, MARKER_MAX = 11.0, 7.0, 24.0  # diameters, pixels
STAR = 1.7  # a star's arms are thin; larger than the others, it shows beneath a point of a method
MANY = 1000  # points beyond which WebGL draws them, without lines and intervals
NOT_ON_FRONT = {
    DESTROYED: "Destroyed, so not on the front",
    OVER: "Beyond the retained model with its whole interval, so not on the front",
}


@dataclass(frozen=True, slots=True)
class _DrawingStyle:
    """What all families are drawn with; arrays have one number a point."""

    x: Axis
    y: Axis
    ink: Ink
    dark: bool
    diameters: Floats
    marks: Marks
    solid: NDArray[np.bool_]
    greyed: NDArray[np.bool_]
    faint: NDArray[np.bool_]
    hover: Sequence[str]
    short: Mapping[str, str]


def tradeoff_figure(
    points: pd.DataFrame, x: Axis, y: Axis, looks: Mapping[str, Look], **how: Any
) -> go.Figure:
    """The figure of `tradeoff_drawing`, which has the arguments."""
    return tradeoff_drawing(points, x, y, looks, **how).figure()


def tradeoff_drawing(
    points: pd.DataFrame,
    x: Axis,
    y: Axis,
    looks: Mapping[str, Look],
    *,
    dark: bool = False,
    size: Axis | None = None,
    marks: Marks = PLAIN,
) -> Drawing:
    """Forgetting against utility over the models of a study.

    Args:
        points: rows of `chart_points`.
        x: horizontal axis.
        y: vertical axis.
        looks: colour, marker and dash of every model, by name.
        dark: whether the page is dark.
        size: metric of the marker area, or None.
        marks: what is drawn beside the points.
    """
    points = points.reset_index(drop=True)
    ink = DARK if dark else LIGHT
    many = len(points) > MANY
    models = points["model"].tolist()
    every = families(points, marks, by_line=not many)
    unlearned = (points["part"] == "unlearned").to_numpy()
    front = points["front"].to_numpy(bool)
    brush = _DrawingStyle(
        x,
        y,
        ink,
        dark,
        _diameters(points["size"]),
        marks,
        solid=front | ~unlearned,
        greyed=unlearned & ~front & marks.grey,
        faint=column_of(points, "layer").isin(marks.faint).to_numpy(),
        hover=points["model"].map(plain).tolist() if many else _hovers(points, x, y, size, marks),
        short={each.entry: cut(each.entry) for each in every}
        | short_names([each.entry for each in every if each.part == "unlearned"]),
    )
    drawing = Drawing()
    add_front(drawing, points, x, y, ink)
    add_band(drawing, points, x, y, marks, ink)
    spans = _span(points, "x", x, marks), _span(points, "y", y, marks)
    radii = brush.diameters / 2 * np.where(points["part"] == "retained", STAR, 1.0)
    named = Named(set(), set())
    if len(points) and not many:
        named = add_names(drawing, points, every, (x, y), spans, radii, ink, brush.short)
    legend = set(named.entries)
    if not few(every):  # a legend of so many would cover the plot
        legend |= {family.entry for family in every}
    # The large star of the retained model first: a point on top of it hides it only in part.
    for family in sorted(every, key=lambda family: family.part != "retained"):
        look = looks[models[family.places[0]]]
        if family.part == "unlearned" and not many:
            _add_start(drawing, family, points, look.on(dark), look.dash)
        add_outlines(drawing, [models[row] for row in family.places], x, y, look.on(dark), marks)
        if many:
            _add_many(drawing, family, points, look, brush)
        else:
            _add_family(drawing, family, points, look, brush, named)
        if family.entry not in legend:
            _add_legend(drawing, family, look, brush)
        legend.add(family.entry)
    add_attacked(drawing, points, marks, ink)
    add_ideal(drawing, x, y, marks, ink)
    add_over_forgotten(drawing, x, y, spans, marks, ink)
    counted = x.counted(points["x_n"].to_numpy()), y.counted(points["y_n"].to_numpy())
    drawing.layout.update(layout(*counted, spans, ink))
    return drawing


def describe(points: pd.DataFrame, x: Axis, y: Axis) -> str:
    """The chart in words, for people who do not see it."""
    front = ", ".join(points.loc[points["front"], "model"]) or "none"
    return (
        f"Scatter plot of {len(points)} models: {x.label} against {y.label}. "
        f"On the Pareto front of the unlearned models: {front}. The table below has the same values."
    )


def names_said(points: pd.DataFrame, marks: Marks) -> str:
    """Which points have names on the chart, where not all have, and whether they are shortened; "" else."""
    every = families(points.reset_index(drop=True), marks)
    entries = {family.entry for family in every if family.part == "unlearned"}
    said = (
        [] if few(every) else [f"Of {len(entries)} methods those on the front and chosen points are named."]
    )
    if any(short != name for name, short in short_names(sorted(entries)).items()):
        said.append("Names are shortened to what tells them apart.")
    return "".join(f"{each} " for each in said)


def _add_start(drawing: Drawing, family: Family, points: pd.DataFrame, colour: str, dash: str) -> None:
    """A faint line from the original, where every unlearning starts, to the method's first checkpoint."""
    if family.origin is None or not family.dated:
        return
    ends = [family.origin, int(family.places[0])]
    drawing.scatter(
        x=points["x"].to_numpy(float)[ends],
        y=points["y"].to_numpy(float)[ends],
        mode="lines",
        line={"color": colour, "width": 1, "dash": dash},
        opacity=0.45,
        showlegend=False,
        hoverinfo="skip",
    )


def _add_family(
    drawing: Drawing, family: Family, points: pd.DataFrame, look: Look, brush: _DrawingStyle, named: Named
) -> None:
    """Checkpoints of one method in step order, filled where they are on the front."""
    colour, places = look.on(brush.dark), family.places
    larger = STAR if family.part == "retained" else 1.0
    muted, grey = brush.ink.muted, brush.greyed[places]
    opacities = np.where(grey, 0.3, np.where(brush.faint[places], 0.55, 1.0))
    drawing.scatter(
        mode="lines+markers" if family.joined else "markers",
        line={"color": colour, "width": 2, "dash": look.dash},
        name=plain(family.entry),
        legendgroup=plain(family.entry),
        x=points["x"].to_numpy(float)[places],
        y=points["y"].to_numpy(float)[places],
        **_bars(points, places, colour, brush),
        marker={
            "symbol": look.symbol,
            "size": brush.diameters[places] * larger,
            "color": [colour if solid else brush.ink.paper for solid in brush.solid[places]],
            "line": {"color": [muted if beaten else colour for beaten in grey], "width": 2},
            "opacity": opacities.tolist(),
        },
        unselected={"marker": {"opacity": 0.45}},
        customdata=points["code"].to_numpy(int)[places].tolist(),
        text=[brush.hover[row] for row in places],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
        meta=_names_if_chosen(family, points, brush, named),
    )


def _names_if_chosen(family: Family, points: pd.DataFrame, brush: _DrawingStyle, named: Named) -> list[str]:
    """What is written beside each point while it is chosen; "" where its name stands there already."""
    steps = steps_of(points)
    name = plain(brush.short[family.entry])
    told = [name if np.isnan(steps[row]) else f"{name} {steps[row]:g}" for row in family.places]
    return ["" if row in named.rows else text for row, text in zip(family.places, told, strict=True)]


def _add_many(
    drawing: Drawing, family: Family, points: pd.DataFrame, look: Look, brush: _DrawingStyle
) -> None:
    """The same for thousands of points: WebGL, no lines, no intervals, short words."""
    x, y = (plain(axis.name) for axis in (brush.x, brush.y))
    drawing.scattergl(
        mode="markers",
        name=plain(family.entry),
        legendgroup=plain(family.entry),
        x=points["x"].to_numpy(float)[family.places],
        y=points["y"].to_numpy(float)[family.places],
        marker={"symbol": look.symbol, "size": 6, "color": look.on(brush.dark), "opacity": 0.7},
        unselected={"marker": {"opacity": 0.2}},
        customdata=points["code"].to_numpy(int)[family.places].tolist(),
        text=[brush.hover[row] for row in family.places],
        hovertemplate=f"<b>%{{text}}</b><br>{x}: %{{x:.4~g}}<br>{y}: %{{y:.4~g}}<extra></extra>",
        showlegend=False,
    )


def _add_legend(drawing: Drawing, family: Family, look: Look, brush: _DrawingStyle) -> None:
    """One entry for all points of one name."""
    colour, retained = look.on(brush.dark), family.part == "retained"
    drawing.scatter(
        mode="lines+markers" if family.joined else "markers",
        line={"color": colour, "width": 2, "dash": look.dash},
        name=plain(brush.short[family.entry]),
        legendgroup=plain(family.entry),
        x=[None],
        y=[None],
        marker={"symbol": look.symbol, "size": MARKER * (STAR if retained else 1.0), "color": colour},
        hoverinfo="skip",
        legendrank=1500 if retained else 1000,
    )


def _bars(
    points: pd.DataFrame, places: NDArray[np.int64], colour: str, brush: _DrawingStyle
) -> dict[str, object]:
    """Arms of the intervals."""
    if brush.marks.intervals != "bars":
        return {}
    bar = {"type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": faint(colour, 0.33)}
    return {
        f"error_{letter}": bar
        | {
            "array": points[f"{letter}_plus"].to_numpy(float)[places],
            "arrayminus": points[f"{letter}_minus"].to_numpy(float)[places],
        }
        for letter in ("x", "y")
    }


def _hovers(points: pd.DataFrame, x: Axis, y: Axis, size: Axis | None, marks: Marks) -> list[str]:
    """Who each point is, and its values as measured with intervals and the number of probes."""
    measured = zip(_measured(points, "x", x), _measured(points, "y", y), strict=True)
    names = ("model", "method", "layer", "protocol", "part", "excluded")
    words = zip(*(column_of(points, name).tolist() for name in names), strict=True)
    chances = points["chance"].to_numpy(float) if "chance" in points else np.full(len(points), np.nan)
    numbers = zip(steps_of(points), points["size"].to_numpy(float), chances, strict=True)
    told = []
    for (model, method, layer, protocol, part, excluded), values, (step, area, chance) in zip(
        words, measured, numbers, strict=True
    ):
        facts = [str(method)] if method else []
        facts += [] if np.isnan(step) else [f"step {int(step)}"]
        facts += [str(layer)] if layer in marks.foreign else []
        facts += [f"protocol {protocol_words(protocol)}"] if protocol else []
        said = [f"<b>{plain(str(model))}</b>", *([plain(", ".join(facts))] if facts else []), *values]
        if size and not np.isnan(area):
            said.append(f"{plain(size.name)}: {size.number(area)}")
        if excluded:
            said.append(NOT_ON_FRONT[str(excluded)])
        if part == "unlearned" and not np.isnan(chance):
            said.append(f"On the front in {chance:.0%} of resamples")
        told.append("<br>".join(said))
    return told


def _measured(points: pd.DataFrame, letter: str, axis: Axis) -> list[str]:
    """`Answer probability on forget: 0.123 [0.081, 0.164], n = 40`, a point."""
    columns = ("", "_value", "_low", "_high", "_n")
    rows = zip(*(points[letter + name].astype(float).tolist() for name in columns), strict=True)
    name = plain(axis.name)
    told = []
    for drawn, value, low, high, n in rows:
        interval = "" if np.isnan(low) or np.isnan(high) else f" [{axis.number(low)}, {axis.number(high)}]"
        note = " (smaller than the axis shows)" if axis.log and value < drawn else ""
        told.append(f"{name}: {axis.number(value)}{note}{interval}" + (f", n = {n:.0f}" if n > 0 else ""))
    return told


def _diameters(sizes: pd.Series[float]) -> Floats:
    """Marker diameters in pixels; the area is linear in the metric, unknown sizes are smallest."""
    values = sizes.to_numpy(float)
    if np.isnan(values).all():
        return np.full(len(values), MARKER)
    low, high = np.nanmin(values), np.nanmax(values)
    share = (values - low) / (high - low) if high > low else values * 0 + 0.5
    areas: Floats = MARKER_MIN**2 + np.nan_to_num(share, nan=0.0) * (MARKER_MAX**2 - MARKER_MIN**2)
    return np.sqrt(areas)


def _span(points: pd.DataFrame, letter: str, axis: Axis, marks: Marks) -> Span:
    """Plotted range in the axis's own unit: every point, the arms of its interval and the ideal, with a margin."""
    if not len(points):
        return 0.0, 1.0
    at, minus, plus = (points[letter + arm].to_numpy(float) for arm in ("", "_minus", "_plus"))
    low, high = float(on_axis(at - minus, axis).min()), float(on_axis(at + plus, axis).max())
    if marks.ideal is not None and not axis.log:
        corner = float(marks.ideal[letter == "y"])
        low, high = min(low, corner), max(high, corner)
    plainly = [place[letter == "y"] for place in marks.plain.values()]
    low, high = min([low, *plainly]), max([high, *plainly])
    margin = 0.06 * max(high - low, 0.1)
    return low - margin, high + margin
