"""Axes, grid and legend of a trade-off chart."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import plotly.graph_objects as go

from app.charts.ink import Ink, plain
from app.charts.points import Axis

TICKS = 7  # powers of ten on a logarithmic axis, at most about this many


def lay_out(figure: go.Figure, x: Axis, y: Axis, spans: Sequence[tuple[float, float]], ink: Ink) -> None:
    """Give the figure its axes and legend; spans are in the axes' own units."""
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
