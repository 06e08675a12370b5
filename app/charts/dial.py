"""The strength curve: two metrics over a, each with its 95 % band, the original's and the retained model's levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.ink import DARK, LIGHT, faint, plain
from app.charts.points import Axis
from app.looks.model_looks import Look
from cache.analysis.frontier import Floats


class Level(NamedTuple):
    """A model's values on both metrics, as lines across the panels."""

    name: str
    values: tuple[float, ...]
    look: Look


def dial_figure(
    strengths: Floats,
    values: Floats,
    intervals: Floats,
    axes: Sequence[Axis],
    look: Look,
    levels: Sequence[Level],
    marked: float,
    *,
    dark: bool,
) -> go.Figure:
    """A panel for each metric, side by side over the same a.

    Args:
        strengths: a of each point, ascending, shape (n,).
        values: shape (n, metrics), as measured; NaN where not evaluated.
        intervals: shape (n, metrics, 2): low and high by metric.
        axes: the metrics.
        look: of the unlearned model's method.
        levels: original and retained model.
        marked: the strength with a line.
        dark: theme.
    """
    ink, colour = (DARK if dark else LIGHT), look.on(dark)
    titles = [f"{plain(axis.name)}<br>({axis.way})" for axis in axes]
    figure = make_subplots(rows=1, cols=len(axes), subplot_titles=titles, horizontal_spacing=0.08)
    for panel, axis in enumerate(axes, start=1):
        column, band = values[:, panel - 1], intervals[:, panel - 1]
        known = ~np.isnan(band).any(axis=1)
        if known.sum() > 1:
            outline = np.concatenate([strengths[known], strengths[known][::-1]])
            figure.add_scatter(
                row=1,
                col=panel,
                x=outline,
                y=np.concatenate([band[known, 1], band[known, 0][::-1]]),
                mode="lines",
                fill="toself",
                fillcolor=faint(colour, 0.14),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        there = ~np.isnan(column)
        figure.add_scatter(
            row=1,
            col=panel,
            x=strengths[there],
            y=column[there],
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={
                "symbol": look.symbol,
                "size": [14 if a == marked else 9 for a in strengths[there]],
                "color": colour,
            },
            hovertemplate="a = %{x:g}<br>%{y:.4~g}<extra></extra>",
            showlegend=False,
        )
        figure.add_vline(x=marked, row=1, col=panel, line={"color": ink.muted, "width": 1, "dash": "dot"})
        for level, spot in zip(levels, ("top left", "bottom right"), strict=False):
            value = level.values[panel - 1]
            if not np.isnan(value):
                figure.add_hline(
                    y=value,
                    row=1,
                    col=panel,
                    line={"color": level.look.on(dark), "width": 1.2, "dash": "dash"},
                    annotation={"text": plain(level.name), "font": {"size": 11, "color": ink.text}},
                    annotation_position=spot,
                )
        if axis.log:
            figure.update_yaxes(type="log", row=1, col=panel)
        if axis.reversed:
            figure.update_yaxes(autorange="reversed", row=1, col=panel)
    figure.update_xaxes(title="strength a", gridcolor=ink.grid, zeroline=False, tickfont={"color": ink.muted})
    figure.update_yaxes(gridcolor=ink.grid, zeroline=False, tickfont={"color": ink.muted})
    figure.update_layout(
        height=380,
        margin={"l": 8, "r": 12, "t": 56, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink.text},
    )
    for title in figure.layout.annotations[: len(axes)]:
        title.font.size = 13
    return figure
