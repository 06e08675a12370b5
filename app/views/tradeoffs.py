"""Trade-offs: forgetting against utility over all checkpoints of the study; a click leads to a model and its probes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import streamlit as st

from app import state, tradeoff_link
from app.charts.choices import available, axis, first_axes, presets, title, unavailable
from app.charts.points import Axis, chart_points, points_table
from app.charts.tradeoff import describe, tradeoff_figure
from app.components.model_picker import is_dark
from app.look import look_of
from app.metric_card import metric_card
from app.plain_text import visible
from app.protocol_choice import protocol_note, under_protocol
from app.retained_choice import retained_choice
from app.run_bar import literal
from app.scoreboards import current_scoreboard
from app.selected_model import most_changed, selected_model
from app.tradeoff_link import NO_SIZE, RUN
from backends.study import Study

AIM = "The star never saw the forget set: it is the aim, and forgetting beyond it is damage rather than gain."


class _Axes(NamedTuple):
    x: Axis
    y: Axis
    size: Axis | None


def page() -> None:
    """Axes, chart, the chosen model, the plotted values."""
    st.title("Trade-offs", anchor=False)
    study = state.study()
    st.caption(
        "What forgetting costs: every checkpoint is a point, lines join the checkpoints of one method."
        + (f" {AIM}" if study.retained else "")
        + protocol_note()
    )
    board = current_scoreboard()
    keys = available(board.frame)
    if len(keys) < 2:
        _nothing_yet(study, keys, evaluated=bool(board.numerics))
        return
    models = [spec.name for spec in study.models]
    usual = first_axes(keys, study.modality)
    tradeoff_link.settle(usual, keys, models)
    tradeoff_link.write(usual)
    axes = _choose_axes(keys, study, board.utility_parts)
    points = chart_points(board.frame, models, axes.x, axes.y, axes.size)
    left, right = st.columns([2.15, 1], gap="medium")
    with left:
        _chart(points, axes, study)
    with right:
        name = selected_model(board, study, axes.x, axes.y)
        retained_choice(study)
    if name is not None:
        most_changed(board, study, name, axes.x, axes.y)
    _table(points, axes)
    _not_shown(points, keys, study)


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
    st.page_link("views/runs.py", label="Go to Runs", icon=":material/arrow_forward:")


def _choose_axes(keys: list[str], study: Study, parts: Sequence[str]) -> _Axes:
    """Presets and selectors; their values are in the session already."""
    _presets(keys, study)
    columns = st.columns([4, 4, 3, 3.2], gap="small", vertical_alignment="bottom")
    with columns[0]:
        x = _axis_choice("Horizontal axis", "x", keys, parts)
    with columns[1]:
        y = _axis_choice("Vertical axis", "y", keys, parts)
    with columns[2]:
        size = _axis_choice("Marker size", "size", [NO_SIZE, *keys], parts)
    with columns[3], st.container(height=40, border=False, vertical_alignment="center"):
        turn = st.toggle(
            "Up and right are better",
            key="turn",
            persist_state="session",
            help="Turns an axis whose lower values are better: shares are plotted as 1 − value, others run backwards.",
        )
    return _Axes(axis(x, turn=turn), axis(y, turn=turn), None if size == NO_SIZE else axis(size, turn=False))


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


def _axis_choice(label: str, key: str, options: list[str], parts: Sequence[str]) -> str:
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
    return chosen


def _chart(points: pd.DataFrame, axes: _Axes, study: Study) -> None:
    """The chart; a click chooses the model of the point."""
    if points.empty:
        st.info(
            f"No model has a value on both axes: {literal(axes.x.name)} and {literal(axes.y.name)}. "
            "Choose another axis, or evaluate the models on the Runs page.",
            icon=":material/scatter_plot:",
        )
        return
    looks = {spec.name: look_of(spec, study) for spec in study.models}
    figure = tradeoff_figure(points, axes.x, axes.y, looks, dark=is_dark(), size=axes.size)
    key = f"tradeoff_{state.study_name()}"

    def take() -> None:
        picked = st.session_state[key]["selection"]["points"]
        if picked:
            st.session_state[RUN] = study.models[int(picked[0]["customdata"])].name

    st.plotly_chart(
        figure,
        key=key,
        on_select=take,
        selection_mode="points",
        alt=describe(points, axes.x, axes.y),
        config={
            "displaylogo": False,
            "modeBarButtons": [["toImage", "resetScale2d"]],
            "toImageButtonOptions": {"format": "svg", "filename": f"{state.study_name()}-tradeoffs"},
        },
    )
    st.caption(
        "Bars are 95 % intervals (bootstrap over probes). Filled markers are on the Pareto front of the unlearned "
        "models, hollow ones are beaten on both axes. Small numbers are steps. Click a point to look into it."
    )


def _table(points: pd.DataFrame, axes: _Axes) -> None:
    """What is plotted, as measured, to be sorted and taken along."""
    st.subheader("Plotted values", anchor=False)
    table = points_table(points, axes.x, axes.y, axes.size)
    labels = {f"{each.name}, {part}": part for each in (axes.x, axes.y) for part in ("low", "high", "n")}
    config = {
        name: st.column_config.NumberColumn(
            labels.get(name, name), format="%d" if name.endswith(", n") else "%.3f"
        )
        for name in table.columns
        if name not in ("Model", "Protocol", "Method", "Step", "On the front")
    }
    if state.study().modality == "text":
        table.insert(1, "Protocol", state.protocol())
    shown = table.assign(Model=table["Model"].map(visible), Method=table["Method"].map(visible))
    st.dataframe(shown, hide_index=True, column_config=config, key="plotted_values", placeholder="–")
    st.download_button(
        "Download CSV",
        table.to_csv(index=False),
        file_name=f"{state.study_name()}-tradeoffs.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _not_shown(points: pd.DataFrame, keys: list[str], study: Study) -> None:
    """Models without a value on both axes, and metrics without any value, with what they need."""
    shown = set(points["model"])
    absent = [spec.name for spec in study.models if spec.name not in shown]
    if absent and shown:
        st.caption("Not plotted, because they have no value on both axes; evaluate them on the Runs page:")
        st.text(visible(", ".join(absent)))
    reasons = unavailable(keys, study)
    if reasons:
        with st.expander(f"{len(reasons)} more metrics could be shown", icon=":material/help:"):
            st.text("\n".join(reasons))


page()
