"""The scatter plot of Trade-offs, what is chosen on it, and the tables behind it.

A click on the chart redraws the chart's row and what stands below it about the chosen run, as a fragment of the page.
What is drawn is made once for each pair of axes and kept while the numbers are the same.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from app.charts.choices import judges, unavailable
from app.charts.frontier import Frontier, frontier, methods_table
from app.charts.layout import HEIGHT
from app.charts.marks import Marks
from app.charts.notes import figure_note
from app.charts.points import Axis, aims, chart_points, p_values_shown, points_table
from app.charts.tradeoff import describe, names_said, tradeoff_drawing, tradeoff_figure
from app.components.chart import chart
from app.looks.model_looks import Look, looks_of, repeating
from app.looks.names import protocol_words
from app.looks.safe_text import cell_text, literal, visible
from app.looks.theme import is_dark
from app.pages.tradeoffs.axes_choice import Axes, chosen_axes
from app.pages.tradeoffs.chart_options import ChartOptions, band, chart_options
from app.pages.tradeoffs.chosen_runs import chosen_runs, own_runs
from app.pages.tradeoffs.frontier_panel import frontier_panel
from app.pages.tradeoffs.layers import ShownLayers, layer_names, tables
from app.pages.tradeoffs.published_sources import published_sources
from app.pages.tradeoffs.retained_choice import retained_choice
from app.pages.tradeoffs.selected_model import most_changed
from app.pages.tradeoffs.settings import RUNS
from app.pages.tradeoffs.targets_panel import targets_panel
from app.shared import link, state
from app.shared.errors import show_errors
from app.shared.figure_export import figure_config, figure_export
from app.shared.fresh import Numbers, rerun_unless
from app.shared.link import LinkSetting
from app.shared.reference_choice import layer_notes
from app.shared.table_export import table_export
from backends.metrics.attacked import plain_key
from backends.metrics.key import MetricKey
from backends.study import Study
from cache.analysis.board import Board
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.study_board import STUDY


@dataclass(frozen=True, slots=True)
class PlottedRuns:
    """What the view is of.

    Attributes:
        key: of the runs on these axes, for what is kept.
        runs: those that pass the filters.
        board: the study's own numbers.
        axes: what is plotted.
        study: the study.
        destroyed: names of the study's models that are destroyed, by their verdict.
        looks: of the runs by name.
    """

    key: str
    runs: Board
    board: Scoreboard
    axes: Axes
    study: Study
    destroyed: tuple[str, ...] = ()

    @property
    def looks(self) -> dict[str, Look]:
        """Colour and marker of every run."""
        return looks_of(self.runs.heads, self.study)


def frontier_view(
    plotted: PlottedRuns, shown: ShownLayers, keys: list[str], settings: dict[str, LinkSetting]
) -> None:
    """Chart and chosen runs, then the tables.

    Args:
        plotted: runs and axes.
        shown: the layers that are shown.
        keys: metrics that are known.
        settings: of the page in its address.
    """
    study, board, axes = plotted.study, plotted.board, plotted.axes
    st.fragment(_chart_and_choice)(plotted, settings, Numbers.now())
    data = _frontier(plotted.key, plotted)
    frontier_panel(data, _methods(plotted.key, plotted), axes.x, axes.y, state.study_name())
    _table(data.points, axes)
    targets_panel(study, board)
    _not_shown(data.points, plotted.runs, keys, study)
    layers = dict.fromkeys(plotted.runs.heads["layer"])
    layer_notes([layer for layer in layers if layer_names(study).get(layer) == "imported"])
    published_sources(shown.board)


@show_errors()
def _chart_and_choice(plotted: PlottedRuns, settings: dict[str, LinkSetting], drawn: Numbers) -> None:
    """The chart's row, and which probes the one chosen run changed most."""
    rerun_unless(drawn.still_shown() and chosen_axes() == plotted.axes)
    runs, board, study, axes = plotted.runs, plotted.board, plotted.study, plotted.axes
    left, right = st.columns([2.15, 1], gap="medium")
    with left:
        above, beneath = st.container(), st.container(horizontal=True)
        with beneath:
            options = chart_options()
        with above:
            marks = _chart(plotted, options)
        with beneath:
            _save(plotted, marks)
        _explained(plotted, marks)
        _lacking(runs, axes)
    with right:
        chosen = chosen_runs(runs, board, study, axes.x, axes.y)
        retained_choice(study)
    if len(chosen) == 1 and chosen[0] in own_runs(runs):
        most_changed(board, study, chosen[0], axes.x, axes.y)
    link.write_settings(settings)


