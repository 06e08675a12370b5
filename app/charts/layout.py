"""Axes, grid and legend of a trade-off chart."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from app.charts.drawing import Properties
from app.charts.ink import Ink, plain
from app.charts.points import Axis

HEIGHT = 560  # pixels
TICKS = 7  # powers of ten on a logarithmic axis, at most about this many


def layout(x: Axis, y: Axis, spans: Sequence[tuple[float, float]], ink: Ink) -> Properties:
    """Axes and legend of the figure; spans are in the axes' own units."""
    return {
        "xaxis": _axis(x, spans[0], ink),
        "yaxis": _axis(y, spans[1], ink),
        "height": HEIGHT,
        "margin": {"l": 8, "r": 12, "t": 36, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": ink.text},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 12, "color": ink.text},
            "itemclick": "toggle",
            "itemsizing": "trace",
        },
        # Where somebody zoomed to is kept as long as the axes are the same.
        "uirevision": repr((x, y)),
        "hoverlabel": {"align": "left"},
        "dragmode": "zoom",
        "clickmode": "event+select",
    }


def _axis(axis: Axis, span: tuple[float, float], ink: Ink) -> Properties:
    title = {"text": plain(axis.label), "font": {"size": 14, "color": ink.text}, "standoff": 12}
    common = {
        "title": title,
        "range": list(reversed(span)) if axis.reversed else list(span),
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
    if not axis.log:
        return common
    step = max(1, ceil((span[1] - span[0]) / TICKS))
    return common | {"type": "log", "dtick": step, "tick0": 0, "tickformat": "", "exponentformat": "power"}
