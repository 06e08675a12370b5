"""Trade-offs: forgetting against utility over all runs; a click leads to a model, its probes and a live prompt."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.charts.choices import first_axes, in_order, title, unavailable
from app.components.verdict_strip import verdict_strip
from app.looks.names import protocol_words
from app.looks.safe_text import cell_text, literal
from app.pages.tradeoffs.axes_choice import choose_axes, chosen_axes
from app.pages.tradeoffs.frontier_view import PlottedRuns, frontier_view
from app.pages.tradeoffs.layer_choice import layer_choice, protocol_warning
from app.pages.tradeoffs.layers import ShownLayers, layer_names
from app.pages.tradeoffs.many_runs import VIEWS, show_view
from app.pages.tradeoffs.run_filters import filtered
from app.pages.tradeoffs.settings import GROUP, layer_settings, settings, view_setting
from app.shared import link, state
from app.shared.errors import show_errors
from app.shared.fresh import Numbers, rerun_unless
from app.shared.protocol_choice import under_protocol, weights_note
from app.shared.scoreboards import current_scoreboard
from app.shared.verdicts import current_verdicts
from backends.study import Study
from cache.analysis.lost_utility import lost_utility
from cache.analysis.scoreboard import MODEL_UTILITY
from cache.analysis.study_board import OWN_PICTURES, STUDY
from cache.analysis.verdict.rules import destroyed_models

AIM = (
    "The star is the retained model, which never saw the forget set. It is the aim: forgetting beyond it "
    "is damage, not a gain."
)
FRONTIER = "Frontier"
ALL_VIEWS = (FRONTIER, *VIEWS)
IN_BAR = (FRONTIER, "Best", "Table")  # the other views are in a menu beside the bar


def page() -> None:
    """The page; the frontier is a fragment, so that new axes leave the frame and the other pages' state alone."""
    st.title("Trade-offs", anchor=False)
    verdict_strip("tradeoffs")
    link.settle(GROUP, {"chart": view_setting(ALL_VIEWS)})
    view = str(st.session_state["chart"])
    # The other views have fragments of their own that run again and again.
    body = st.fragment(_body) if view == FRONTIER else _body
    body(Numbers.now(), view)


@show_errors()
def _body(drawn: Numbers, drawn_view: str) -> None:
    """Axes, the view, the plotted values.

    Args:
        drawn: the numbers of the page around it.
        drawn_view: the view that the page was drawn for.
    """
    rerun_unless(drawn.still_shown() and st.session_state["chart"] == drawn_view)
    study = state.study()
    board = current_scoreboard()
    names = layer_names(study)
    layers = layer_settings(names)
    link.settle(GROUP, layers)
    views_place, axes_place = _row(), st.container(key="axes_bar")
    with views_place:
        view_place = st.container(width="stretch")
        shown = layer_choice(names)
    explained = (
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
            st.caption(explained)
        return
    usual = first_axes(keys, study.modality)
    others = settings(usual, keys, set(shown.board.heads["model"]), ALL_VIEWS)
    link.settle(GROUP, others)
    link.write_settings(layers | others)
    with views_place:
        runs = filtered(shown.board)
    with view_place:
        view = _view()
    if view in (FRONTIER, "Slices", "Strength"):
        with axes_place:
            choose_axes(keys, board.utility_parts, study)
    axes = chosen_axes()
    with said:
        protocol_warning(shown)
        if MODEL_UTILITY in (axes.x.key, axes.y.key) and STUDY in st.session_state["layer"]:
            for sentence in lost_utility(board, study.original.name):
                st.caption(literal(sentence))
    if view != FRONTIER:
        show_view(view, runs, keys, axes.x, axes.y, study)
        st.caption(explained)
        return
    destroyed = destroyed_models(current_verdicts())
    key = repr((shown.key, st.session_state["method"], st.session_state["tag"], axes, destroyed))
    frontier_view(PlottedRuns(key, runs, board, axes, study, destroyed), shown, keys, layers | others)
    st.caption(explained)


def _row() -> DeltaGenerator:
    """A row of the page: views on the left, layers and filters on the right."""
    return st.container(horizontal=True, vertical_alignment="center", gap="small", key="views_bar")


def _view() -> str:
    """The views, and the menu of those that few need; one that was chosen there stands in the bar, too."""
    others = [view for view in ALL_VIEWS if view not in IN_BAR]
    held = str(st.session_state["chart"])

    def take() -> None:
        st.session_state["chart"] = st.session_state["more_views"]

    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        chosen: str | None = st.segmented_control(
            "View",
            [*IN_BAR, *(view for view in others if view == held)],
            key="chart",
            required=True,
            persist_state="session",
            label_visibility="collapsed",
        )
        st.menu_button("More views", others, key="more_views", type="tertiary", on_click=take)
    return chosen or FRONTIER


def _protocols(shown: ShownLayers, study: Study) -> str:
    """Under which protocol the shown numbers were measured; pictures of a study have none of their own."""
    named = [name for name in shown.protocols if study.modality == "text" or name != OWN_PICTURES]
    return f" Protocol: {literal(', '.join(map(protocol_words, named)))}." if named else ""


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
        f"Evaluate its models on the Runs page.{weights_note()}",
        icon=":material/scatter_plot:",
    )
    st.page_link(state.RUNS_PAGE, label="Go to Runs", icon=":material/arrow_forward:")


page()
