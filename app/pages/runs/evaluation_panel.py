"""Evaluating models from a page: what is missing, Start, progress while the worker is at it, Cancel.

The job lives in the worker, so it goes on when the browser is closed and is found again by any page of this study.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import streamlit as st

from app.looks.safe_text import literal, visible
from app.pages.runs.evaluation_status import cell_of, set_totals, status_table, to_do
from app.shared import state
from app.shared.jobs import Job
from app.shared.resources import pool, runner, store
from backends.pool import ModelPool
from backends.study import Study
from backends.text.precision import stored_in_halves
from cache.evaluate.evaluation import Progress, numerics_of
from cache.evaluate.plan import Plan, plan
from cache.store import Store, keys

JOB_KIND = "evaluate"
POLL_SECONDS = 0.7
PIECES_HELP = (
    "Pieces of evidence: for each probe, the scores of its answers and one written answer or picture a seed."
)
KIND_NAMES = {"scores": "token scores", "answers": "answers", "gradients": "gradients", "images": "images"}


def evaluation_panel() -> None:
    """Status of every model, a way to evaluate those that miss something, and the running job."""
    study = state.study()
    job = _latest_job()
    active = job is not None and job.active
    known = _plan(state.board_name(), store().version(), numerics(study), study, store())
    if not active:
        _start_form(known, study)
    st.fragment(run_every=POLL_SECONDS if active else None)(_progress)(known, study, job, active)
    _problems(known)


def numerics(study: Study) -> str:
    """Name of the arithmetic this machine evaluates a study with; imports torch only where the device matters.

    CPU and CUDA share a name in float32, and other systems than Apple's have no third device; half precision is for
    models that are stored in it.
    """
    here = pool()
    halves = study.modality == "text" and stored_in_halves(study)
    if here.dtype == "float32" and sys.platform != "darwin" and not halves:
        return keys.numerics("cpu", here.dtype)
    return numerics_of(here, study)


@st.cache_resource(max_entries=4, show_spinner="Looking at what is in the cache …")
def _plan(name: str, version: int, numerics: str, _study: Study, _store: Store) -> Plan:
    return plan(_study, _store, numerics)


def _latest_job() -> Job | None:
    """The evaluation of this study that is on, else the one that ended last."""
    about = [job for job in runner().jobs(JOB_KIND) if _topic(job) == state.board_name()]
    on = [job for job in about if job.active]
    return on[0] if on else about[-1] if about else None


def _topic(job: Job) -> str:
    key: Any = job.key
    return str(key[0])


def evaluation_line() -> None:
    """The running evaluation of what is shown, with its button; draws the page again when it ends."""
    job = _latest_job()
    active = job is not None and job.active
    st.fragment(run_every=POLL_SECONDS if active else None)(_line)(job, active)


def _line(job: Job | None, was_active: bool) -> None:
    if job is not None and (job.active or job.state in ("failed", "stopped")):
        _job_line(job)
    if was_active and job is not None and not job.active:
        st.rerun()


def _start_form(known: Plan, study: Study) -> None:
    """Which models to evaluate; nothing where all that can be done is done."""
    ready = to_do(known)
    if not ready:
        text = "Everything that can be evaluated on this machine has been evaluated."
        if known.problems:
            text += " The other models are shown as they were recorded."
        st.success(text, icon=":material/check_circle:")
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
        work = partial(evaluate_models, study, store(), pool(), names, known)
        title = f"Evaluating {len(names)} model{'s' if len(names) > 1 else ''}"
        runner().submit(title, JOB_KIND, (state.board_name(), *names), work, gives_way=True)
        st.rerun()


def evaluate_models(
    study: Study, kept: Store, models: ModelPool, names: list[str], known: Plan, job: Job
) -> None:
    """The work of an evaluation, in the worker thread: tells the job after every cell.

    Raises:
        Cancelled: the job was stopped; what was done is stored.
        LeftOut: a model could not be evaluated, the others were.
        BoardError: a judge or the cache cannot be used.
    """
    from cache.evaluate.evaluation import evaluate
    from cache.evaluate.left_out import LeftOut

    start = {cell_of(item): item.cached for item in known.items if item.model in names}
    total = sum(item.missing for item in known.items if item.model in names)
    now: dict[tuple[str, str, str], int] = dict(start)

    def show(progress: Progress) -> None:
        now[cell_of(progress)] = progress.done
        job.publish(cell_of(progress), progress)
        done = sum(now.values()) - sum(start.values())
        note = f"{progress.model}, {progress.probe_set}: {KIND_NAMES[progress.kind]}"
        job.report(min(done, total), total, note)

    job.report(0, total, "loading models")
    try:
        evaluate(study, kept, models, names, show, job.interrupted, job.remark)
    except LeftOut as error:
        for sentence in error.each:
            job.remark(sentence)
        raise


def _progress(known: Plan, study: Study, job: Job | None, was_active: bool) -> None:
    """The job's line and the table of all models, redrawn while the job is on."""
    if job is not None:
        _job_line(job)
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
    if was_active and job is not None and not job.active:
        st.rerun()


def _job_line(job: Job) -> None:
    if job.active:
        with st.container(horizontal=True, vertical_alignment="center", key="evaluation_line"):
            st.progress(job.done / job.total if job.total else 0.0, text=literal(_progress_text(job)))
            st.button(
                "Cancel",
                icon=":material/stop:",
                on_click=job.cancel,
                disabled=job.stopping(),
                key="cancel_evaluation",
            )
    elif job.state == "failed":
        st.error(
            "\n".join([literal(job.error), *(f"- {literal(sentence)}" for sentence in job.remarks)]),
            icon=":material/error:",
        )
    elif job.state == "stopped":
        st.info(
            "Cancelled. What was evaluated is kept; Start goes on from there.", icon=":material/pause_circle:"
        )
    else:
        st.caption(literal(f"{job.title}: done."))
        for sentence in job.remarks:
            st.caption(literal(sentence))


def _progress_text(job: Job) -> str:
    if job.stopping():
        return "Cancelling after the batch in flight …"
    if job.state == "queued":
        waiting = runner().ahead_of(job)
        return f"Waiting for {waiting} other run{'' if waiting == 1 else 's'}; goes on by itself …"
    count = f"{job.done} of {job.total}" if job.total else "starting"
    return f"{job.title}: {count}" + (f" · {job.note}" if job.note else "")


def _problems(known: Plan) -> None:
    """Why some models cannot be evaluated here."""
    if not known.problems:
        return
    count = len(known.problems)
    label = f"{count} model{'s' if count > 1 else ''} cannot be evaluated on this machine"
    with st.expander(label, icon=":material/cloud_off:"):
        st.text(visible("\n".join(known.problems.values())))
