"""The line of an evaluation, on every page that starts one."""

from __future__ import annotations

import streamlit as st

from app.shared.evaluation_jobs import latest_evaluation
from app.shared.job_line import JobWords, job_line
from app.shared.jobs import Job

POLL_SECONDS = 0.7


def _progress(job: Job, ahead: int) -> str:
    if job.state == "queued":
        return f"Waiting for {ahead} other job{'' if ahead == 1 else 's'}; resumes automatically …"
    count = f"{job.done} of {job.total}" if job.total else "starting"
    return f"{job.title}: {count}" + (f" · {job.note}" if job.note else "")


EVALUATION = JobWords(
    line="evaluation_line",
    button="Cancel",
    button_key="cancel_evaluation",
    stopping="Cancelling after the current batch …",
    progress=_progress,
    stopped="Cancelled. Finished work is kept; press Start to resume.",
    stopped_icon=":material/pause_circle:",
    done=": done.",
    remarks=True,
)


def evaluation_line() -> None:
    """The running evaluation of what is shown, with its button; draws the page again when it ends."""
    job = latest_evaluation()
    active = job is not None and job.active
    st.fragment(run_every=POLL_SECONDS if active else None)(_line)(job, active)


def _line(job: Job | None, was_active: bool) -> None:
    if job is not None and (job.active or job.state in ("failed", "stopped")):
        job_line(job, EVALUATION)
    if was_active and job is not None and not job.active:
        st.rerun()
