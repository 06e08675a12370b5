"""The trade-off chart: one point per checkpoint, one line per method, intervals, Pareto front. Data frame to Plotly
figure.

Knows nothing about Streamlit, stores or how the values came about. Every clickable point carries its model's code in
`customdata`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.ink import DARK, LIGHT, Ink, faint, plain
from app.charts.labels import Name, Placement, line, markers, place
from app.charts.layout import lay_out
from app.charts.marks import PLAIN, Marks, add_band, add_front, add_ideal, add_outlines
from app.charts.points import Axis
from app.looks.model_looks import Look

NOMINAL_WIDTH, NOMINAL_HEIGHT = 560.0, 430.0  # plot area in pixels at a window of 1280, for placing labels
MARKER, MARKER_MIN, MARKER_MAX = 11.0, 7.0, 24.0  # diameters, pixels
STAR = 1.7  # a star's arms are thin; larger than the others, it shows beneath a point of a method
MANY = 1000  # points beyond which WebGL draws them, without lines and intervals


@dataclass(frozen=True, slots=True)
class _DrawingStyle:
    """What all families are drawn with."""

    x: Axis
    y: Axis
    ink: Ink
    dark: bool
    diameters: pd.Series
    size: Axis | None
    marks: Marks


def tradeoff_figure(
    points: pd.DataFrame,
    x: Axis,
    y: Axis,
    looks: Mapping[str, Look],
    *,
    dark: bool = False,
    size: Axis | None = None,
    marks: Marks = PLAIN,
) -> go.Figure:
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
    ink = DARK if dark else LIGHT
    brush = _DrawingStyle(x, y, ink, dark, _diameters(points["size"]), size, marks)
    figure = go.Figure()
    add_front(figure, points, x, y, ink)
    add_band(figure, points, x, y, marks, ink)
    many = len(points) > MANY
    # The large star of the retained model first: a point on top of it hides it only in part.
    drawn = sorted(families(points, by_line=not many).items(), key=_retained_first)
    legend: set[str] = set()
    for _, rows in drawn:
        look = looks[str(rows["model"].iloc[0])]
        if rows["part"].iloc[0] == "unlearned" and not many:
            _add_start(figure, _origin(points, rows), rows, look.on(dark), look.dash)
        add_outlines(figure, rows, x, y, look.on(dark), marks)
        entry = _entry(rows, marks)
        (_add_many if many else _add_family)(figure, rows, entry, look, brush)
        if entry not in legend:
            _add_legend(figure, rows, entry, look, brush)
        legend.add(entry)
    add_ideal(figure, x, y, marks, ink)
    spans = _span(points, "x", x, marks), _span(points, "y", y, marks)
    if not many:
        _add_labels(figure, points, spans, brush)
    lay_out(figure, x.counted(points["x_n"].to_numpy()), y.counted(points["y_n"].to_numpy()), spans, ink)
    return figure


def _retained_first(family: tuple[str, pd.DataFrame]) -> bool:
    return bool(family[1]["part"].iloc[0] != "retained")


def _origin(points: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The original that these checkpoints started from: of their own layer."""
    same = points["part"] == "original"
    return points[same & (points["layer"] == rows["layer"].iloc[0])] if "layer" in points else points[same]


def _entry(rows: pd.DataFrame, marks: Marks) -> str:
    """The legend's words: the method, or the model without one; one word for the originals of other layers."""
    row = rows.iloc[0]
    if row["part"] == "unlearned":
        return str(row["method"] or row["model"])
    return str(row["part"]).capitalize() if row.get("layer") in marks.foreign else str(row["model"])


def families(points: pd.DataFrame, *, by_line: bool = True) -> dict[str, pd.DataFrame]:
    """Rows that are drawn together, in step order, original and retained last.

    Args:
        points: rows of `chart_points`.
        by_line: one group for each line (trajectory) of a method, where the points say which they belong to; else one
            for each method of each layer.
    """
    unlearned = points[points["part"] == "unlearned"]
    group = unlearned["method"].where(unlearned["method"].fillna("") != "", unlearned["model"])
    if by_line and "line" in points:
        group = unlearned["line"].where(unlearned["line"] != "", group)
    if "layer" in points and points["layer"].nunique() > 1:
        group = group + " · " + unlearned["layer"]
    groups = {str(name): rows.sort_values("step") for name, rows in unlearned.groupby(group, sort=False)}
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


