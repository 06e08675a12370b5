"""Overview: the first page. Which method is the best choice and what it cost, which hides, which destroys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app.components.overview_board import overview_board
from app.looks.safe_text import literal
from app.looks.theme import is_dark
from app.pages.overview.board import Opened, board
from app.pages.overview.examples import example_cards, shown_by
from app.pages.overview.imported import imported_choice, imported_subject
from app.pages.overview.missing import gaps
from app.pages.overview.subject import Subject, of_study
from app.shared import state
from app.shared.errors import show_errors
from app.shared.protocol_choice import under_protocol, weights_note
from app.shared.resources import store
from app.shared.scoreboards import current_scoreboard
from app.shared.verdicts import current_verdicts
from backends.study import Study
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.verdict.rules import Verdict
from cache.analysis.verdict.telling import Telling, telling, telling_of

MOST_TOLD = 100  # models whose example is looked for; Streamlit would draw a string below it


@show_errors()
def page() -> None:
    """The verdicts on the study's models; where it has none, on imported runs; else the way to them."""
    st.title("Overview", anchor=False)
    study = state.study()
    verdicts = current_verdicts()
    if any(study.model(name).part == "unlearned" for name in verdicts):
        _study_verdicts(study, verdicts)
        return
    imported = imported_choice(study)
    if imported:
        subject = imported_subject(imported, study)
        st.caption(
            f"Nothing of “{literal(study.name)}” is evaluated here{under_protocol()}. These are the imported runs "
            f"“{literal(imported)}”, of which only the numbers are known."
        )
        drawn = board(
            subject,
            [],
            gaps(subject, [], []),
            lambda name: {"page": "tradeoffs", "run": name, "layer": imported},
            _link,
            dark=is_dark(),
        )
        _draw(drawn)
        return
    _nothing_yet(study, verdicts)


def _study_verdicts(study: Study, verdicts: Mapping[str, Verdict]) -> None:
    numbers = current_scoreboard()
    subject = of_study(study, numbers.frame, verdicts)
    found = _telling(state.board_name(), store().version(), study, numbers, subject)
    cards = example_cards(found, study, store(), subject, _compare_link, dark=is_dark())
    losses = study.denoising is not None and bool(study.denoising.forget)
    missing = gaps(subject, _not_evaluated(study, verdicts), state.roles(), losses=losses)
    beside = [name for name in (subject.original, subject.retained) if name]
    of_model = _telling_of(state.board_name(), store().version(), study, numbers, subject)

    def opens(name: str) -> Opened:
        told = of_model.get(name)
        shown = shown_by(told, study.modality) if told is not None else {}
        return {"page": "compare", "models": [*beside, name], **shown}

    _draw(board(subject, cards, missing, opens, _link, dark=is_dark()))


@st.cache_resource(max_entries=4, show_spinner=False)
def _telling_of(
    name: str, version: int, _study: Study, _board: Scoreboard, _subject: Subject
) -> dict[str, Telling]:
    """The example that a row opens, by name of the model; of very many models only those that stand for a method."""
    shown = [each for method in _subject.methods for each in method.checkpoints]
    if len(shown) > MOST_TOLD:
        shown = [method.best for method in _subject.methods[:MOST_TOLD]]
    found = {each.model: telling_of(_study, _board, each) for each in shown}
    return {model: told for model, told in found.items() if told is not None}


@st.cache_resource(max_entries=4, show_spinner=False)
def _telling(name: str, version: int, _study: Study, _board: Scoreboard, _subject: Subject) -> list[Telling]:
    return telling(_study, _board, _subject.methods)


def _not_evaluated(study: Study, verdicts: Mapping[str, Verdict]) -> list[str]:
    return [spec.name for spec in study.models if spec.name not in verdicts]


def _draw(drawn: dict[str, Any]) -> None:
    drawn["show"] = state.overview_row()
    opened = overview_board(drawn, key=f"overview_{state.board_name()}")
    if opened:
        _open(opened)


def _open(opened: Opened) -> None:
    """Turn to another page with what was clicked. Ends the running script."""
    if opened["page"] == "runs":
        st.switch_page(state.RUNS_PAGE)
    if opened["page"] == "robustness":
        st.switch_page(state.ROBUSTNESS_PAGE)
    if opened["page"] == "tradeoffs":
        state.open_in_tradeoffs(opened["run"], opened.get("layer", ""))
    if opened.get("view"):
        state.show_view(opened["view"])
    if opened.get("probe"):
        state.open_in_compare(opened["probe"], opened["models"])
    state.choose_models(opened["models"])
    st.switch_page(state.COMPARE_PAGE)


def _link(opened: Opened) -> str:
    """The address of what a click leads to, for a window of its own."""
    said: dict[str, Any] = {"study": state.study_name(), **opened}
    page = said.pop("page")
    return f"{page}?{urlencode({name: value for name, value in said.items() if value}, doseq=True)}"


def _compare_link(probe: str, models: Sequence[str], view: str) -> str:
    return _link({"page": "compare", "probe": probe, "models": models, "view": view})


def _nothing_yet(study: Study, verdicts: Mapping[str, Verdict]) -> None:
    """Nothing to judge: say why, and where to go."""
    unlearned = [spec.name for spec in study.models if spec.part == "unlearned"]
    if not unlearned:
        st.info(
            f"“{literal(study.name)}” has no unlearned model yet, so there is nothing to judge. Make one on the Build "
            "page, or name one in the study file.",
            icon=":material/construction:",
        )
        st.page_link(state.BUILD_PAGE, label="Go to Build", icon=":material/arrow_forward:")
    else:
        st.info(
            f"No unlearned model of “{literal(study.name)}” has been evaluated yet{under_protocol()}, so whether they "
            f"forgot is not known. Evaluate them on the Runs page.{weights_note()}",
            icon=":material/fact_check:",
        )
        st.page_link(state.RUNS_PAGE, label="Go to Runs", icon=":material/arrow_forward:")
    st.page_link(state.COMPARE_PAGE, label="Ask the models something on Compare", icon=":material/compare:")


page()
