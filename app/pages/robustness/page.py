"""Robustness: erased or hidden? Verdicts, the ladder of attacks, the facts that came back, and trying attacks."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.components.verdict_list import Line, verdict_list
from app.looks.model_looks import look_of
from app.looks.safe_text import literal
from app.looks.theme import is_dark
from app.pages.robustness.attack_panel import attack_panel
from app.pages.robustness.curves_panel import curves_panel
from app.pages.robustness.facts_panel import facts_panel
from app.pages.robustness.ladder_view import chosen_rung, ladder_view, measure_choice
from app.pages.robustness.untold import left_out_list, waiting_line
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.errors import show_errors
from app.shared.fresh import Numbers, rerun_unless
from app.shared.ladders import Found, current_ladder
from app.shared.protocol_choice import protocol_note
from app.shared.robustness_words import KIND_WORDS, Said, attacked, robustness_sentence
from backends.study import Modality, Study

WHAT = (
    "The plain question misleads: a model may hide what it still knows. Here it is asked hard, and so are the original "
    "and the retained model, in the same way: only what lies between the two counts."
)

WAYS: Mapping[Modality, str] = {
    "text": "in other words, with a begun answer, after other facts, many times",
    "image": "in other words, with more seeds, from a noised or repainted picture of the concept",
}


@show_errors()
def page() -> None:
    """The page; all that a click changes is a fragment, so that it leaves the frame alone."""
    st.title("Erased or hidden?", anchor=False)
    st.caption(WHAT + protocol_note())
    found = current_ladder().ladder
    tried = any(attacked(found, name) for name in chosen_models())
    if not tried:
        _nothing_tried()
    attack_panel(open_at_once=not tried)
    if found.rungs:
        st.fragment(_body)(Numbers.now())


@show_errors()
def _body(drawn: Numbers) -> None:
    """Verdicts, ladder, facts of the mark that was clicked."""
    rerun_unless(drawn.still_shown())
    study, found = state.study(), current_ladder()
    names = [name for name in chosen_models() if study.model(name).part == "unlearned"]
    _verdicts(study, found, names)
    measure = measure_choice(study.modality, found.ladder)
    ladder_view(study, found, names, measure)
    waiting_line(found, names)
    curves_panel(study, found.ladder, names, measure)
    rung = chosen_rung(found.ladder, measure)
    if rung is not None:
        facts_panel(study, found, rung)
    left_out_list(found, names)


def _verdicts(study: Study, found: Found, names: list[str]) -> None:
    said = [robustness_sentence(found.ladder, name, study.modality) for name in names]
    verdict_list([_line(study, each) for each in said], f"robust_{state.board_name()}", dark=is_dark())


def _line(study: Study, said: Said) -> Line:
    look = look_of(study.model(said.model), study)
    return Line(said.model, look, said.kind, KIND_WORDS[said.kind], said.sentence)


def _nothing_tried() -> None:
    """Why there is no ladder yet, and what it would take."""
    study, found = state.study(), current_ladder()
    if not any(spec.part == "unlearned" for spec in study.models):
        st.info(
            f"“{literal(study.name)}” has no unlearned model yet, so there is nothing to attack. Make one on the Build "
            "page, or name one in the study file.",
            icon=":material/construction:",
        )
        st.page_link(state.BUILD_PAGE, label="Go to Build", icon=":material/arrow_forward:")
        return
    if not found.trials.trials:
        reasons = "; ".join(dict.fromkeys(each.why for each in found.trials.left_out))
        st.info(
            f"No attack can be tried on “{literal(study.name)}”: {literal(reasons or 'there is none for it yet')}.",
            icon=":material/gpp_maybe:",
        )
        return
    names = [name for name in chosen_models() if study.model(name).part == "unlearned"]
    which = "the ticked models" if names else "any model: tick one in the sidebar"
    st.info(
        f"No attack has been tried on {which} yet. An attack asks the same in another way: {WAYS[study.modality]}, or "
        "with the weights changed a little. What comes back was hidden, not erased.",
        icon=":material/gpp_maybe:",
    )


page()
