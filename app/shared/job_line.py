"""A run as a person sees it: how far it is, a way to stop it, and how it ended."""

from __future__ import annotations

from collections.abc import Hashable

import streamlit as st

from app.looks.safe_text import literal
from app.shared.jobs import Job
from app.shared.resources import runner


def job_line(job: Job, ahead: int) -> None:
    """One line for a job that waits, runs, was stopped or failed; nothing for one that is done.

    Args:
        job: the job.
        ahead: how many jobs run before it.
    """
    if job.active:
        with st.container(horizontal=True, vertical_alignment="center", key="job_line"):
            st.progress(job.done / job.total if job.total else 0.0, text=_progress_text(job, ahead))
            st.button(
                "Stop", key="stop_run", icon=":material/stop:", on_click=job.cancel, disabled=job.stopping()
            )
    elif job.state == "failed":
        st.error(literal(job.error), icon=":material/error:")
    elif job.state == "stopped":
        st.caption("Stopped. Answers that were finished are kept.")


def latest(kind: str, key: tuple[Hashable, ...]) -> Job | None:
    """The latest job of that kind about the same: one that is on, or one that ended in this visit."""
    mine = st.session_state.get("jobs_of_this_visit", [])
    about = [job for job in runner().jobs(kind) if job.key == key]
    return next((job for job in reversed(about) if job.active or job in mine), None)


def _progress_text(job: Job, ahead: int) -> str:
    if job.stopping():
        return "Stopping …"
    if job.state == "queued":
        return f"Waiting for {ahead} other run{'s' if ahead != 1 else ''} …"
    count = f" · {job.done} of {job.total}" if job.total else ""
    return literal(job.title) + count + (f" · {literal(job.note)}" if job.note else "")
