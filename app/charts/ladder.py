"""The ladder of attacks as a chart: a row an attack, a mark a model, from the floor at 0 to the ceiling at 1.

One unit of the vertical axis is a pixel, from the top: every row is as high as its marks need, on any screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from app.charts.drawing import Drawing, Properties
from app.charts.ink import DARK, LIGHT, Ink, faint, plain
from app.looks.model_looks import Look

LEFT, RIGHT = -0.25, 1.25
"""Where the axis ends; what lies beyond is drawn at its edge."""
HEADING, LABEL, PITCH, NOTE, BELOW = 34, 24, 11, 18, 6
"""Pixels: of a group's name, of an attack's, from one mark to the next, of a line of a note, under the last.

Texts keep apart: of two that meet the component hides one.
"""
NOTE_CHARACTERS = 62
"""What fits on a phone."""
TOP, BOTTOM, LEGEND = 30, 44, 28
MARK = 9


@dataclass(frozen=True, slots=True)
class Mark:
    """One model under one attack.

    Attributes:
        model: its name.
        share, low, high: what is recovered, with its interval; NaN for an end that cannot be told.
        sure: it recovers something.
        said: what hovering tells, lines.
        code: what a click hands over.
    """

    model: str
    share: float
    low: float
    high: float
    sure: bool
    said: tuple[str, ...]
    code: int


@dataclass(frozen=True, slots=True)
class Row:
    """One attack: its marks, and below them why the models without one have none."""

    title: str
    marks: tuple[Mark, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Attacks that take the same; the plain question and the strongest are groups without a name."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class End:
    """What 0 or 1 stands for: a model with its look, or words alone."""

    title: str
    look: Look | None


def ladder_drawing(
    groups: Sequence[Group],
    looks: Mapping[str, Look],
    floor: End,
    ceiling: End,
    *,
    dark: bool,
    legend: bool = False,
) -> Drawing:
    """The chart.

    Args:
        groups: rows from top to bottom.
        looks: of the models, in the order of the legend.
        floor, ceiling: what 0 and 1 are.
        dark: theme.
        legend: names the models; on the page the list of verdicts above it does.
    """
    ink = DARK if dark else LIGHT
    drawing = Drawing()
    height = 0.0
    placed: dict[str, list[tuple[Mark, float]]] = {name: [] for name in looks}
    for group in groups:
        if group.title:
            drawing.annotations.append(
                _text(group.title, height + HEADING / 2 + 4, ink.text, 13, ink.paper, bold=True)
            )
            height += HEADING
        for row in group.rows:
            height = _row(drawing, row, height, placed, ink)
    for name, marks in placed.items():
        _marks(drawing, name, marks, looks[name], dark=dark)
        if legend:
            _legend(drawing, name, looks[name], dark=dark)
    _ends(drawing, floor, ceiling, ink, dark=dark)
    drawing.layout.update(_layout(height, ink, legend=legend))
    return drawing


def _row(
    drawing: Drawing, row: Row, top: float, placed: dict[str, list[tuple[Mark, float]]], ink: Ink
) -> float:
    """Draws the row's name and notes, places its marks; returns where it ends."""
    drawing.annotations.append(_text(row.title, top + LABEL / 2, ink.text, 12, ink.paper))
    at = top + LABEL
    for mark in row.marks:
        placed[mark.model].append((mark, at + PITCH / 2))
        at += PITCH
    for note in row.notes:
        for line in wrap(note, NOTE_CHARACTERS):
            drawing.annotations.append(_text(line, at + NOTE / 2, ink.muted, 11, ink.paper))
            at += NOTE
    end = at + BELOW
    below = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": end, "y1": end}
    drawing.shapes.append({**below, "line": {"color": ink.grid, "width": 1}, "layer": "below"})
    return end


def _text(text: str, at: float, colour: str, size: int, paper: str, *, bold: bool = False) -> Properties:
    shown = plain(text)
    return {
        "text": f"<b>{shown}</b>" if bold else shown,
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "yref": "y",
        "y": at,
        "yanchor": "middle",
        "showarrow": False,
        "align": "left",
        "bgcolor": paper,
        "borderpad": 0,
        "font": {"size": size, "color": colour},
    }


