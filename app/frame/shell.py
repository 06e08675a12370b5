"""The frame around every page: navigation, choice of study and models, status, and errors in one sentence."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from app.components.chart import fetch_ahead
from app.components.history import whole_steps
from app.components.model_picker import model_picker
from app.frame.report_button import report_button
from app.looks.safe_text import visible
from app.shared import link, state
from app.shared.board_link import asks_for_compare, read_link, write_link
from app.shared.errors import show_errors
from app.shared.protocol_choice import protocol_choice
from app.shared.resources import pool, problems, runner, studies

COMPONENTS = Path(__file__).resolve().parents[1] / "components"
PAGES = (
    (
        state.OVERVIEW_PAGE,
        "Overview",
        ":material/fact_check:",
        "Which model forgot, and what that cost",
    ),
    (
        state.COMPARE_PAGE,
        "Compare",
        ":material/compare:",
        "Every model's answer to one prompt, side by side",
    ),
    (
        state.TRADEOFFS_PAGE,
        "Trade-offs",
        ":material/scatter_plot:",
        "Forgetting against utility, for all checkpoints",
    ),
    (
        state.EXAMPLES_PAGE,
        "Examples",
        ":material/list_alt:",
        "Every probe, all models side by side",
    ),
    (
        state.ROBUSTNESS_PAGE,
        "Robustness",
        ":material/gpp_maybe:",
        "Erased or hidden? What models still know when they are asked hard",
    ),
    (
        state.BUILD_PAGE,
        "Build",
        ":material/construction:",
        "Unlearn the original, and watch forgetting and utility",
    ),
    (state.RUNS_PAGE, "Runs", ":material/table_rows:", "What is evaluated, and what is missing"),
)
MODALITY_NAMES = {"text": "Text", "image": "Image"}
STATUS_SECONDS = 1.0


def show() -> None:
    """Draw the frame, then the page. A BoardError anywhere becomes one sentence in place of what it stopped."""
    st.set_page_config(page_title="UnlearnBoard", page_icon=str(COMPONENTS / "mark.png"), layout="wide")
    st.logo(
        str(COMPONENTS / "wordmark.svg"),
        size="large",
        icon_image=str(COMPONENTS / "mark.png"),
    )
    st.html(COMPONENTS / "page.css")
    page = st.navigation(
        [
            st.Page(
                path,
                title=title,
                icon=icon,
                help=help,
                url_path=Path(path).parent.name,  # every page is called page.py
                default=path == state.OVERVIEW_PAGE,
            )
            for path, title, icon, help in PAGES
        ]
    )
    first = page.url_path == ""
    if first and asks_for_compare():  # links were made while Compare was the first page
        st.switch_page(state.COMPARE_PAGE, query_params=link.address())
    with link.whole_page(page.url_path), show_errors():
        link.say(read_link(whole=not first))
        with st.sidebar:
            whole_steps()
            _study_choice()
            _study_description()
            protocol_choice()
            model_picker()
            _unusable()
            report_button()
            _status()
            fetch_ahead()
        write_link(whole=not first)
        page.run()


def _study_choice() -> None:
    """Which study is shown; two of different kinds are told apart by their kind, others are listed by name."""
    names = list(studies())
    kinds = [study.modality for study in studies().values()]
    if len(names) > 1:
        st.session_state["study_choice"] = state.study_name()
        change = partial(_show_chosen, "study_choice")
        if len(set(kinds)) == len(kinds):
            st.segmented_control(
                "Study",
                names,
                key="study_choice",
                required=True,
                format_func=lambda name: f"{MODALITY_NAMES[studies()[name].modality]} study",
                on_change=change,
                label_visibility="collapsed",
            )
        else:
            st.selectbox(
                "Study",
                names,
                key="study_choice",
                format_func=lambda name: visible(studies()[name].name),
                on_change=change,
            )
            return
    with st.container(key="study_name"):
        st.text(visible(state.study().name))


def _unusable() -> None:
    """Which models of the study cannot be used, and why; the others are shown and run all the same."""
    wrong = problems(state.study_name())
    if wrong:
        label = f"{len(wrong)} model{'s' if len(wrong) > 1 else ''} cannot be used"
        with st.expander(label, icon=":material/warning:"):
            for sentence in wrong.values():
                st.text(visible(sentence))


def _study_description() -> None:
    if state.study().description:
        with st.container(key="study_description"):
            st.text(visible(state.study().description))


def _show_chosen(key: str) -> None:
    state.show_study(st.session_state[key])


def _status() -> None:
    """What is in memory and at work, refreshed while something is."""
    busy = bool(runner().active())
    st.fragment(run_every=STATUS_SECONDS if busy else None)(_status_line)()


def _status_line() -> None:
    models, active = pool(), runner().active()
    loaded = models.loaded()
    parts = (
        [models.device, f"{len(loaded)} model{'s' if len(loaded) > 1 else ''} loaded"]
        if loaded
        else ["No model loaded", "shown from the cache"]
    )
    if active:
        parts = [f"{active[0].title} …", *([f"{len(active) - 1} waiting"] if len(active) > 1 else [])]
    elif loaded:  # counted only at rest: the worker changes the models while it runs
        parts.append(f"{models.bytes() / 1e6:,.0f} MB")
    with st.container(key="status_line"):
        st.text(" · ".join(parts))
