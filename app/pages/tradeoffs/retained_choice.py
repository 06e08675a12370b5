"""The retained model of a study that names none, or that was not evaluated yet: chosen or computed on the spot."""

from __future__ import annotations

import streamlit as st

from app.looks.safe_text import visible
from app.shared import state
from app.shared.evaluation_jobs import numerics, submit_evaluation
from app.shared.resources import RECHECK_SECONDS, store, studies
from backends.checkpoints.identity import available
from backends.study import Study
from cache.evaluate.plan import EvaluationPlan, plan
from cache.store import Store

NONE = ""
WHY = (
    "The gold standard: trained without the forget set. Forget quality, PrivLeak, privacy and the overall score "
    "compare the other models with it."
)


def retained_choice(study: Study) -> None:
    """A choice where the study file names no retained model; a button where its evidence is missing."""
    named = studies()[state.study_name()]
    if study.modality != "text":
        return
    if named.retained is None:
        _choose(named)
    if study.retained is not None:
        _evaluate(study, study.retained.name)


def _choose(named: Study) -> None:
    names = [NONE, *(spec.name for spec in named.models if spec.part == "unlearned")]
    if len(names) < 2:
        return
    st.session_state["retained_choice"] = state.retained()
    st.selectbox(
        "Retained model",
        names,
        key="retained_choice",
        format_func=lambda name: visible(name) if name else "none: the study names no retained model",
        help=WHY,
        on_change=lambda: state.choose_retained(st.session_state["retained_choice"]),
    )


def _evaluate(study: Study, name: str) -> None:
    known = _plan(state.board_name(), store().version(), name, study, store())
    if known is None or not known.missing:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"The retained model lacks {known.missing} of {known.total} pieces of evidence.", width="content"
        )
        if st.button("Evaluate it now", icon=":material/play_arrow:", key="evaluate_retained"):
            submit_evaluation("Evaluating 1 model", study, [name], known)
            st.switch_page(state.RUNS_PAGE)


@st.cache_resource(max_entries=16, ttl=RECHECK_SECONDS, show_spinner=False)
def _plan(board: str, version: int, model: str, _study: Study, _store: Store) -> EvaluationPlan | None:
    """What is missing of the model; None where its weights are not here."""
    if not available(_study.model(model)):
        return None
    return plan(_study, _store, numerics(_study), [model])
