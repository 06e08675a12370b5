"""The form of the Build page: method, settings with their help, a sweep, what is done with the checkpoints."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import streamlit as st

from app.looks.safe_text import literal, visible
from app.pages.build.presets import (
    PAPER,
    QUICK,
    USUAL_METHOD,
    WORDS,
    estimate,
    help_of,
    preset,
    presets_of,
    source_of,
    step_seconds,
)
from app.pages.build.run_jobs import submit
from app.shared import state
from app.shared.unlearning import PreparedRun, UnlearningRequest, grid, prepare, settings_for
from app.shared.unlearning_runs import built_folder, built_runs
from backends.errors import BoardError, StudyError
from backends.image.real_pictures import real_pictures
from backends.study import Study
from backends.unlearning.settings import Setting

COLUMNS = 4
SWEEP_HELP = "Values of one or more settings, as `lr=1e-4,3e-4 alpha=1,2`: one run for each combination."
RETAIN_HELP = "A file of retain rows to train on instead, so that the retain probes stay unseen."


def build_form(study: Study) -> None:
    """Choose a method and how thorough to be, and start; every setting is in a fold below."""
    methods = _methods(study)
    usual = USUAL_METHOD[study.modality]
    left, right = st.columns([3, 2])
    with left:
        name = st.selectbox(
            "Method",
            list(methods),
            index=list(methods).index(usual) if usual in methods else 0,
            format_func=lambda key: f"{key}  ·  {methods[key]}",
            key="build_method",
        )
    known = settings_for(name, study.modality)
    timed = step_seconds(built_runs(built_folder(state.study_name())), name)
    offered = presets_of(study.modality, name)
    if st.session_state.get("build_preset", QUICK) not in offered:  # another method had it
        st.session_state["build_preset"] = QUICK
    with right:
        chosen = st.segmented_control(
            "How thorough",
            offered,
            default=QUICK,
            required=True,
            key="build_preset",
            help=help_of(study.modality, name),
        )
    _fill(name, str(chosen), known, study, timed)
    said = st.container()
    with st.expander("Settings", icon=":material/tune:"):
        settings, checkpoints, retain, anchor, sweep = _details(study, name, known)
    steps = float(settings.get("steps", known["steps"].usual))
    said.caption(literal(estimate(steps, timed)))
    if chosen == PAPER and study.modality == "image":
        said.caption(literal(source_of(name)))
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
            checkpoints,
            built_folder(state.study_name()),
            Path(retain).expanduser() if retain.strip() else None,
            anchor,
        )
        _start(study, asked, sweep, evaluate=judged)


def _fill(
    name: str, chosen: str, known: dict[str, Setting], study: Study, timed: tuple[float, str] | None
) -> None:
    """Put a preset's values into the boxes, once for each choice of method and preset: they can be changed after."""
    asked = (state.study_name(), name, chosen)
    if st.session_state.get("build_filled") == asked:
        return
    st.session_state["build_filled"] = asked
    image = study.modality == "image"
    rows = _pictures(study, known) if image else _forget_rows(study)
    values, checkpoints = preset(chosen, known, rows, timed[0] if timed else None, name if image else "")
    for key, setting in known.items():
        value = values.get(key, setting.usual)
        st.session_state[f"build_{name}_{key}"] = int(value) if setting.whole else float(value)
    st.session_state["build_checkpoints"] = checkpoints


def _forget_rows(study: Study) -> int:
    return sum(len(each.probes) for each in study.probe_sets if each.role == "forget")


def _pictures(study: Study, known: dict[str, Setting]) -> int:
    """Pictures to forget that a run sees: the study's real ones, else those that the original draws."""
    named = study.denoising
    if named is not None and named.forget and named.retain:
        try:
            return len(real_pictures(Path(named.forget)))
        except StudyError:  # said when the run is started
            return 0
    return _forget_rows(study) * (int(known["pictures"].usual) if "pictures" in known else 1)


def _details(
    study: Study, name: str, known: dict[str, Setting]
) -> tuple[dict[str, str], int, str, str | None, str]:
    """Every setting, the number of checkpoints, other retain rows, the anchor and a sweep."""
    settings = _settings(name, known)
    left, middle, right = st.columns([2, 3, 5], vertical_alignment="bottom")
    checkpoints = left.number_input(
        "Checkpoints",
        1,
        100,
        key="build_checkpoints",
        help="How many are saved, evenly spaced over the steps.",
    )
    anchor: str | None = None
    with middle:
        if study.modality == "text":
            retain = st.text_input(
                "Retain rows", placeholder="the study's retain probes", key="build_retain",
                help=RETAIN_HELP,
            )  # fmt: skip
        else:
            retain, anchor = "", _anchor(study)
    sweep = right.text_input("Sweep", placeholder="lr=1e-4,3e-4", key="build_sweep", help=SWEEP_HELP)
    return settings, int(checkpoints), retain, anchor, sweep


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
    values: dict[str, float] = {}
    columns = st.columns(COLUMNS)
    for place, (key, setting) in enumerate(known.items()):
        where = columns[place % COLUMNS]
        make = partial(
            where.number_input,
            WORDS.get(key, key),
            key=f"build_{name}_{key}",
            help=f"{setting.help} Usual: {setting.usual:g}. In a sweep: `{key}`.",
        )
        if setting.whole:
            values[key] = make(int(setting.low), int(setting.high), step=1)
        else:
            step = 10.0 ** math.floor(math.log10(setting.usual)) if setting.usual > 0 else 0.1
            values[key] = make(setting.low, setting.high, step=step, format="%g")
    return {key: f"{value:.12g}" for key, value in values.items() if value != known[key].usual}


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