def _marks(
    drawing: Drawing,
    name: str,
    marks: Sequence[tuple[Mark, float]],
    look: Look,
    *,
    dark: bool,
) -> None:
    colour = look.on(dark)
    shares = [_within(mark.share) for mark, _ in marks]
    drawing.scatter(
        x=shares,
        y=[at for _, at in marks],
        mode="markers",
        name=plain(name),
        customdata=[mark.code for mark, _ in marks],
        marker={
            "symbol": [look.symbol if mark.sure else f"{look.symbol}-open" for mark, _ in marks],
            "size": MARK,
            "color": colour,
            "line": {"color": colour, "width": 1.4},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [_arm(share, mark.high) for share, (mark, _) in zip(shares, marks, strict=True)],
            "arrayminus": [-_arm(share, mark.low) for share, (mark, _) in zip(shares, marks, strict=True)],
            "color": faint(colour, 0.55),
            "thickness": 1.6,
            "width": 0,
        },
        hovertext=["<br>".join(map(plain, mark.said)) for mark, _ in marks],
        hovertemplate="%{hovertext}<extra></extra>",
        selected={"marker": {"opacity": 1, "size": MARK + 4}},
        unselected={"marker": {"opacity": 0.6}},
        showlegend=False,
    )


def _legend(drawing: Drawing, name: str, look: Look, *, dark: bool) -> None:
    """Every model once, filled, whatever its first mark is."""
    marker = {"symbol": look.symbol, "size": MARK, "color": look.on(dark)}
    drawing.scatter(x=[None], y=[None], mode="markers", name=plain(name), marker=marker, hoverinfo="skip")


def _within(share: float) -> float:
    return min(max(share, LEFT), RIGHT)


def _arm(share: float, end: float) -> float:
    """Length of an arm with its sign, as far as the axis goes; an end that cannot be told reaches the edge."""
    return 0.0 if math.isnan(end) else _within(end) - share


def _ends(drawing: Drawing, floor: End, ceiling: End, ink: Ink, *, dark: bool) -> None:
    """The lines at 0 and 1 with their names above the plot."""
    for at, end, anchor in ((0.0, floor, "center"), (1.0, ceiling, "center")):
        colour = end.look.on(dark) if end.look is not None else ink.muted
        drawing.shapes.append(
            {
                "type": "line",
                "xref": "x",
                "x0": at,
                "x1": at,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"color": faint(colour, 0.75), "width": 1.5},
                "layer": "below",
            }
        )
        glyph = f"{end.look.glyph} " if end.look is not None else ""
        drawing.annotations.append(
            {
                "text": f'<span style="color:{colour}">{glyph}</span>{plain(end.title)}',
                "xref": "x",
                "x": at,
                "xanchor": anchor,
                "yref": "paper",
                "y": 1,
                "yanchor": "bottom",
                "yshift": 4,
                "showarrow": False,
                "font": {"size": 12, "color": ink.text},
            }
        )


def _layout(height: float, ink: Ink, *, legend: bool) -> Properties:
    top = TOP + (LEGEND if legend else 0)
    return {
        "height": round(height) + top + BOTTOM,
        "margin": {"l": 8, "r": 12, "t": top, "b": BOTTOM},
        "xaxis": {
            "range": [LEFT, RIGHT],
            "fixedrange": True,
            "tickvals": [-0.25, 0, 0.25, 0.5, 0.75, 1, 1.25],
            "tickformat": ".0%",
            "showgrid": True,
            "gridcolor": ink.grid,
            "zeroline": False,
            "tickfont": {"size": 12, "color": ink.muted},
            "title": {"text": "Recovered", "font": {"size": 13, "color": ink.text}, "standoff": 8},
            "automargin": False,
        },
        "yaxis": {
            "range": [height, 0],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "showticklabels": False,
            "automargin": False,
        },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": ink.text},
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "yref": "container"},
        "hoverlabel": {"align": "left"},
        "hovermode": "closest",
        "clickmode": "event+select",
        "dragmode": False,
    }
