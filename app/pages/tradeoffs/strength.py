"""The strength curve: a curve of models between the original and an unlearned one, evaluated, and tried in Compare."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from app.charts.dial import Level, dial_figure
from app.charts.points import Axis
from app.components import chart
from app.looks.model_looks import ORIGINAL, RETAINED, look_of
from app.looks.safe_text import literal, visible
from app.looks.theme import is_dark
from app.pages.tradeoffs.settings import RUNS
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.evaluation_jobs import numerics, submit_evaluation
from app.shared.evaluation_line import evaluation_line
from app.shared.figure_export import figure_config, figure_export
from app.shared.resources import store, studies
from app.shared.scoreboards import current_scoreboard
from backends.checkpoints.identity import available
from backends.errors import StudyError
from backends.study import ModelSpec, Study
from backends.study.strength import LEAST, MOST, check_pair, is_dialled, model_at
from cache.analysis.dial import findings
from cache.analysis.frontier import Floats
from cache.evaluate.plan import plan

SPACINGS = {"coarse": 0.5, "medium": 0.25, "fine": 0.125}
WHAT = (
    "Weights = original + a · (unlearned − original): 0 is the original, 1 the unlearned model, above 1 "
    "unlearns further. Two models give a whole curve."
)


def strength_view(study: Study, x: Axis, y: Axis) -> None:
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
    name = _choice(ready)
    evaluation_line()
    _curve(study, named, name, x, y)


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


def _choice(ready: list[str]) -> str:
    """The model, with the button that evaluates its strengths."""
    chosen = [run for run in st.session_state.get(RUNS, []) if run in ready]
    dialled = [name for name, _ in state.dials() if name in ready]
    usual = (dialled or chosen or ready)[-1]
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
    step = SPACINGS[spacing or "coarse"]
    strengths = [round(LEAST + step * place, 4) for place in range(round((MOST - LEAST) / step) + 1)]
    with right:
        st.button(
            "Evaluate the curve",
            icon=":material/play_arrow:",
            type="primary",
            on_click=partial(_evaluate, name, strengths),
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


def _curve(study: Study, named: Study, name: str, x: Axis, y: Axis) -> None:
    """Both metrics over a, and what they say."""
    board = current_scoreboard()
    known = sorted(strength for model, strength in state.dials() if model == name)
    if not known:
        st.info(
            "This curve has not been evaluated yet. Press *Evaluate the curve*.",
            icon=":material/show_chart:",
        )
        return
    models = [model_at(named.original, named.model(name), a) for a in known]
    values = np.array([[_value(board.frame, model, axis.key) for axis in (x, y)] for model in models])
    if np.isnan(values).all():
        return
    marked = st.select_slider(
        "Selected strength a",
        known,
        value=st.session_state.get("dial_marked")
        if st.session_state.get("dial_marked") in known
        else _middle(known),
        format_func=lambda a: f"{a:g}",
    )
    st.session_state["dial_marked"] = marked
    look = look_of(named.model(name), named)
    levels = [
        Level(spec.name, tuple(float(_value(board.frame, spec.name, axis.key)) for axis in (x, y)), shown)
        for spec, shown in ((named.original, ORIGINAL), (study.retained, RETAINED))
        if spec is not None
    ]
    intervals = np.array([[_interval(board.frame, model, axis.key) for axis in (x, y)] for model in models])
    figure = partial(dial_figure, np.array(known), values, intervals, (x, y), look, levels, marked)
    title = f"{state.study_name()}-strength"
    alt = f"{x.name} and {y.name} over the strength a."
    chart.draw(figure(dark=is_dark()), "dial_chart", alt=alt, config=figure_config(title))
    figure_export(partial(figure, dark=False), title, key="dial")
    retained = next((level.values[0] for level in levels if level.name != named.original.name), None)
    _said(np.array(known), values, x, y, retained)
    _try(name, models[known.index(marked)], marked)


def _said(strengths: Floats, values: Floats, x: Axis, y: Axis, retained: float | None) -> None:
    curve = findings(strengths, values, (x.better, y.better), retained)
    lines = []
    if curve.knee_strength is not None:
        lines.append(
            f"The knee of the curve is at a = {curve.knee_strength:g}: the best compromise among these strengths."
        )
    if curve.passing_strength is not None:
        lines.append(
            f"From a ≈ {curve.passing_strength:.2f} on it has passed the retained model on {x.name}: "
            "beyond it, forgetting is damage, not a gain."
        )
    elif retained is not None and not np.isnan(retained):
        lines.append(f"No strength reaches the retained model on {x.name}.")
    if np.isnan(values).any():
        lines.append("Some strengths are not evaluated yet.")
    st.text("\n".join(map(visible, lines)))


def _try(name: str, model: str, marked: float) -> None:
    """The marked strength as a model of Compare."""
    with st.container(horizontal=True):
        if st.button(
            f"Try a = {marked:g} in Compare", icon=":material/compare:", type="primary", key="dial_try"
        ):
            probe = state.probe()
            ticked = [each for each in chosen_models() if not is_dialled(state.study().model(each))]
            state.open_in_compare(probe.id if probe else "", [*ticked, name, model])
        st.button(
            "Remove the curve from the study",
            icon=":material/close:",
            type="tertiary",
            on_click=lambda: state.set_dials(dial for dial in state.dials() if dial[0] != name),
            help="Its evidence stays in the cache.",
        )


def _middle(known: list[float]) -> float:
    return min(known, key=lambda a: abs(a - 1.0))


def _value(frame: pd.DataFrame, model: str, key: str) -> float:
    rows = frame.loc[(frame["model"] == model) & (frame["key"] == key), "value"]
    return float(rows.iloc[0]) if len(rows) else float("nan")


def _interval(frame: pd.DataFrame, model: str, key: str) -> tuple[float, float]:
    rows = frame.loc[(frame["model"] == model) & (frame["key"] == key), ["low", "high"]]
    return (float(rows.iloc[0, 0]), float(rows.iloc[0, 1])) if len(rows) else (float("nan"), float("nan"))
