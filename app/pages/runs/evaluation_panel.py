"""Evaluating models from the Runs page: what is missing, Start, progress while the worker is at it, Cancel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import streamlit as st

from app.looks.names import protocol_words
from app.looks.safe_text import visible
from app.pages.runs.evaluation_status import incomplete, set_totals, status_table, to_do
from app.shared import state
from app.shared.evaluation_jobs import latest_evaluation, numerics, submit_evaluation
from app.shared.evaluation_line import EVALUATION, POLL_SECONDS
from app.shared.job_line import job_line
from app.shared.jobs import Job
from app.shared.resources import store
from backends.study import Study
from cache.evaluate.evaluation import Progress
from cache.evaluate.plan import EvaluationPlan, plan
from cache.store import Store

PIECES_HELP = (
    "Pieces of evidence: for each probe, the scores of its answers and one written answer or picture a seed."
)


def evaluation_panel() -> None:
    """Status of every model, a way to evaluate those that miss something, and the running job."""
    study = state.study()
    job = latest_evaluation()
    active = job is not None and job.active
    known = _plan(state.board_name(), store().version(), numerics(study), study, store())
    if not active:
        _start_form(known, study)
    st.fragment(run_every=POLL_SECONDS if active else None)(_progress)(known, study, job, active)
    _problems(known, study)


@st.cache_resource(max_entries=4, show_spinner="Checking the cache …")
def _plan(name: str, version: int, numerics: str, _study: Study, _store: Store) -> EvaluationPlan:
    return plan(_study, _store, numerics)


def _start_form(known: EvaluationPlan, study: Study) -> None:
    """Which models to evaluate; nothing where all that can be done is done."""
    ready = to_do(known)
    if not ready:
        short = incomplete(known, study)
        if short:
            count, verb = len(short), "is" if len(short) == 1 else "are"
            st.info(
                f"{count} of {len(study.models)} models {verb} incomplete and cannot be evaluated{_under(study)} on "
                "this machine; why stands below the table.",
                icon=":material/cloud_off:",
            )
        elif known.problems:
            st.success(
                f"Every model is complete{_under(study)}, from recorded evidence: nothing is left to evaluate.",
                icon=":material/check_circle:",
            )
        else:
            st.success(
                "Everything that can be evaluated on this machine is evaluated.",
                icon=":material/check_circle:",
            )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = st.multiselect(
            "Models to evaluate",
            ready,
            default=ready,
            format_func=visible,
            key=f"evaluate_{state.board_name()}_{len(ready)}",
            placeholder="Choose models",
        )
        pressed = st.button("Start", icon=":material/play_arrow:", type="primary", disabled=not names)
    if pressed:
        title = f"Evaluating {len(names)} model{'s' if len(names) > 1 else ''}"
        submit_evaluation(title, study, names, known)
        st.rerun()


def _under(study: Study) -> str:
    return f" under the protocol {protocol_words(study.protocol)}" if study.modality == "text" else ""


def _progress(known: EvaluationPlan, study: Study, job: Job | None, was_active: bool) -> None:
    """The job's line and the table of all models, redrawn while the job is on."""
    if job is not None:
        job_line(job, EVALUATION)
    told: Mapping[Hashable, Progress] = job.partial() if job is not None else {}
    # Cells are told in the order of the work, so the last one's model is at work.
    at_work = next(reversed(list(told.values()))).model if told and job is not None and job.active else ""
    table = status_table(known, study, told, at_work)
    table["model"] = table["model"].map(visible)
    bars = {
        name: st.column_config.ProgressColumn(
            visible(name), min_value=0, max_value=total, format=f"%d / {total}", help=PIECES_HELP
        )
        for name, total in set_totals(known).items()
        if total
    }
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "model": "Model",
            "state": "State",
            "missing": st.column_config.NumberColumn("Missing", help=PIECES_HELP),
            **bars,
        },
        placeholder="–",
        key=f"status_{state.board_name()}",
    )
    st.caption(f"Counted in pieces of evidence. {PIECES_HELP.partition(': ')[2].capitalize()}")
    if was_active and job is not None and not job.active:
        st.rerun()


def _problems(known: EvaluationPlan, study: Study) -> None:
    """Why some models cannot be evaluated here; of no weight where all that was to be done is recorded."""
    if not known.problems:
        return
    count = len(known.problems)
    models = f"{count} model{'s' if count > 1 else ''}"
    label = f"{models} cannot be evaluated on this machine"
    if not incomplete(known, study):
        label = (
            f"{models} of recorded evidence only: new probes or settings cannot be evaluated on this machine"
        )
    with st.expander(label, icon=":material/cloud_off:"):
        st.text(visible("\n".join(known.problems.values())))
