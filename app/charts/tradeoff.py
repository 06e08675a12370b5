"""The trade-off chart: one point a checkpoint, one line a method, intervals, Pareto front. Data frame to Plotly figure.

Knows nothing about Streamlit, stores or how the values came about. Every clickable point carries its model's code in
`customdata`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.labels import Name, Placement, line, markers, place
from app.charts.points import Axis
from app.look import Look
from app.plain_text import visible

NOMINAL_WIDTH, NOMINAL_HEIGHT = 560.0, 430.0  # plot area in pixels at a window of 1280, for placing labels
MARKER, MARKER_MIN, MARKER_MAX = 11.0, 7.0, 24.0  # diameters, pixels
STAR = 1.7  # a star's arms are thin; larger than the others, it shows beneath a point of a method
TICKS = 7  # powers of ten on a logarithmic axis, at most about this many


@dataclass(frozen=True, slots=True)
class Ink:
    """Neutral colours of one theme."""

    text: str
    muted: str
    grid: str
    paper: str


@dataclass(frozen=True, slots=True)
class _Brush:
    """What all families are drawn with."""

    x: Axis
    y: Axis
    ink: Ink
    dark: bool
    diameters: pd.Series
    size: Axis | None


LIGHT = Ink(text="#1D2129", muted="#667080", grid="#E9EBF0", paper="#FFFFFF")
DARK = Ink(text="#E6E9EF", muted="#98A1AF", grid="#262C36", paper="#12151B")


def tradeoff_figure(
    points: pd.DataFrame,
    x: Axis,
    y: Axis,
    looks: Mapping[str, Look],
    *,
    dark: bool = False,
    size: Axis | None = None,
) -> go.Figure:
    """Forgetting against utility over the models of a study.

    Args:
        points: rows of `chart_points`.
        x: horizontal axis.
        y: vertical axis.
        looks: colour, marker and dash of every model, by name.
        dark: whether the page is dark.
        size: metric of the marker area, or None.
    """
    ink = DARK if dark else LIGHT
    brush = _Brush(x, y, ink, dark, _diameters(points["size"]), size)
    figure = go.Figure()
    _add_front(figure, points, x, y, ink)
    original = points[points["part"] == "original"]
    # The large star of the retained model first: a point on top of it hides it only in part.
    drawn = sorted(families(points).items(), key=lambda family: family[1]["part"].iloc[0] != "retained")
    for name, rows in drawn:
        look = looks[str(rows["model"].iloc[0])]
        if rows["part"].iloc[0] == "unlearned":
            _add_start(figure, original, rows, look.on(dark), look.dash)
        _add_family(figure, rows, name, look, brush)
    spans = _span(points, "x", x), _span(points, "y", y)
    _add_labels(figure, points, spans, brush)
    _lay_out(figure, x, y, spans, ink)
    return figure


def families(points: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows that share a look, in step order, by the name in the legend; original and retained last."""
    unlearned = points[points["part"] == "unlearned"]
    method = unlearned["method"].where(unlearned["method"].fillna("") != "", unlearned["model"])
    groups = {str(name): unlearned[method == name].sort_values("step") for name in dict.fromkeys(method)}
    for part in ("original", "retained"):
        for _, row in points[points["part"] == part].iterrows():
            groups[str(row["model"])] = points[points["model"] == row["model"]]
    return groups


def describe(points: pd.DataFrame, x: Axis, y: Axis) -> str:
    """The chart in words, for people who do not see it."""
    front = ", ".join(points.loc[points["front"], "model"]) or "none"
    return (
        f"Scatter plot of {len(points)} models: {x.label} against {y.label}. "
        f"On the Pareto front of the unlearned models: {front}. The table below has the same values."
    )


def plain(text: str) -> str:
    """Text that Plotly will not read as markup, with control and direction characters shown."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;")


def _add_front(figure: go.Figure, points: pd.DataFrame, x: Axis, y: Axis, ink: Ink) -> None:
    """The boundary of what the unlearned models attain, as a staircase; none where the best value is in the middle."""
    if "zero" in (x.better, y.better):
        return
    front = points[points["front"]].sort_values(["x_value", "y_value"], ascending=x.better == "higher")
    if len(front) < 2:
        return
    figure.add_scatter(
        x=front["x"].to_numpy(float),
        y=front["y"].to_numpy(float),
        mode="lines",
        line={"color": _faint(ink.muted, 0.28), "width": 7, "shape": "vh"},
        name="Pareto front",
        hoverinfo="skip",
        legendrank=2000,
    )


def _joined(rows: pd.DataFrame) -> bool:
    """Whether the rows are a trajectory: several checkpoints, each at a known step."""
    return len(rows) > 1 and bool(rows["step"].notna().all())


def _add_start(figure: go.Figure, original: pd.DataFrame, rows: pd.DataFrame, colour: str, dash: str) -> None:
    """A faint line from the original, where every unlearning starts, to the method's first checkpoint."""
    if not len(original) or rows["step"].isna().all():
        return
    ends = pd.concat([original.iloc[:1], rows.iloc[:1]])
    figure.add_scatter(
        x=ends["x"].to_numpy(float),
        y=ends["y"].to_numpy(float),
        mode="lines",
        line={"color": colour, "width": 1, "dash": dash},
        opacity=0.45,
        showlegend=False,
        hoverinfo="skip",
    )


