"""Figures over many runs: parallel coordinates, scatter matrix, trajectories, small multiples, agreement of metrics.

Arrays and frames to Plotly figures. Every clickable point carries its run's place in `customdata`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.ink import DARK, LIGHT, Ink, faint, plain
from app.looks.model_looks import Look
from cache.analysis.board import Board
from cache.analysis.frontier import Floats

MOST_LINES = 300
"""Runs that are drawn as single lines, which can be selected; more are drawn as Plotly's own parallel coordinates."""
PANELS_ACROSS = 3


@dataclass(frozen=True, slots=True)
class Ruler:
    """One metric on an axis: key, words, and whether the axis runs from high to low."""

    key: str
    title: str
    turned: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn: runs, their looks by name, groups for the legend, the theme."""

    board: Board
    looks: Mapping[str, Look]
    groups: Sequence[str]
    dark: bool

    @property
    def ink(self) -> Ink:
        """Neutral colours."""
        return DARK if self.dark else LIGHT

    def colour(self, place: int) -> str:
        """Colour of a run."""
        return self.looks[str(self.board.heads["model"].iloc[place])].on(self.dark)


def parallel(scene: Scene, rulers: Sequence[Ruler], keep: Sequence[int] | None = None) -> go.Figure:
    """One line per run over normalised axes, best on top; lines that are not kept stay as a grey background.

    Args:
        scene: the runs.
        rulers: the axes.
        keep: places of the runs in colour; None for all.
    """
    figure = go.Figure()
    columns = [scene.board.column(ruler.key) for ruler in rulers]
    heights = [_share(column, turned=ruler.turned) for column, ruler in zip(columns, rulers, strict=True)]
    chosen = set(range(len(scene.board)) if keep is None else keep)
    seen: set[str] = set()
    for place in sorted(range(len(scene.board)), key=lambda place: place in chosen):
        group, coloured = scene.groups[place], place in chosen
        colour = scene.colour(place) if coloured else faint(scene.ink.muted, 0.25)
        values = [float(column[place]) for column in columns]
        name = str(scene.board.heads["model"].iloc[place])
        look = scene.looks[name]
        figure.add_scatter(
            x=list(range(len(rulers))),
            y=[float(height[place]) for height in heights],
            mode="lines+markers",
            line={"color": colour, "width": 2 if coloured else 1},
            marker={"symbol": look.symbol, "size": 7 if coloured else 3, "color": colour},
            name=plain(group),
            legendgroup=plain(group),
            showlegend=coloured and group not in seen,
            customdata=[place] * len(rulers),
            text=[f"{value:.4g}" for value in values],
            hovertemplate=f"<b>{plain(name)}</b><br>%{{text}}<extra></extra>",
            connectgaps=False,
        )
        if coloured:
            seen.add(group)
    for at, (ruler, column) in enumerate(zip(rulers, columns, strict=True)):
        known = column[~np.isnan(column)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        bottom, top = (high, low) if ruler.turned else (low, high)
        for height, value in ((-0.04, bottom), (1.04, top)):
            figure.add_annotation(
                x=at,
                y=height,
                text=f"{value:.3g}",
                showarrow=False,
                font={"size": 11, "color": scene.ink.muted},
            )
        figure.add_vline(x=at, line={"color": scene.ink.grid, "width": 1})
    _dress(figure, scene.ink, height=460)
    figure.update_xaxes(
        tickvals=list(range(len(rulers))),
        ticktext=[_wrapped(ruler.title) for ruler in rulers],
        showgrid=False,
        range=[-0.35, len(rulers) - 0.65],
        tickfont={"color": scene.ink.text},
    )
    figure.update_yaxes(visible=False, range=[-0.1, 1.1])
    figure.update_layout(dragmode="select", selectdirection="v")
    return figure


def parallel_many(scene: Scene, rulers: Sequence[Ruler]) -> go.Figure:
    """The same for thousands of runs, brushed in the browser: drag along an axis."""
    order = {group: place for place, group in enumerate(dict.fromkeys(scene.groups))}
    colours = [scene.colour(scene.groups.index(group)) for group in order]
    steps = max(1, len(order) - 1)
    scale = [(place / steps, colour) for place, colour in enumerate(colours)] if len(order) > 1 else None
    figure = go.Figure(
        go.Parcoords(
            line={"color": [order[group] for group in scene.groups], "colorscale": scale},
            dimensions=[
                {
                    "label": plain(ruler.title),
                    "values": np.nan_to_num(scene.board.column(ruler.key), nan=0.0),
                    **({"range": _backwards(scene.board.column(ruler.key))} if ruler.turned else {}),
                }
                for ruler in rulers
            ],
            labelfont={"color": scene.ink.text, "size": 12},
            tickfont={"color": scene.ink.muted, "size": 11},
            labelangle=-12,
        )
    )
    _dress(figure, scene.ink, height=480)
    figure.update_layout(margin={"l": 90, "r": 90, "t": 90, "b": 16})
    return figure


def matrix(scene: Scene, rulers: Sequence[Ruler]) -> go.Figure:
    """Every chosen metric against every other."""
    figure = go.Figure()
    for group in dict.fromkeys(scene.groups):
        places = [place for place, each in enumerate(scene.groups) if each == group]
        look = scene.looks[str(scene.board.heads["model"].iloc[places[0]])]
        figure.add_splom(
            dimensions=[
                {"label": _wrapped(ruler.title), "values": scene.board.column(ruler.key)[places]}
                for ruler in rulers
            ],
            name=plain(group),
            marker={"color": look.on(scene.dark), "symbol": look.symbol, "size": 6},
            text=[plain(str(scene.board.heads["model"].iloc[place])) for place in places],
            hovertemplate="<b>%{text}</b><br>%{x:.4~g}, %{y:.4~g}<extra></extra>",
            diagonal_visible=False,
            showupperhalf=False,
        )
    _dress(figure, scene.ink, height=max(420, 190 * len(rulers)))
    for place, ruler in enumerate(rulers, start=1):
        name = "" if place == 1 else str(place)
        grid = {"gridcolor": scene.ink.grid, "zeroline": False, "tickfont": {"color": scene.ink.muted}}
        if ruler.turned:
            grid["autorange"] = "reversed"
        figure.update_layout({f"xaxis{name}": grid, f"yaxis{name}": grid})
    return figure


def panels(
    scene: Scene, rulers: Sequence[Ruler], *, against: Ruler | None, lines: Sequence[str]
) -> go.Figure:
    """Small multiples: one panel per metric, over the step of the trajectory, or along with another metric.

    Args:
        scene: the runs.
        rulers: one panel each.
        against: metric of the vertical axis, the panels' own being horizontal, as on the trade-off chart; None for
            the step horizontally and the panels' own vertically.
        lines: what joins the runs of one trajectory, by run; "" for none.
    """
    across = min(PANELS_ACROSS, len(rulers))
    rows = ceil(len(rulers) / across)
    figure = make_subplots(
        rows=rows,
        cols=across,
        subplot_titles=[plain(ruler.title) for ruler in rulers],
        horizontal_spacing=0.07,
        vertical_spacing=0.3 / rows,
    )
    steps = scene.board.heads["step"].astype("Float64").to_numpy(float, na_value=np.nan)
    other = steps if against is None else scene.board.column(against.key)
    for number, ruler in enumerate(rulers):
        for group, places in _trajectories(scene, lines).items():
            own = scene.board.column(ruler.key)
            ends = (other, own) if against is None else (own, other)
            _add_trajectory(figure, scene, (number // across + 1, number % across + 1), ends, group, places)
        _add_levels(figure, scene, (number // across + 1, number % across + 1), ruler, steps=against is None)
        turn = figure.update_yaxes if against is None else figure.update_xaxes
        if ruler.turned:
            turn(autorange="reversed", row=number // across + 1, col=number % across + 1)
    _dress(figure, scene.ink, height=60 + 300 * rows)
    figure.update_xaxes(gridcolor=scene.ink.grid, zeroline=False, title="step" if against is None else None)
    if against is not None:
        figure.update_yaxes(title=_wrapped(against.title), col=1)
        if against.turned:
            figure.update_yaxes(autorange="reversed")
    figure.update_yaxes(gridcolor=scene.ink.grid, zeroline=False)
    figure.update_annotations(font={"size": 13, "color": scene.ink.text})
    figure.update_layout(margin={"t": 84}, legend={"y": 1.0, "yref": "container", "yanchor": "top"})
    return figure


def correlation(titles: Sequence[str], values: Floats, dark: bool) -> go.Figure:
    """Rank correlations of metrics as a heat map with its numbers: blue agree, orange contradict."""
    ink = DARK if dark else LIGHT
    middle = "#20252E" if dark else "#F7F7F7"
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=[_wrapped(title) for title in titles],
            y=[_wrapped(title) for title in titles],
            zmin=-1,
            zmax=1,
            colorscale=[(0, "#D55E00"), (0.5, middle), (1, "#0072B2")],
            text=[["" if np.isnan(value) else f"{value:+.2f}" for value in row] for row in values],
            texttemplate="%{text}",
            hovertemplate="%{x}<br>%{y}<br>%{z:.3f}<extra></extra>",
            colorbar={"title": "ρ", "tickfont": {"color": ink.muted}},
        )
    )
    _dress(figure, ink, height=140 + 60 * len(titles))
    figure.update_yaxes(autorange="reversed")
    return figure


def _trajectories(scene: Scene, lines: Sequence[str]) -> dict[str, list[int]]:
    """Places of the unlearned runs by trajectory, in step order."""
    heads = scene.board.heads
    result: dict[str, list[int]] = {}
    for place in np.flatnonzero((heads["part"] == "unlearned").to_numpy()):
        name = lines[int(place)] or str(heads["model"].iloc[place])
        result.setdefault(name, []).append(int(place))
    steps = heads["step"].astype("Float64").to_numpy(float, na_value=np.inf)
    return {name: sorted(places, key=lambda place: steps[place]) for name, places in result.items()}


def _add_trajectory(
    figure: go.Figure,
    scene: Scene,
    cell: tuple[int, int],
    ends: tuple[Floats, Floats],
    name: str,
    places: Sequence[int],
) -> None:
    x, values = ends
    places = [place for place in places if not np.isnan(values[place]) and not np.isnan(x[place])]
    if not places:
        return
    group = scene.groups[places[0]]
    models = [str(scene.board.heads["model"].iloc[place]) for place in places]
    look = scene.looks[models[0]]
    shown = not any(trace.legendgroup == plain(group) for trace in figure.data)
    figure.add_scatter(
        row=cell[0],
        col=cell[1],
        x=x[list(places)],
        y=values[list(places)],
        mode="lines+markers",
        line={"color": look.on(scene.dark), "dash": look.dash, "width": 2},
        marker={"symbol": look.symbol, "size": 8, "color": look.on(scene.dark)},
        name=plain(group),
        legendgroup=plain(group),
        showlegend=shown,
        customdata=list(places),
        text=[plain(model) for model in models],
        hovertemplate="<b>%{text}</b><br>%{x:.4~g}: %{y:.4~g}<extra></extra>",
    )


def _add_levels(figure: go.Figure, scene: Scene, cell: tuple[int, int], ruler: Ruler, *, steps: bool) -> None:
    """The original's and the retained model's values as lines across the panel."""
    if not steps:
        return
    heads = scene.board.heads
    for part, dash, spot in (("original", "solid", "top left"), ("retained", "dot", "bottom right")):
        places = np.flatnonzero((heads["part"] == part).to_numpy())
        values = scene.board.column(ruler.key)[places]
        for place, value in zip(places, values, strict=True):
            if np.isnan(value):
                continue
            figure.add_hline(
                y=float(value),
                row=cell[0],
                col=cell[1],
                line={"color": scene.colour(int(place)), "width": 1.2, "dash": dash},
                annotation={"text": plain(str(heads["model"].iloc[place])), "font": {"size": 10}},
                annotation_position=spot,
            )


def _share(column: Floats, *, turned: bool) -> Floats:
    """Values scaled to 0..1, best (or highest) at 1."""
    known = column[~np.isnan(column)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    share: Floats = (column - low) / (high - low) if high > low else np.where(np.isnan(column), np.nan, 0.5)
    return 1 - share if turned else share


def _backwards(column: Floats) -> list[float]:
    known = column[~np.isnan(column)]
    return [float(known.max()), float(known.min())] if len(known) else [1.0, 0.0]


def _wrapped(title: str, width: int = 22) -> str:
    """A title in lines that fit under an axis."""
    lines = [""]
    for word in plain(title).split(" "):
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def _dress(figure: go.Figure, ink: Ink, *, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 12, "t": 40, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink.text},
        legend={"orientation": "h", "y": 1.04, "yanchor": "bottom", "x": 0, "font": {"color": ink.text}},
        hoverlabel={"align": "left"},
        clickmode="event+select",
    )
