"""Attacks that differ in strength alone, as curves: a line a model over the strength, original and floor beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.charts.drawing import Drawing
from app.charts.ink import DARK, LIGHT, faint, plain
from app.looks.model_looks import Look

HEIGHT = 300


class Curve(NamedTuple):
    """One model: strength, score, and the ends of its 95 % interval, NaN where there are none."""

    name: str
    look: Look
    points: Sequence[tuple[float, float, float, float]]


def curves_drawing(curves: Sequence[Curve], unit: str, score: str, *, dark: bool) -> Drawing:
    """A line a model.

    Args:
        curves: of the models.
        unit: of the strength, in words.
        score: what is measured.
        dark: theme.
    """
    ink = DARK if dark else LIGHT
    drawing = Drawing()
    for curve in curves:
        colour = curve.look.on(dark)
        drawing.scatter(
            x=[each[0] for each in curve.points],
            y=[each[1] for each in curve.points],
            mode="lines+markers",
            name=plain(curve.name),
            line={"color": colour, "width": 1.8, "dash": curve.look.dash},
            marker={"symbol": curve.look.symbol, "size": 8, "color": colour},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [_arm(high - value) for _, value, _, high in curve.points],
                "arrayminus": [_arm(value - low) for _, value, low, _ in curve.points],
                "color": faint(colour, 0.45),
                "thickness": 1.4,
                "width": 0,
            },
            hovertemplate=f"{plain(curve.name)}<br>%{{x:g}} {plain(unit)}: %{{y:.2f}}<extra></extra>",
        )
    axis = {
        "gridcolor": ink.grid,
        "zeroline": False,
        "tickfont": {"size": 12, "color": ink.muted},
        "fixedrange": True,
    }
    drawing.layout.update(
        height=HEIGHT,
        margin={"l": 8, "r": 12, "t": 12, "b": 8},
        xaxis={
            **axis,
            "title": {"text": plain(unit), "font": {"size": 13, "color": ink.text}, "standoff": 8},
        },
        yaxis={
            **axis,
            "title": {"text": plain(score), "font": {"size": 13, "color": ink.text}, "standoff": 8},
            "range": [-0.03, 1.03],
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink.text},
        showlegend=False,
        dragmode=False,
        hoverlabel={"align": "left"},
    )
    return drawing


def _arm(length: float) -> float:
    return max(0.0, length) if length == length else 0.0
