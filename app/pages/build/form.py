"""The form of the Build page: method, settings with their help, a sweep, what is done with the checkpoints."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import streamlit as st

from app.looks.safe_text import literal, visible
from app.pages.build.run_jobs import submit
from app.shared import state
from app.shared.unlearning import PreparedRun, UnlearningRequest, grid, prepare, settings_for
from app.shared.unlearning_runs import built_folder
from backends.errors import BoardError
from backends.study import Study
from backends.unlearning.settings import Setting

COLUMNS = 4
FIRST = 8
"""Settings that are shown at once; the others are under More."""
SWEEP_HELP = "Values of one or more settings, as `lr=1e-4,3e-4 alpha=1,2`: one run for each combination."
RETAIN_HELP = "A file of retain rows to train on instead, so that the retain probes stay unseen."


def build_form(study: Study) -> None:
    """Choose a method and its settings, and start."""
    methods = _methods(study)
    name = st.selectbox(
        "Method", list(methods), format_func=lambda key: f"{key}  ·  {methods[key]}", key="build_method"
    )
    known = settings_for(name, study.modality)
    settings = _settings(name, known)
    left, middle, right = st.columns([2, 3, 5], vertical_alignment="bottom")
    checkpoints = left.number_input(
        "Checkpoints",
        1,
        100,
        5,
        key="build_checkpoints",
        help="How many are saved, evenly spaced over the steps.",
    )
    with middle:
        if study.modality == "text":
            retain = st.text_input(
                "Retain rows", placeholder="the study's retain probes", key="build_retain",
                help=RETAIN_HELP,
            )  # fmt: skip
            anchor = None
        else:
            retain, anchor = "", _anchor(study)
    sweep = right.text_input("Sweep", placeholder="lr=1e-4,3e-4", key="build_sweep", help=SWEEP_HELP)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Start", icon=":material/play_arrow:", type="primary", key="build_start")
        judged = st.toggle(
            "Evaluate the checkpoints when a run is done", True, key="build_evaluate",
            help="They then appear on Trade-offs and Examples.",
        )  # fmt: skip
    if pressed:
        asked = UnlearningRequest(
            name,
            settings,
            int(checkpoints),
            built_folder(state.study_name()),
            Path(retain).expanduser() if retain.strip() else None,
            anchor,
        )
        _start(study, asked, sweep, evaluate=judged)


def _start(study: Study, asked: UnlearningRequest, sweep: str, *, evaluate: bool) -> None:
    """Check every run of the sweep, then queue all of them."""
    try:
        with st.spinner("Checking …"):
            runs: list[tuple[dict[str, str], PreparedRun]] = []
            for varied in grid(sweep.split()):
                runs.append((varied, prepare(study, asked, varied)))
    except BoardError as error:
        st.error(literal(str(error)), icon=":material/error:")
        return
    for varied, prepared in runs:
        submit(state.study_name(), study, asked, varied, prepared, evaluate=evaluate)
    st.session_state["build_said"] = list(runs[0][1].about[1:])
    st.rerun()


def _settings(name: str, known: dict[str, Setting]) -> dict[str, str]:
    """The settings that differ from the usual ones, as they would be written."""
    keys = list(known)
    first, others = keys[:FIRST], keys[FIRST:]
    values = _inputs(name, {key: known[key] for key in first})
    if others:
        with st.expander("More settings"):
            values |= _inputs(name, {key: known[key] for key in others})
    return {key: f"{value:.12g}" for key, value in values.items() if value != known[key].usual}


def _inputs(name: str, known: dict[str, Setting]) -> dict[str, float]:
    values: dict[str, float] = {}
    columns = st.columns(COLUMNS)
    for place, (key, setting) in enumerate(known.items()):
        where = columns[place % COLUMNS]
        make = partial(
            where.number_input,
            key,
            key=f"build_{name}_{key}",
            help=f"{setting.help} Usual: {setting.usual:g}.",
        )
        if setting.whole:
            values[key] = make(int(setting.low), int(setting.high), int(setting.usual), step=1)
        else:
            step = 10.0 ** math.floor(math.log10(setting.usual)) if setting.usual > 0 else 0.1
            values[key] = make(setting.low, setting.high, float(setting.usual), step=step, format="%g")
    return values


def _anchor(study: Study) -> str:
    """What takes the forgotten concept's place."""
    concepts = {
        value
        for probes in study.probe_sets
        if probes.role != "forget"
        for probe in probes.probes
        for domain, value in probe.concepts.items()
        if domain in study.forget_concepts and value != study.forget_concepts[domain]
    }
    from backends.unlearning.image_prompts import usual_anchor

    options = sorted(concepts) or [""]
    usual = usual_anchor(study)
    return st.selectbox(
        "Anchor concept", options, index=options.index(usual) if usual in options else 0,
        format_func=lambda text: visible(text) or "the empty prompt", key="build_anchor",
        help="The concept that SalUn, Concept Ablation, Selective Amnesia and UCE map the forgotten one to.",
    )  # fmt: skip


def _methods(study: Study) -> dict[str, str]:
    from app.shared.unlearning import methods_of

    return methods_of(study.modality)