def _add_family(figure: go.Figure, rows: pd.DataFrame, name: str, look: Look, brush: _DrawingStyle) -> None:
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
    figure.add_scatter(
        **shared,
        x=rows["x"].to_numpy(float),
        y=rows["y"].to_numpy(float),
        **_bars(rows, colour, brush),
        marker={
            "symbol": look.symbol,
            "size": (brush.diameters[rows.index] * larger).to_numpy(float),
            "color": [
                colour if solid else brush.ink.paper for solid in rows["front"] | (part != "unlearned")
            ],
            "line": {"color": [_line_colour(row, colour, brush) for _, row in rows.iterrows()], "width": 2},
            "opacity": _opacities(rows, brush),
        },
        unselected={"marker": {"opacity": 0.45}},
        customdata=rows["code"].to_numpy(int),
        text=[_hover(row, brush) for _, row in rows.iterrows()],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _add_many(figure: go.Figure, rows: pd.DataFrame, name: str, look: Look, brush: _DrawingStyle) -> None:
    """The same for thousands of points: WebGL, no lines, no intervals, short words."""
    x, y = (plain(axis.name) for axis in (brush.x, brush.y))
    figure.add_scattergl(
        mode="markers",
        name=plain(name),
        legendgroup=plain(name),
        x=rows["x"].to_numpy(float),
        y=rows["y"].to_numpy(float),
        marker={"symbol": look.symbol, "size": 6, "color": look.on(brush.dark), "opacity": 0.7},
        unselected={"marker": {"opacity": 0.2}},
        customdata=rows["code"].to_numpy(int),
        text=rows["model"].map(plain).to_list(),
        hovertemplate=f"<b>%{{text}}</b><br>{x}: %{{x:.4~g}}<br>{y}: %{{y:.4~g}}<extra></extra>",
        showlegend=False,
    )


def _add_legend(figure: go.Figure, rows: pd.DataFrame, name: str, look: Look, brush: _DrawingStyle) -> None:
    """One entry for all points of one name."""
    colour, retained = look.on(brush.dark), rows["part"].iloc[0] == "retained"
    figure.add_scatter(
        mode="lines+markers" if _joined(rows) else "markers",
        line={"color": colour, "width": 2, "dash": look.dash},
        name=plain(name),
        legendgroup=plain(name),
        x=[None],
        y=[None],
        marker={"symbol": look.symbol, "size": MARKER * (STAR if retained else 1.0), "color": colour},
        hoverinfo="skip",
        legendrank=1500 if retained else 1000,
    )


def _bars(rows: pd.DataFrame, colour: str, brush: _DrawingStyle) -> dict[str, object]:
    """Arms of the intervals."""
    if brush.marks.intervals != "bars":
        return {}
    bar = {"type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": faint(colour, 0.33)}
    return {
        f"error_{letter}": bar
        | {
            "array": rows[f"{letter}_plus"].to_numpy(float),
            "arrayminus": rows[f"{letter}_minus"].to_numpy(float),
        }
        for letter in ("x", "y")
    }


def _line_colour(row: pd.Series, colour: str, brush: _DrawingStyle) -> str:
    beaten = brush.marks.grey and row["part"] == "unlearned" and not row["front"]
    return brush.ink.muted if beaten else colour


def _opacities(rows: pd.DataFrame, brush: _DrawingStyle) -> list[float]:
    """Beaten points are greyed on request, layers that are not the study's own always."""
    own = rows["layer"].isin(brush.marks.faint) if "layer" in rows else pd.Series(False, index=rows.index)
    beaten = (rows["part"] == "unlearned") & ~rows["front"] & brush.marks.grey
    return [0.3 if grey else 0.55 if faint_ else 1.0 for grey, faint_ in zip(beaten, own, strict=True)]


def _hover(row: pd.Series, brush: _DrawingStyle) -> str:
    """Who the point is, and its values as measured with intervals and the number of probes."""
    facts = [str(row["method"])] if row["method"] else []
    facts += [f"step {int(row['step'])}"] if pd.notna(row["step"]) else []
    facts += [str(row["layer"])] if row.get("layer") in brush.marks.foreign else []
    facts += [f"protocol {row['protocol']}"] if row.get("protocol") else []
    lines = [f"<b>{plain(str(row['model']))}</b>", *([plain(", ".join(facts))] if facts else [])]
    lines += [_measured(row, "x", brush.x), _measured(row, "y", brush.y)]
    if brush.size and pd.notna(row["size"]):
        lines.append(f"{plain(brush.size.name)}: {brush.size.number(row['size'])}")
    if pd.notna(row.get("chance")) and row["part"] == "unlearned":
        lines.append(f"On the front in {row['chance']:.0%} of resamples")
    return "<br>".join(lines)


def _measured(row: pd.Series, letter: str, axis: Axis) -> str:
    """`Answer probability on forget: 0.123 [0.081, 0.164], n = 40`."""
    value, low, high = (float(row[f"{letter}_{part}"]) for part in ("value", "low", "high"))
    interval = "" if np.isnan([low, high]).any() else f" [{axis.number(low)}, {axis.number(high)}]"
    note = " (smaller than the axis shows)" if axis.log and value < row[letter] else ""
    n = row[f"{letter}_n"]
    return f"{plain(axis.name)}: {axis.number(value)}{note}{interval}" + (f", n = {n:.0f}" if n > 0 else "")


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


def _span(points: pd.DataFrame, letter: str, axis: Axis, marks: Marks) -> tuple[float, float]:
    """Plotted range in the axis's own unit: every point, the arms of its interval and the ideal, with a margin."""
    if not len(points):
        return 0.0, 1.0
    low = float(_place(points[letter] - points[f"{letter}_minus"], axis).min())
    high = float(_place(points[letter] + points[f"{letter}_plus"], axis).max())
    if marks.ideal is not None and not axis.log:
        corner = float(axis.plotted(np.array(marks.ideal[letter == "y"])))
        low, high = min(low, corner), max(high, corner)
    margin = 0.06 * max(high - low, 0.1)
    return low - margin, high + margin


def _add_labels(
    figure: go.Figure,
    points: pd.DataFrame,
    spans: tuple[tuple[float, float], tuple[float, float]],
    brush: _DrawingStyle,
) -> None:
    """Names of original, retained and every last checkpoint, then steps on the way, where there is room."""
    places = pd.DataFrame({"x": _place(points["x"], brush.x), "y": _place(points["y"], brush.y)})
    across = _pixels(places["x"], spans[0], NOMINAL_WIDTH, brush.x.reversed)
    down = _pixels(places["y"], spans[1], NOMINAL_HEIGHT, not brush.y.reversed)
    spots = dict(zip(points.index, zip(across, down, strict=True), strict=True))
    radii = brush.diameters / 2 * points["part"].map(lambda part: STAR if part == "retained" else 1.0)
    drawn = markers([(*spots[row], float(radii[row]) + 1) for row in points.index])
    for rows in families(points).values():
        original = _origin(points, rows)
        if len(original) and rows["part"].iloc[0] == "unlearned" and rows["step"].notna().any():
            drawn += line(spots[original.index[0]], spots[rows.index[0]])
        if _joined(rows):
            drawn += [box for start, end in pairwise(rows.index) for box in line(spots[start], spots[end])]
    strong, weak = _names(points, brush.marks)
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


def _names(points: pd.DataFrame, marks: Marks) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Row and text of the labels everybody needs (who is who), and of those that help (steps along the way)."""
    strong: list[tuple[int, str]] = []
    weak: list[tuple[int, str]] = []
    for rows in reversed(families(points).values()):
        strong.append((rows.index[-1], _entry(rows, marks)))
        steps = rows["step"].iloc[:-1].dropna()
        weak += [(int(row), f"{step:g}") for row, step in steps.items()]
    return strong, weak


def _pixels(values: pd.Series, span: tuple[float, float], length: float, flip: bool) -> list[float]:
    """Positions along an axis of `length` pixels."""
    share = (values.to_numpy(float) - span[0]) / (span[1] - span[0])
    return [float(position) for position in np.asarray((1 - share if flip else share) * length)]
