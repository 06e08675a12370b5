"""The trade-off chart: one point per checkpoint, one line per method, intervals, Pareto front. Data frame to Plotly
figure.

Knows nothing about Streamlit, stores or how the values came about. Every clickable point carries its model's code in
`customdata`. Works on columns, so that a thousand points cost little more than thirty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.drawing import Drawing
from app.charts.ink import DARK, LIGHT, Ink, faint, plain
from app.charts.labels import lines, markers, place, shortened
from app.charts.layout import layout
from app.charts.marks import PLAIN, Marks, add_band, add_front, add_ideal, add_outlines, add_over_forgotten
from app.charts.points import DESTROYED, OVER, Axis
from app.looks.model_looks import Look
from app.looks.names import protocol_words
from cache.analysis.frontier import Floats

NOMINAL_WIDTH, NOMINAL_HEIGHT = 560.0, 430.0  # plot area in pixels at a window of 1280, for placing labels
MARKER, MARKER_MIN, MARKER_MAX = 11.0, 7.0, 24.0  # diameters, pixels
STAR = 1.7  # a star's arms are thin; larger than the others, it shows beneath a point of a method
MOST_ENTRIES = 12  # of the legend: those whose name has no room on the chart
MANY = 1000  # points beyond which WebGL draws them, without lines and intervals
NOT_ON_FRONT = {
    DESTROYED: "Destroyed, so not on the front",
    OVER: "Beyond the retained model with its whole interval, so not on the front",
}
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Family:
    """Points that are drawn together.

    Attributes:
        places: rows of the points, in step order.
        part: of the models.
        entry: the legend's words.
        origin: row of the original that they started from; None where there is none.
        joined: they are a trajectory, several checkpoints at known steps.
        dated: at least one of them has a step.
    """

    places: NDArray[np.int64]
    part: str
    entry: str
    origin: int | None
    joined: bool
    dated: bool


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
        faint=_column(points, "layer").isin(marks.faint).to_numpy(),
        hover=points["model"].map(plain).tolist() if many else _hovers(points, x, y, size, marks),
    )
    drawing = Drawing()
    add_front(drawing, points, x, y, ink)
    add_band(drawing, points, x, y, marks, ink)
    # The large star of the retained model first: a point on top of it hides it only in part.
    every = families(points, marks, by_line=not many)
    spans = _span(points, "x", x, marks), _span(points, "y", y, marks)
    named = set() if many or not len(points) else _add_labels(drawing, points, every, spans, brush)
    legend: set[str] = set(named)
    unnamed = {family.entry for family in every} - named
    if len(unnamed) > MOST_ENTRIES:  # more would cover the plot, and their looks repeat
        legend |= unnamed
    for family in sorted(every, key=lambda family: family.part != "retained"):
        look = looks[models[family.places[0]]]
        if family.part == "unlearned" and not many:
            _add_start(drawing, family, points, look.on(dark), look.dash)
        add_outlines(drawing, [models[row] for row in family.places], x, y, look.on(dark), marks)
        (_add_many if many else _add_family)(drawing, family, points, look, brush)
        if family.entry not in legend:
            _add_legend(drawing, family, look, brush)
        legend.add(family.entry)
    add_ideal(drawing, x, y, marks, ink)
    add_over_forgotten(drawing, x, y, spans, marks, ink)
    counted = x.counted(points["x_n"].to_numpy()), y.counted(points["y_n"].to_numpy())
    drawing.layout.update(layout(*counted, spans, ink))
    return drawing


def families(points: pd.DataFrame, marks: Marks = PLAIN, *, by_line: bool = True) -> list[Family]:
    """What is drawn together, in the order of the points, original and retained last.

    Args:
        points: rows of `chart_points`.
        marks: which layers are not the study's own.
        by_line: one family for each line (trajectory) of a method, where the points say which they belong to; else one
            for each method of each layer.
    """
    part, model = points["part"], points["model"].astype(str)
    method, layer = _column(points, "method").astype(str), _column(points, "layer").astype(str)
    group = method.where(method != "", model)
    if by_line and "line" in points:
        group = points["line"].where(points["line"] != "", group)
    if layer.nunique() > 1:
        group = group + " · " + layer
    steps = _steps(points)
    originals = {str(layer[row]): int(row) for row in reversed(np.flatnonzero(part == "original"))}

    def family(places: NDArray[np.int64]) -> Family:
        first, known = int(places[0]), ~np.isnan(steps[places])
        of = str(part[first])
        words = str(model[first])
        if of == "unlearned":
            words = method[first] or words
        elif points["layer"][first] in marks.foreign if "layer" in points else False:
            words = of.capitalize()
        joined = len(places) > 1 and bool(known.all())
        return Family(places, of, words, originals.get(str(layer[first])), joined, bool(known.any()))

    rows = np.flatnonzero(part == "unlearned")
    order = rows[np.argsort(steps[rows], kind="stable")]  # unknown steps come last
    codes, names = pd.factorize(group[rows])
    placed = pd.Series(codes, index=rows)[order].to_numpy()
    held = [family(order[placed == number]) for number in range(len(names))]
    alone = [row for name in ("original", "retained") for row in np.flatnonzero(part == name)]
    return held + [family(np.array([row])) for row in alone]


def describe(points: pd.DataFrame, x: Axis, y: Axis) -> str:
    """The chart in words, for people who do not see it."""
    front = ", ".join(points.loc[points["front"], "model"]) or "none"
    return (
        f"Scatter plot of {len(points)} models: {x.label} against {y.label}. "
        f"On the Pareto front of the unlearned models: {front}. The table below has the same values."
    )


def figure_note(points: pd.DataFrame, marks: Marks, *, judged: bool) -> str:
    """What a saved figure must say by itself: number of probes, protocol, meaning of bars and markers."""
    counts = points[["x_n", "y_n"]].to_numpy(float)
    known = counts[counts > 0]
    said = []
    if len(known):
        least, most = int(known.min()), int(known.max())
        said.append(f"n = {least:,}" + (f" to {most:,}" if most > least else ""))
    protocols = sorted({protocol_words(str(each)) for each in _column(points, "protocol")} - {""})
    said += [f"protocol {', '.join(protocols)}"] if protocols else []
    shapes = {"bars": "bars: 95 % intervals", "ellipses": "ellipses: 95 % regions of both metrics"}
    said += [shapes[marks.intervals]] if marks.intervals in shapes else []
    if judged:
        said.append("filled: on the Pareto front (grey line); hollow: dominated, over-forgotten or destroyed")
    said += ["star: retained model"] if (points["part"] == "retained").any() else []
    return plain("; ".join(said) + ".")


def _column(points: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column of words, "" where there is none."""
    if name not in points:
        return pd.Series("", index=points.index)
    return points[name].fillna("")