@st.cache_resource(max_entries=24, show_spinner=False)
def _frontier(key: str, _plotted: PlottedRuns) -> Frontier:
    """The plotted points with what resamples say of them, kept under the key."""
    runs, axes = _plotted.runs, _plotted.axes
    wanted = [each.key for each in axes if each is not None]
    points = chart_points(
        runs.frame(wanted), list(runs.heads["model"]), axes.x, axes.y, axes.size, _plotted.destroyed
    )
    return frontier(points, _plotted.board, axes.x, axes.y)


@st.cache_resource(max_entries=24, show_spinner=False)
def _methods(key: str, _plotted: PlottedRuns) -> pd.DataFrame:
    return methods_table(_frontier(key, _plotted))


@st.cache_resource(max_entries=24, show_spinner=False)
def _figure(key: str, dark: bool, marks_key: str, _plotted: PlottedRuns, _marks: Marks) -> str:
    """The chart, as the browser draws it; `marks_key` says what of the options is in `_marks`."""
    points, axes = _frontier(key, _plotted).points, _plotted.axes
    looks = _plotted.looks
    return tradeoff_drawing(points, axes.x, axes.y, looks, dark=dark, size=axes.size, marks=_marks).json()


def _chart(plotted: PlottedRuns, options: ChartOptions) -> Marks:
    """The chart; a click, a box or a lasso chooses the runs of the points. Returns what stands beside the points."""
    axes, runs, study = plotted.axes, plotted.runs, plotted.study
    data = _frontier(plotted.key, plotted)
    points = data.points
    if points.empty:
        st.info(
            f"No run has a value on both axes: {literal(axes.x.name)} and {literal(axes.y.name)}. "
            "Choose another axis, or evaluate the models on the Runs page.",
            icon=":material/scatter_plot:",
        )
        return Marks()
    layers = list(dict.fromkeys(points["layer"]))
    marks = Marks(
        intervals=options.intervals,
        outlines=data.outlines() if options.intervals == "ellipses" else {},
        grey=options.grey,
        band=band(study, axes.x, axes.y) if options.band and STUDY in layers else (None, None),
        ideal=data.where.best if options.ideal and data.where is not None else None,
        aim=aims(points, axes.x, axes.y),
        foreign=[layer for layer in layers if layer != STUDY],
        faint=[layer for layer in layers if layer in tables()],
        plain=_asked_plainly(runs, points, axes),
    )
    figure = _figure(plotted.key, is_dark(), repr((astuple(options), marks.band)), plotted, marks)
    models = list(runs.heads["model"])
    held = set(st.session_state.get(RUNS, []))

    def take(picked: list[int]) -> None:
        st.session_state[RUNS] = [models[place] for place in picked]

    chart(
        figure,
        f"tradeoff_{state.study_name()}",
        height=HEIGHT,
        alt=describe(points, axes.x, axes.y),
        config=figure_config(),
        chosen=[place for place, model in enumerate(models) if model in held],
        on_choose=take,
    )
    return marks


def _asked_plainly(runs: Board, points: pd.DataFrame, axes: Axes) -> dict[str, tuple[float, float]]:
    """Where models that were attacked are when they are asked plainly; none where no axis is of an attack."""
    keys = [_plain(axis) for axis in (axes.x, axes.y)]
    if not any(keys) or any(axis.log for axis in (axes.x, axes.y)):
        return {}
    frame = runs.frame([key or axis.key for key, axis in zip(keys, (axes.x, axes.y), strict=True)])
    wide = frame.pivot_table(index="model", columns="key", values="value")
    read = [key or axis.key for key, axis in zip(keys, (axes.x, axes.y), strict=True)]
    if not set(read) <= set(wide.columns):
        return {}
    shown = points["model"][points["part"] == "unlearned"]
    plain = wide.loc[wide.index.isin(shown), read].dropna()
    return {
        str(model): (float(x), float(y)) for model, (x, y) in zip(plain.index, plain.to_numpy(), strict=True)
    }


def _plain(axis: Axis) -> str:
    read = MetricKey.parse(axis.key)
    metric = plain_key(read.metric)
    return str(MetricKey(read.role, metric)) if metric else ""


def _save(plotted: PlottedRuns, marks: Marks) -> None:
    """The figure, with what it means written under it."""
    points, axes = _frontier(plotted.key, plotted).points, plotted.axes
    if points.empty:
        return

    def figure() -> go.Figure:
        return tradeoff_figure(points, axes.x, axes.y, plotted.looks, size=axes.size, marks=marks)

    note = figure_note(points, marks, judged=_judged(axes))
    figure_export(figure, f"{state.study_name()}-tradeoffs", note, key="frontier")


