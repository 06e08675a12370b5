"""Trade-offs: forgetting against utility over all runs; a click leads to a model, its probes and a live prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.column_types import ColumnConfig

from app.charts.choices import axis, first_axes, in_order, presets, title, unavailable
from app.charts.frontier import Frontier, frontier
from app.charts.marks import Marks
from app.charts.points import Axis, chart_points, p_values_shown, points_table
from app.charts.tradeoff import describe, tradeoff_figure
from app.looks.model_looks import looks_of, repeating
from app.looks.safe_text import cell_text, literal, visible
from app.looks.theme import is_dark
from app.pages.tradeoffs.chart_options import ChartOptions, band, chart_options
from app.pages.tradeoffs.chosen_runs import chosen_runs, own_runs
from app.pages.tradeoffs.frontier_panel import frontier_panel
from app.pages.tradeoffs.layer_choice import layer_choice, protocol_warning
from app.pages.tradeoffs.layers import ShownLayers, layer_names, tables
from app.pages.tradeoffs.many_runs import VIEWS, show_view
from app.pages.tradeoffs.retained_choice import retained_choice
from app.pages.tradeoffs.run_filters import filtered
from app.pages.tradeoffs.selected_model import most_changed
from app.pages.tradeoffs.settings import GROUP, NO_SIZE, RUNS, layer_settings, settings
from app.pages.tradeoffs.share_panel import published_sources, whole_study
from app.pages.tradeoffs.targets_panel import targets_panel
from app.shared import link, state
from app.shared.figure_export import figure_config, figure_export
from app.shared.metric_card import metric_card
from app.shared.protocol_choice import under_protocol
from app.shared.reference_choice import layer_notes
from app.shared.scoreboards import current_scoreboard
from app.shared.table_export import table_export
from backends.study import Study
from cache.analysis.board import Board
from cache.analysis.lost_utility import lost_utility
from cache.analysis.scoreboard import MODEL_UTILITY, Scoreboard
from cache.analysis.study_board import OWN_PICTURES, STUDY

AIM = (
    "The star is the retained model, which never saw the forget set. It is the aim: forgetting beyond it "
    "is damage, not a gain."
)
FRONTIER = "Frontier"


class _Axes(NamedTuple):
    x: Axis
    y: Axis
    size: Axis | None


def page() -> None:
    """Axes, chart, the chosen runs, the plotted values."""
    st.title("Trade-offs", anchor=False)
    study = state.study()
    about = st.container()
    board = current_scoreboard()
    names = layer_names(study)
    layers = layer_settings(names)
    link.settle(GROUP, layers)
    presets_place, axes_place, views_place = st.container(), st.container(), _row()
    with views_place:
        view_place = st.container(width="stretch")
        shown = layer_choice(names)
    about.caption(
        "Every checkpoint is a point; lines join the checkpoints of one method."
        + (f" {AIM}" if "retained" in set(shown.board.heads["part"]) else "")
        + _protocols(shown, study)
    )
    said = st.container()
    keys = in_order(shown.board.known())
    if len(keys) < 2:
        link.write_settings(layers)
        if st.session_state["layer"] in ([], [STUDY]):
            _nothing_yet(study, keys, evaluated=bool(board.numerics))
        else:
            _too_few(shown, keys)
        return
    usual = first_axes(keys, study.modality)
    others = settings(usual, keys, set(shown.board.heads["model"]), (FRONTIER, *VIEWS))
    link.settle(GROUP, others)
    link.write_settings(layers | others)
    with views_place:
        runs = filtered(shown.board)
    with view_place:
        view = _view()
    if view in (FRONTIER, "Slices", "Strength"):
        with presets_place:
            _presets(keys, study)
        with axes_place:
            _choose_axes(keys, board.utility_parts)
    axes = _axes()
    with said:
        protocol_warning(shown)
        if MODEL_UTILITY in (axes.x.key, axes.y.key) and STUDY in st.session_state["layer"]:
            for sentence in lost_utility(board, study.original.name):
                st.caption(literal(sentence))
    if view != FRONTIER:
        show_view(view, runs, keys, axes.x, axes.y, study)
        return
    _frontier(runs, shown, board, axes, keys, study)


def _row() -> DeltaGenerator:
    """A row of the page: views on the left, layers and filters on the right."""
    return st.container(horizontal=True, vertical_alignment="center", gap="small")


def _view() -> str:
    chosen: str | None = st.segmented_control(
        "View",
        [FRONTIER, *VIEWS],
        key="chart",
        required=True,
        persist_state="session",
        label_visibility="collapsed",
    )
    return chosen or FRONTIER


def _frontier(
    runs: Board, shown: ShownLayers, board: Scoreboard, axes: _Axes, keys: list[str], study: Study
) -> None:
    """The scatter plot, what is chosen on it, and the tables behind it."""
    models = list(runs.heads["model"])
    wanted = [each.key for each in axes if each is not None]
    points = chart_points(runs.frame(wanted), models, axes.x, axes.y, axes.size)
    left, right = st.columns([2.15, 1], gap="medium")
    with left:
        options = chart_options(points, axes.x, axes.y)
        frontier_data = frontier(points, board, axes.x, axes.y)
        _chart(frontier_data, runs, axes, options, study)
        _lacking(runs, axes)
    with right:
        chosen = chosen_runs(runs, board, study, axes.x, axes.y)
        retained_choice(study)
    if len(chosen) == 1 and chosen[0] in own_runs(runs):
        most_changed(board, study, chosen[0], axes.x, axes.y)
    frontier_panel(frontier_data, axes.x, axes.y, state.study_name())
    _table(frontier_data.points, axes)
    targets_panel(study, board)
    _not_shown(points, runs, keys, study)
    layer_notes(
        [layer for layer in dict.fromkeys(runs.heads["layer"]) if layer_names(study).get(layer) == "imported"]
    )
    published_sources(shown.board)
    whole_study(study, board)


def _protocols(shown: ShownLayers, study: Study) -> str:
    """Under which protocol the shown numbers were measured; pictures of a study have none of their own."""
    named = [name for name in shown.protocols if study.modality == "text" or name != OWN_PICTURES]
    return f" Protocol: {literal(', '.join(named))}." if named else ""


def _too_few(shown: ShownLayers, keys: list[str]) -> None:
    """The chosen layers have no two metrics, so there is nothing to plot; their runs as a table."""
    st.info(
        f"A plot needs two metrics, but the {len(shown.board)} runs of these layers have "
        f"{literal(title(keys[0])) + ' only' if keys else 'no known one'}. Choose more layers.",
        icon=":material/scatter_plot:",
    )
    table = pd.DataFrame({"Run": shown.board.heads["model"].map(cell_text)})
    for key in keys:
        table[title(key)] = shown.board.column(key)
    st.dataframe(table, hide_index=True, key="few_runs", placeholder="–")


def _nothing_yet(study: Study, keys: list[str], *, evaluated: bool) -> None:
    """No two metrics have a value: say why, and where to go."""
    if evaluated:
        st.info(
            f"“{literal(study.name)}” is evaluated, but a plot needs two metrics and this study has "
            f"{len(keys) or 'none'}. What the others need:",
            icon=":material/scatter_plot:",
        )
        st.text("\n".join(unavailable(keys, study)))
        return
    st.info(
        f"Nothing of “{literal(study.name)}” has been evaluated yet{under_protocol()}, so there is nothing to plot. "
        "Evaluate its models on the Runs page.",
        icon=":material/scatter_plot:",
    )
    st.page_link(state.RUNS_PAGE, label="Go to Runs", icon=":material/arrow_forward:")


def _choose_axes(keys: list[str], parts: Sequence[str]) -> None:
    """Selectors; their values are in the session already."""
    columns = st.columns([4, 4, 3, 3.2], gap="small", vertical_alignment="bottom")
    with columns[0]:
        _axis_choice("Horizontal axis", "x", keys, parts)
    with columns[1]:
        _axis_choice("Vertical axis", "y", keys, parts)
    with columns[2]:
        _axis_choice("Marker size", "size", [NO_SIZE, *keys], parts)
    with columns[3], st.container(height=40, border=False, vertical_alignment="center"):
        st.toggle(
            "Up and right are better",
            key="turn",
            persist_state="session",
            help="Flips an axis whose lower values are better: shares are plotted as 1 − value, others are reversed.",
        )


def _axes() -> _Axes:
    """The axes that are chosen."""
    held = st.session_state
    return _Axes(
        axis(held["x"], turn=held["turn"], scale=held["xscale"]),
        axis(held["y"], turn=held["turn"], scale=held["yscale"]),
        None if held["size"] == NO_SIZE else axis(held["size"], turn=False),
    )


def _presets(keys: list[str], study: Study) -> None:
    """Well-known pairs of axes; the one that is plotted is marked."""
    ready = {preset.title: preset for preset in presets(keys, study.modality)}
    if not ready:
        return
    shown = st.session_state["x"], st.session_state["y"]
    marked = next((name for name, preset in ready.items() if (preset.x, preset.y) == shown), None)
    st.session_state["preset"] = marked

    def take() -> None:
        chosen = ready.get(st.session_state["preset"])
        if chosen is not None:
            st.session_state["x"], st.session_state["y"] = chosen.x, chosen.y

    st.segmented_control("Presets", list(ready), key="preset", on_change=take, label_visibility="collapsed")


def _axis_choice(label: str, key: str, options: list[str], parts: Sequence[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xxsmall"):
        chosen: str = st.selectbox(
            label,
            options,
            key=key,
            format_func=lambda option: title(option) if option != NO_SIZE else "the same for all",
            persist_state="session",
        )
        if chosen != NO_SIZE:
            metric_card(label.lower(), chosen, parts)


def _chart(frontier_data: Frontier, runs: Board, axes: _Axes, options: ChartOptions, study: Study) -> None:
    """The chart; a click, a box or a lasso chooses the runs of the points."""
    points = frontier_data.points
    if points.empty:
        st.info(
            f"No run has a value on both axes: {literal(axes.x.name)} and {literal(axes.y.name)}. "
            "Choose another axis, or evaluate the models on the Runs page.",
            icon=":material/scatter_plot:",
        )
        return
    layers = list(dict.fromkeys(points["layer"]))
    marks = Marks(
        intervals=options.intervals,
        outlines=frontier_data.outlines() if options.intervals == "ellipses" else {},
        grey=options.grey,
        band=band(study, axes.x, axes.y) if options.band and STUDY in layers else (None, None),
        ideal=frontier_data.where.best if options.ideal and frontier_data.where is not None else None,
        foreign=[layer for layer in layers if layer != STUDY],
        faint=[layer for layer in layers if layer in tables()],
    )
    looks = looks_of(runs.heads, study)
    figure = tradeoff_figure(points, axes.x, axes.y, looks, dark=is_dark(), size=axes.size, marks=marks)
    models = list(runs.heads["model"])
    key = f"tradeoff_{state.study_name()}"

    def take() -> None:
        picked = st.session_state[key]["selection"]["points"]
        chosen = dict.fromkeys(models[int(each["customdata"])] for each in picked if "customdata" in each)
        if chosen:
            st.session_state[RUNS] = list(chosen)

    name = f"{state.study_name()}-tradeoffs"
    st.plotly_chart(
        figure,
        key=key,
        on_select=take,
        selection_mode=("points", "box", "lasso"),
        alt=describe(points, axes.x, axes.y),
        config=figure_config(name),
    )
    light = partial(tradeoff_figure, points, axes.x, axes.y, looks, size=axes.size, marks=marks)
    figure_export(light, name, key="frontier")
    st.caption(_caption(marks, points))
    if said := repeating(runs.heads, study):
        st.caption(said)


def _caption(marks: Marks, points: pd.DataFrame) -> str:
    shapes = {
        "bars": "Bars are 95 % intervals; with few probes they are wide. ",
        "ellipses": "Ellipses hold 95 % of the paired resamples of the probes. ",
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
        + "Filled markers are on the Pareto front of the unlearned models, hollow ones are dominated. Small "
        "numbers are steps. Click a point for details, or select several with a box or lasso."
    )


def _table(points: pd.DataFrame, axes: _Axes) -> None:
    """What is plotted, as measured, to be sorted and taken along."""
    st.subheader("Plotted values", anchor=False)
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
    powers = [each.name for each in axes if each is not None and each.p_value]
    for name in powers:
        config.pop(name, None)
    worded = p_values_shown(shown, powers)
    st.dataframe(worded, hide_index=True, column_config=config, key="plotted_values", placeholder="–")
    ways = {each.name: each.better for each in (axes.x, axes.y) if each.better != "zero"}
    table_export(
        table,
        f"{state.study_name()}-tradeoffs",
        key="plotted",
        best=ways,
        ranked=list(points["part"] == "unlearned"),
    )


def _lacking(runs: Board, axes: _Axes) -> None:
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


page()
