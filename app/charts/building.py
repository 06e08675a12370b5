"""Runs while they are made: loss, what is measured at checkpoints, and the trade-off as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.ink import DARK, LIGHT, plain
from app.looks.model_looks import Look


class Trace(NamedTuple):
    """A run: step and loss of every step; step, forget and utility of every checkpoint, the original as step 0."""

    label: str
    losses: Sequence[tuple[int, float]]
    measured: Sequence[tuple[int, float, float]]
    look: Look


class MeasureNames(NamedTuple):
    """What the measurements are called, with the way that is better."""

    forget: str
    utility: str
    forget_falls: bool  # lower is better: its axis runs backwards, so that up is better


def building_figure(traces: Sequence[Trace], words: MeasureNames, *, dark: bool) -> go.Figure:
    """Three panels: loss over steps, both measurements over steps, one against the other.

    Args:
        traces: the runs.
        words: names of the measurements.
        dark: theme.
    """
    ink = DARK if dark else LIGHT
    titles = ["Loss of each step", "Measured at checkpoints", "Trade-off (up and right are better)"]
    figure = make_subplots(rows=1, cols=3, subplot_titles=titles, horizontal_spacing=0.1)
    for trace in traces:
        colour, name = trace.look.on(dark), plain(trace.label)
        line = {"color": colour, "width": 1.6}
        figure.add_scatter(
            row=1, col=1, x=[s for s, _ in trace.losses], y=[v for _, v in trace.losses], mode="lines", line=line,
            name=name, legendgroup=name, hovertemplate=f"{name}<br>step %{{x}}: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
        for place, (word, dash) in enumerate(((words.forget, "solid"), (words.utility, "dot")), start=1):
            figure.add_scatter(
                row=1, col=2, x=[m[0] for m in trace.measured], y=[m[place] for m in trace.measured],
                mode="lines+markers", line={**line, "dash": dash}, marker={"size": 6, "symbol": trace.look.symbol},
                legendgroup=name, showlegend=False,
                hovertemplate=f"{name}, {plain(word)}<br>step %{{x}}: %{{y:.3f}}<extra></extra>",
            )  # fmt: skip
        figure.add_scatter(
            row=1, col=3, x=[m[1] for m in trace.measured], y=[m[2] for m in trace.measured],
            text=[f"step {m[0]}" if m[0] else "original" for m in trace.measured], mode="lines+markers", line=line,
            marker={"size": [9 if m[0] else 12 for m in trace.measured], "symbol": trace.look.symbol},
            legendgroup=name, showlegend=False,
            hovertemplate=f"{name}, %{{text}}<br>forget %{{x:.3f}}, utility %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        height=330, margin={"l": 8, "r": 8, "t": 56, "b": 8}, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", font={"color": ink.text, "size": 12}, hovermode="closest",
        legend={"orientation": "h", "y": -0.22, "x": 0}, showlegend=bool(traces),
    )  # fmt: skip
    figure.update_xaxes(gridcolor=ink.grid, zerolinecolor=ink.grid, linecolor=ink.muted, automargin=True)
    figure.update_yaxes(gridcolor=ink.grid, zerolinecolor=ink.grid, linecolor=ink.muted, automargin=True)
    for column in (1, 2):
        figure.update_xaxes(title={"text": "Step", "standoff": 4}, row=1, col=column)
    figure.update_yaxes(title={"text": "solid: forget, dotted: utility", "standoff": 14}, row=1, col=2)
    figure.update_xaxes(title={"text": plain(words.forget), "standoff": 4}, row=1, col=3)
    figure.update_yaxes(title={"text": plain(words.utility), "standoff": 14}, row=1, col=3)
    if words.forget_falls:
        figure.update_xaxes(autorange="reversed", row=1, col=3)
    return figure