def _explained(plotted: PlottedRuns, marks: Marks) -> None:
    """What the marks mean, under the chart."""
    points = _frontier(plotted.key, plotted).points
    if points.empty:
        return
    st.caption(_caption(marks, points, judged=_judged(plotted.axes)))
    if said := repeating(plotted.runs.heads, plotted.study):
        st.caption(said)


def _judged(axes: Axes) -> bool:
    return all(judges(each.key) for each in (axes.x, axes.y))


_FRONT = (
    "Filled markers are on the Pareto front of the unlearned models (the grey line), hollow ones are dominated, "
    "over-forgotten with their whole interval, or destroyed. "
)


def _caption(marks: Marks, points: pd.DataFrame, *, judged: bool) -> str:
    shapes = {
        "bars": "Bars are 95 % intervals; with few probes they are wide. ",
        "ellipses": "Ellipses are 95 % regions of both metrics together; with few probes they are wide. ",
    }
    banded = [
        name
        for name, half in zip(("horizontally", "vertically"), marks.band, strict=True)
        if half is not None
    ]
    noise = (
        f"The grey band is the seed variance of the original: itself with another seed ({' and '.join(banded)}). "
        if banded
        else ""
    )
    greyed = "Faint points are published results. " if marks.faint and len(points) else ""
    return (
        shapes.get(marks.intervals, "")
        + noise
        + greyed
        + ("Arrows lead from the plain question to the attack. " if marks.plain else "")
        + (_FRONT if judged else "There is no front, since neither way of an axis is better. ")
        + names_said(points, marks)
        + "Small numbers are steps. Click a point for details, or select several with a box or lasso."
    )


def _table(points: pd.DataFrame, axes: Axes) -> None:
    """What is plotted, as measured, to be sorted and taken along."""
    st.header("Plotted values", anchor=False)
    table = points_table(points, axes.x, axes.y, axes.size)
    labels = {f"{each.name}, {part}": part for each in (axes.x, axes.y) for part in ("low", "high", "n")}
    config: dict[str, ColumnConfig | str | None] = {
        name: st.column_config.NumberColumn(
            labels.get(name, name), format="%d" if name.endswith(", n") else "%.3f"
        )
        for name in table.columns
        if name not in ("Model", "Protocol", "Method", "Step", "On the front")
    }
    if (points["layer"] != STUDY).any():
        table.insert(1, "Layer", points["layer"])
    if state.study().modality == "text" or points["protocol"].nunique() > 1:
        table.insert(1, "Protocol", points["protocol"])
    names = [name for name in ("Model", "Method", "Layer", "Protocol") if name in table]
    shown = table.assign(**{name: table[name].map(cell_text) for name in names})
    if "Protocol" in shown:
        shown["Protocol"] = shown["Protocol"].map(protocol_words)
    powers = [each.name for each in axes if each is not None and each.p_value]
    for name in powers:
        config.pop(name, None)
    worded = p_values_shown(shown, powers)
    st.dataframe(worded, hide_index=True, column_config=config, key="plotted_values", placeholder="–")
    ways = {each.name: each.better for each in (axes.x, axes.y) if each.better in ("lower", "higher")}
    table_export(
        table,
        f"{state.study_name()}-tradeoffs",
        key="plotted",
        best=ways,
        ranked=list(points["part"] == "unlearned"),
    )


def _lacking(runs: Board, axes: Axes) -> None:
    """How many runs have no point, and on which axis they have no value."""
    values = {each.name: runs.column(each.key) for each in (axes.x, axes.y)}
    missing = {name: int(np.isnan(column).sum()) for name, column in values.items()}
    count = int(np.isnan(np.stack(list(values.values()))).any(axis=0).sum())
    if not count:
        return
    told = " and ".join(
        f"{number} {'has' if number == 1 else 'have'} no {name}" for name, number in missing.items() if number
    )
    verb = "is" if count == 1 else "are"
    st.caption(literal(f"{count} of {len(runs)} runs {verb} not plotted: {told}."))


def _not_shown(points: pd.DataFrame, runs: Board, keys: list[str], study: Study) -> None:
    """Models without a value on both axes, and metrics without any value, with what they need."""
    shown = set(points["model"])
    own = set(runs.heads.loc[runs.heads["layer"] == STUDY, "model"])
    absent = [spec.name for spec in study.models if spec.name not in shown and spec.name in own]
    absent += [spec.name for spec in study.models if spec.name not in own and own]
    if absent and shown:
        st.caption("Not plotted, because they have no value on both axes; evaluate them on the Runs page:")
        st.text(visible(", ".join(absent)))
    reasons = unavailable(keys, study)
    if reasons:
        with st.expander(f"{len(reasons)} more metrics are possible", icon=":material/help:"):
            st.text("\n".join(reasons))
