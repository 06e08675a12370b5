"""The strength view: choose an unlearned model, evaluate the models between the original and it.

A curve that the cache has evidence of is shown at once, and its models are no models of the study on other pages until
somebody wants them there.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from app.charts.points import Axis
from app.looks.safe_text import literal, visible
from app.pages.tradeoffs.settings import RUNS
from app.pages.tradeoffs.strength_curve import strength_curve
from app.shared import state
from app.shared.evaluation_jobs import numerics, submit_evaluation
from app.shared.evaluation_line import evaluation_line
from app.shared.resources import store, studies
from backends.checkpoints.identity import available
from backends.errors import StudyError
from backends.study import ModelSpec, Study
from backends.study.strength import LEAST, MOST, check_pair, model_at
from cache.analysis.dial import recorded
from cache.evaluate.plan import plan
from cache.store import Store

SPACINGS = {"coarse": 0.5, "medium": 0.25, "fine": 0.125}
WHAT = (
    "Weights = original + a · (unlearned − original): 0 is the original, 1 the unlearned model, above 1 "
    "unlearns further. Two models give a whole curve."
)


def strength_view(x: Axis, y: Axis) -> None:
    """Choose a model, evaluate its curve, look at it, try a strength."""
    st.caption(WHAT)
    named = studies()[state.study_name()]
    ready = [spec.name for spec in named.models if _why_not(named, spec) == ""]
    if not ready:
        reasons = {_why_not(named, spec) for spec in named.models if spec.part == "unlearned"}
        st.info(
            "No unlearned model of this study can be interpolated here: "
            + literal("; ".join(sorted(reasons)) or "there is none"),
            icon=":material/tune:",
        )
        return
    known = _recorded(state.board_name(), store().version(), tuple(ready), named, store())
    name = _choice(ready, [each for each in ready if known[each]])
    evaluation_line()
    added = [strength for model, strength in state.dials() if model == name]
    strengths = sorted({*added, *known[name]} | ({0.0, 1.0} if known[name] else set()))
    strength_curve(named, name, strengths, x, y)


@st.cache_data(max_entries=16, show_spinner=False)
def _recorded(
    name: str, version: int, models: tuple[str, ...], _study: Study, _store: Store
) -> dict[str, list[float]]:
    """Strengths of which the cache has evidence, by unlearned model."""
    return {model: recorded(_study, model, _store, _strengths(min(SPACINGS.values()))) for model in models}


def _strengths(spacing: float) -> list[float]:
    return [round(LEAST + spacing * place, 4) for place in range(round((MOST - LEAST) / spacing) + 1)]


def _why_not(named: Study, spec: ModelSpec) -> str:
    """Why a model cannot be dialled here; "" where it can."""
    if spec.part != "unlearned":
        return "not unlearned"
    if not (available(spec) and available(named.original)):
        return "the weights are not on this machine"
    try:
        check_pair(named.original, spec)
    except StudyError as error:
        return error.what
    return ""


def _choice(ready: list[str], known: list[str]) -> str:
    """The model, with the button that evaluates its strengths.

    Args:
        ready: names to choose from.
        known: those of which a curve is recorded.
    """
    chosen = [run for run in st.session_state.get(RUNS, []) if run in ready]
    dialled = [name for name, _ in state.dials() if name in ready]
    usual = (dialled or chosen or known or ready)[-1]
    left, middle, right = st.columns([4, 3, 3], gap="small", vertical_alignment="bottom")
    name = left.selectbox(
        "Unlearned model", ready, index=ready.index(usual), format_func=visible, key="dial_model"
    )
    spacing = middle.segmented_control(
        "Steps of a",
        list(SPACINGS),
        default="coarse",
        required=True,
        format_func=lambda kind: f"{SPACINGS[kind]:g}",
        key="dial_spacing",
    )
    with right:
        st.button(
            "Evaluate the curve",
            icon=":material/play_arrow:",
            type="primary",
            on_click=partial(_evaluate, name, _strengths(SPACINGS[spacing or "coarse"])),
            help="Only missing evidence is computed. It can be cancelled and resumed.",
        )
    return name


def _evaluate(name: str, strengths: list[float]) -> None:
    """Add the models to the study that is shown and evaluate what is missing."""
    others = [dial for dial in state.dials() if dial[0] != name]
    kept = [dial for dial in state.dials() if dial[0] == name and dial[1] not in strengths]
    state.set_dials([*others, *kept, *((name, strength) for strength in strengths)])
    study = state.study()
    names = [model_at(study.original, study.model(name), strength) for strength in strengths]
    known = plan(study, store(), numerics(study), names)
    if known.missing:
        submit_evaluation(f"Evaluating {len(names)} strengths of {name}", study, names, known)
