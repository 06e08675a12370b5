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
from app.charts.line_ends import LETTER_HEIGHT, MOST_NAMES, LineEnd, Panel, add_line_ends, room
from app.looks.model_looks import Look
from app.looks.short_names import cut, short_names
from cache.analysis.board import Board
from cache.analysis.frontier import Floats

MOST_LINES = 300
"""Runs that are drawn as single lines, which can be selected; more are drawn as Plotly's own parallel coordinates."""
PANELS_ACROSS = 2
BESIDE = 12
"""Characters of the longest name with which panels of one figure stand beside each other."""
PANEL_HEIGHT, PANEL_ROW = 216.0, 300
"""Pixels of a panel, and of a row of panels with titles and ticks."""


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

    def short(self) -> Mapping[str, str]:
        """Groups as they are named on the chart."""
        unlearned = (self.board.heads["part"] == "unlearned").to_numpy(bool)
        methods = [group for group, own in zip(self.groups, unlearned, strict=True) if own]
        return {group: cut(group) for group in self.groups} | short_names(methods)

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
    ends: dict[str, LineEnd] = {}
    short = scene.short()
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
            showlegend=False,
            customdata=[place] * len(rulers),
            text=[f"{value:.4g}" for value in values],
            hovertemplate=f"<b>{plain(name)}</b><br>%{{text}}<extra></extra>",
            connectgaps=False,
        )
        if coloured and not np.isnan(heights[-1][place]):
            ends[group] = LineEnd(len(rulers) - 1.0, float(heights[-1][place]), short[group], colour)
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
    across, up = (-0.35, len(rulers) - 0.9), (-0.1, 1.1)
    figure.update_xaxes(
        tickvals=list(range(len(rulers))),
        ticktext=[_wrapped(ruler.title) for ruler in rulers],
        showgrid=False,
        range=across,
        tickfont={"color": scene.ink.text},
    )
    figure.update_yaxes(visible=False, range=up)
    figure.update_layout(dragmode="select", selectdirection="v", margin={"r": room(short.values())})
    add_line_ends(figure, Panel("x", "y", across, up, 360.0), list(reversed(ends.values())), scene.ink)
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
    short, trajectories = scene.short(), _trajectories(scene, lines)
    across = min(PANELS_ACROSS if max(map(len, short.values())) <= BESIDE else 1, len(rulers))
    rows = ceil(len(rulers) / across)
    tall = max(PANEL_HEIGHT, LETTER_HEIGHT * min(len(trajectories) + 2, MOST_NAMES))
    figure = make_subplots(
        rows=rows,
        cols=across,
        subplot_titles=[_wrapped(ruler.title, 54) for ruler in rulers],
        horizontal_spacing=0.22,
        vertical_spacing=0.3 / rows,
    )
    steps = scene.board.heads["step"].astype("Float64").to_numpy(float, na_value=np.nan)
    unlearned = (scene.board.heads["part"] == "unlearned").to_numpy(bool)
    drawn = unlearned | (against is None)
    for number, ruler in enumerate(rulers):
        cell = (number // across + 1, number % across + 1)
        own = scene.board.column(ruler.key)
        x, y = (steps, own) if against is None else (own, scene.board.column(against.key))
        turned = (False, ruler.turned) if against is None else (ruler.turned, against.turned)
        ends = [
            end
            for places in trajectories.values()
            if (end := _add_trajectory(figure, scene, cell, (x, y), places, short))
        ]
        if against is None:
            ends = [*_add_levels(figure, scene, cell, own, _last(x), short), *ends]
        spans = _span(x[drawn], turned=turned[0]), _span(y[drawn], turned=turned[1])
        names = figure.get_subplot(*cell)
        title = figure.layout.annotations[number]
        title.update(x=names.xaxis.domain[0], xanchor="left", align="left", yshift=8)
        x_name, y_name = (each.plotly_name.replace("axis", "") for each in (names.xaxis, names.yaxis))
        figure.update_xaxes(range=spans[0], row=cell[0], col=cell[1])
        figure.update_yaxes(range=spans[1], row=cell[0], col=cell[1])
        add_line_ends(figure, Panel(x_name, y_name, *spans, tall), ends, scene.ink)
    _dress(figure, scene.ink, height=round(50 + (PANEL_ROW - PANEL_HEIGHT + tall) * rows))
    figure.update_xaxes(gridcolor=scene.ink.grid, zeroline=False, title="step" if against is None else None)
    if against is not None:
        figure.update_yaxes(title=_wrapped(against.title), col=1)
    figure.update_yaxes(gridcolor=scene.ink.grid, zeroline=False)
    for title in figure.layout.annotations[: len(rulers)]:
        title.font = {"size": 12, "color": scene.ink.text}
    figure.update_layout(margin={"t": 48, "r": room(short.values())}, showlegend=False)
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
    places: Sequence[int],
    short: Mapping[str, str],
) -> LineEnd | None:
    """The line of a trajectory; where it ends, None where nothing of it is known."""
    x, values = ends
    places = [place for place in places if not np.isnan(values[place]) and not np.isnan(x[place])]
    if not places:
        return None
    group = scene.groups[places[0]]
    models = [str(scene.board.heads["model"].iloc[place]) for place in places]
    look = scene.looks[models[0]]
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
        showlegend=False,
        customdata=list(places),
        text=[plain(model) for model in models],
        hovertemplate="<b>%{text}</b><br>%{x:.4~g}: %{y:.4~g}<extra></extra>",
    )
    last = places[-1]
    return LineEnd(float(x[last]), float(values[last]), short[group], look.on(scene.dark))


def _add_levels(
    figure: go.Figure,
    scene: Scene,
    cell: tuple[int, int],
    own: Floats,
    right: float,
    short: Mapping[str, str],
) -> list[LineEnd]:
    """The original's and the retained model's values as lines across the panel; where they end."""
    heads, ends = scene.board.heads, []
    for part, dash in (("original", "solid"), ("retained", "dot")):
        for place in np.flatnonzero((heads["part"] == part).to_numpy()):
            value, colour = float(own[place]), scene.colour(int(place))
            if np.isnan(value):
                continue
            line = {"color": colour, "width": 1.2, "dash": dash}
            figure.add_hline(y=value, row=cell[0], col=cell[1], line=line)
            ends.append(LineEnd(right, value, short[scene.groups[int(place)]], colour))
    return ends


def _last(column: Floats) -> float:
    return float(np.nanmax(column)) if not np.isnan(column).all() else 1.0


def _span(column: Floats, *, turned: bool) -> tuple[float, float]:
    """The plotted range of an axis, with a margin."""
    known = column[~np.isnan(column)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.5
    return (high + margin, low - margin) if turned else (low - margin, high + margin)


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