def _steps(points: pd.DataFrame) -> Floats:
    """Steps as numbers, NaN where unknown."""
    numbers = pd.to_numeric(points["step"], errors="coerce").astype("Float64")
    steps: Floats = numbers.to_numpy(float, na_value=np.nan)
    return steps


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
    drawing: Drawing, family: Family, points: pd.DataFrame, look: Look, brush: _DrawingStyle
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
    )


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
        name=plain(family.entry),
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
    words = zip(*(_column(points, name).tolist() for name in names), strict=True)
    chances = points["chance"].to_numpy(float) if "chance" in points else np.full(len(points), np.nan)
    numbers = zip(_steps(points), points["size"].to_numpy(float), chances, strict=True)
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


def _place(values: Floats, axis: Axis) -> Floats:
    """Where values lie along an axis, in its own unit: powers of ten on a logarithmic one."""
    return np.log10(values) if axis.log else values


def _span(points: pd.DataFrame, letter: str, axis: Axis, marks: Marks) -> Span:
    """Plotted range in the axis's own unit: every point, the arms of its interval and the ideal, with a margin."""
    if not len(points):
        return 0.0, 1.0
    at, minus, plus = (points[letter + arm].to_numpy(float) for arm in ("", "_minus", "_plus"))
    low, high = float(_place(at - minus, axis).min()), float(_place(at + plus, axis).max())
    if marks.ideal is not None and not axis.log:
        corner = float(marks.ideal[letter == "y"])
        low, high = min(low, corner), max(high, corner)
    margin = 0.06 * max(high - low, 0.1)
    return low - margin, high + margin


def _add_labels(
    drawing: Drawing,
    points: pd.DataFrame,
    every: Sequence[Family],
    spans: tuple[Span, Span],
    brush: _DrawingStyle,
) -> set[str]:
    """Names of original, retained and every last checkpoint, then steps on the way, where there is room.

    Returns:
        Those of the names that stand on the chart.
    """
    x, y = _place(points["x"].to_numpy(float), brush.x), _place(points["y"].to_numpy(float), brush.y)
    across = _pixels(x, spans[0], NOMINAL_WIDTH, flip=brush.x.reversed)
    down = _pixels(y, spans[1], NOMINAL_HEIGHT, flip=not brush.y.reversed)
    spots = np.column_stack([across, down])
    radii = brush.diameters / 2 * np.where(points["part"] == "retained", STAR, 1.0)
    strokes = [
        (family.origin, int(family.places[0]))
        for family in every
        if family.origin is not None and family.part == "unlearned" and family.dated
    ]
    strokes += [pair for each in every if each.joined for pair in pairwise(each.places)]
    ends = np.array(strokes, int).reshape(-1, 2)
    drawn = np.concatenate([markers(spots, radii + 1), lines(spots[ends[:, 0]], spots[ends[:, 1]])])
    rows, texts, strong = _names(points, every)
    written = [shortened(text) for text in texts]
    offsets = place(
        spots[rows], radii[rows], written, drawn, NOMINAL_WIDTH, NOMINAL_HEIGHT, with_leaders=strong
    )
    named = set()
    for rank in np.flatnonzero(~np.isnan(offsets[:, 0])):
        needed = rank < strong
        if needed:
            named.add(texts[rank])
        if float(offsets[rank, 2]):
            _add_leader(drawing, (x[rows[rank]], y[rows[rank]]), offsets[rank], written[rank], brush.ink)
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
                    "color": brush.ink.text if needed else brush.ink.muted,
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
    steps = _steps(points)
    last = [(int(family.places[-1]), family.entry) for family in reversed(every)]
    along = [
        (int(row), f"{steps[row]:g}")
        for family in reversed(every)
        for row in family.places[:-1]
        if not np.isnan(steps[row])
    ]
    rows = np.array([row for row, _ in last + along], int)
    return rows, [text for _, text in last + along], len(last)


def _pixels(values: Floats, span: Span, length: float, *, flip: bool) -> Floats:
    """Positions along an axis of `length` pixels."""
    share = (values - span[0]) / (span[1] - span[0])
    return (1 - share if flip else share) * length