def _add_family(figure: go.Figure, rows: pd.DataFrame, name: str, look: Look, brush: _Brush) -> None:
    """Checkpoints of one method in step order, filled where they are on the front, and their legend entry."""
    colour = look.on(brush.dark)
    part = str(rows["part"].iloc[0])
    larger = STAR if part == "retained" else 1.0
    shared = {
        "mode": "lines+markers" if _joined(rows) else "markers",
        "line": {"color": colour, "width": 2, "dash": look.dash},
        "name": plain(name),
        "legendgroup": plain(name),
    }
    bar = {"type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": _faint(colour, 0.33)}
    figure.add_scatter(
        **shared,
        x=rows["x"].to_numpy(float),
        y=rows["y"].to_numpy(float),
        error_x=bar
        | {"array": rows["x_plus"].to_numpy(float), "arrayminus": rows["x_minus"].to_numpy(float)},
        error_y=bar
        | {"array": rows["y_plus"].to_numpy(float), "arrayminus": rows["y_minus"].to_numpy(float)},
        marker={
            "symbol": look.symbol,
            "size": (brush.diameters[rows.index] * larger).to_numpy(float),
            "color": [
                colour if solid else brush.ink.paper for solid in rows["front"] | (part != "unlearned")
            ],
            "line": {"color": colour, "width": 2},
            "opacity": 1,
        },
        unselected={"marker": {"opacity": 0.45}},
        customdata=rows["code"].to_numpy(int),
        text=[_hover(row, brush) for _, row in rows.iterrows()],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    figure.add_scatter(
        **shared,
        x=[None],
        y=[None],
        marker={"symbol": look.symbol, "size": MARKER * larger, "color": colour},
        hoverinfo="skip",
        legendrank=1500 if part == "retained" else 1000,
    )


def _hover(row: pd.Series, brush: _Brush) -> str:
    """Who the point is, and its values as measured with intervals and the number of probes."""
    facts = [str(row["method"])] if row["method"] else []
    facts += [f"step {int(row['step'])}"] if pd.notna(row["step"]) else []
    lines = [f"<b>{plain(str(row['model']))}</b>", *([plain(", ".join(facts))] if facts else [])]
    lines += [_measured(row, "x", brush.x), _measured(row, "y", brush.y)]
    if brush.size and pd.notna(row["size"]):
        lines.append(f"{plain(brush.size.name)}: {brush.size.number(row['size'])}")
    return "<br>".join(lines)


def _measured(row: pd.Series, letter: str, axis: Axis) -> str:
    """`Answer probability on forget: 0.123 [0.081, 0.164], n = 40`."""
    value, low, high = (float(row[f"{letter}_{part}"]) for part in ("value", "low", "high"))
    interval = "" if np.isnan([low, high]).any() else f" [{axis.number(low)}, {axis.number(high)}]"
    note = " (smaller than the axis shows)" if axis.log and value < row[letter] else ""
    return f"{plain(axis.name)}: {axis.number(value)}{note}{interval}, n = {int(row[f'{letter}_n'])}"


def _diameters(sizes: pd.Series) -> pd.Series:
    """Marker diameters in pixels; the area is linear in the metric, unknown sizes are smallest."""
    if sizes.isna().all():
        return pd.Series(MARKER, index=sizes.index)
    low, high = sizes.min(), sizes.max()
    share = (sizes - low) / (high - low) if high > low else sizes * 0 + 0.5
    areas = MARKER_MIN**2 + share.fillna(0) * (MARKER_MAX**2 - MARKER_MIN**2)
    return areas**0.5


def _place(values: pd.Series, axis: Axis) -> pd.Series:
    """Where values lie along an axis, in its own unit: powers of ten on a logarithmic one."""
    return np.log10(values.astype(float)) if axis.log else values


def _span(points: pd.DataFrame, letter: str, axis: Axis) -> tuple[float, float]:
    """Plotted range in the axis's own unit: every point and the arms of its interval, with a margin."""
    if not len(points):
        return 0.0, 1.0
    low = float(_place(points[letter] - points[f"{letter}_minus"], axis).min())
    high = float(_place(points[letter] + points[f"{letter}_plus"], axis).max())
    margin = 0.06 * max(high - low, 0.1)
    return low - margin, high + margin


def _add_labels(
    figure: go.Figure,
    points: pd.DataFrame,
    spans: tuple[tuple[float, float], tuple[float, float]],
    brush: _Brush,
) -> None:
    """Names of original, retained and every last checkpoint, then steps on the way, where there is room."""
    places = pd.DataFrame({"x": _place(points["x"], brush.x), "y": _place(points["y"], brush.y)})
    across = _pixels(places["x"], spans[0], NOMINAL_WIDTH, brush.x.reversed)
    down = _pixels(places["y"], spans[1], NOMINAL_HEIGHT, not brush.y.reversed)
    spots = dict(zip(points.index, zip(across, down, strict=True), strict=True))
    radii = brush.diameters / 2 * points["part"].map(lambda part: STAR if part == "retained" else 1.0)
    drawn = markers([(*spots[row], float(radii[row]) + 1) for row in points.index])
    original = points.index[points["part"] == "original"]
    for rows in families(points).values():
        if len(original) and rows["part"].iloc[0] == "unlearned" and rows["step"].notna().any():
            drawn += line(spots[original[0]], spots[rows.index[0]])
        if _joined(rows):
            drawn += [box for start, end in pairwise(rows.index) for box in line(spots[start], spots[end])]
    strong, weak = _names(points)
    names = [Name(spots[row][0], spots[row][1], float(radii[row]), text) for row, text in strong + weak]
    placed = place(names, drawn, NOMINAL_WIDTH, NOMINAL_HEIGHT)
    for rank, ((row, text), spot) in enumerate(zip(strong + weak, placed, strict=True)):
        if spot is not None:
            _annotate(figure, places.loc[row], text, spot, rank < len(strong), brush.ink)


def _annotate(
    figure: go.Figure, place: pd.Series, name: str, spot: Placement, strong: bool, ink: Ink
) -> None:
    """A name at a place in the axes' own units."""
    figure.add_annotation(
        x=place["x"],
        y=place["y"],
        text=plain(name),
        showarrow=False,
        xshift=spot.dx,
        yshift=-spot.dy,
        font={"size": 13 if strong else 11, "color": ink.text if strong else ink.muted},
    )


def _names(points: pd.DataFrame) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Row and text of the labels everybody needs (who is who), and of those that help (steps along the way)."""
    strong: list[tuple[int, str]] = []
    weak: list[tuple[int, str]] = []
    for name, rows in reversed(families(points).items()):
        strong.append((rows.index[-1], name))
        steps = rows["step"].iloc[:-1].dropna()
        weak += [(int(row), f"{step:g}") for row, step in steps.items()]
    return strong, weak


def _pixels(values: pd.Series, span: tuple[float, float], length: float, flip: bool) -> list[float]:
    """Positions along an axis of `length` pixels."""
    share = (values.to_numpy(float) - span[0]) / (span[1] - span[0])
    return [float(position) for position in np.asarray((1 - share if flip else share) * length)]


def _faint(colour: str, opacity: float) -> str:
    """A colour that lets through what is behind it: present, not shouting."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _lay_out(figure: go.Figure, x: Axis, y: Axis, spans: Sequence[tuple[float, float]], ink: Ink) -> None:
    """Axes, grid and legend."""
    common = {
        "showgrid": True,
        "gridcolor": ink.grid,
        "zeroline": False,
        "showline": True,
        "linecolor": ink.muted,
        "ticks": "outside",
        "tickcolor": ink.muted,
        "tickfont": {"size": 12, "color": ink.muted},
        "tickformat": ".4~g",
    }
    for update, axis, span in ((figure.update_xaxes, x, spans[0]), (figure.update_yaxes, y, spans[1])):
        title = {"text": plain(axis.label), "font": {"size": 14, "color": ink.text}, "standoff": 12}
        update(**common, title=title, range=list(reversed(span)) if axis.reversed else list(span))
        if axis.log:
            step = max(1, ceil((span[1] - span[0]) / TICKS))
            update(type="log", dtick=step, tick0=0, tickformat="", exponentformat="power")
    figure.update_layout(
        height=560,
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink.text},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 12, "color": ink.text},
            "itemclick": "toggle",
            "itemsizing": "trace",
        },
        hoverlabel={"align": "left"},
        dragmode="zoom",
        clickmode="event+select",
    )
