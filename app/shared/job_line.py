"""A job as a person sees it: how far it is, a way to stop it, and how it ended. One component for all pages."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import streamlit as st

from app.looks.safe_text import literal
from app.shared.jobs import Job
from app.shared.resources import runner

MINE = "jobs_of_this_visit"


def plain_progress(job: Job, ahead: int) -> str:
    """How far a job is that somebody waits for.

    Args:
        job: one that is waiting or running.
        ahead: how many jobs run before it.
    """
    if job.state == "queued":
        return f"Waiting for {ahead} other job{'s' if ahead != 1 else ''} …"
    count = f" · {job.done} of {job.total}" if job.total else ""
    return job.title + count + (f" · {job.note}" if job.note else "")


@dataclass(frozen=True, slots=True)
class JobWords:
    """What the line of a job says, and the keys of its widgets.

    Attributes:
        line: key of the line, which style sheets and tests know it by.
        button: label of the button that stops the job.
        button_key: its key.
        icon: its icon.
        help: its tooltip.
        stopping: said from the press until the job has ended.
        progress: job and number of jobs before it -> what is said while it waits or runs.
        stopped: said where it was stopped; "" says nothing.
        stopped_icon: puts that into a box with this icon; "" is a plain caption.
        done: follows the job's title where it is done; "" says nothing.
        remarks: the job's remarks are listed when it has ended, in the box of the error where it failed.
    """

    line: str = "job_line"
    button: str = "Stop"
    button_key: str = "stop_run"
    icon: str = ":material/stop:"
    help: str | None = None
    stopping: str = "Stopping …"
    progress: Callable[[Job, int], str] = plain_progress
    stopped: str = "Stopped. Answers that were finished are kept."
    stopped_icon: str = ""
    done: str = ""
    remarks: bool = False


COMPARE = JobWords()
"""Of quick work whose results are on the page: answers and pictures as they come."""


def job_line(job: Job, words: JobWords = COMPARE) -> None:
    """One line for a job that waits, runs or has ended; nothing for one that has nothing to say any more."""
    if job.active:
        text = words.stopping if job.stopping() else words.progress(job, runner().ahead_of(job))
        share = min(1.0, job.done / job.total) if job.total else 0.0
        with st.container(horizontal=True, vertical_alignment="center", key=words.line):
            st.progress(share, text=literal(text))
            st.button(
                words.button,
                icon=words.icon,
                on_click=job.cancel,
                disabled=job.stopping(),
                key=words.button_key,
                help=words.help,
            )
        return
    told = list(job.remarks) if words.remarks else []
    if job.state == "failed":
        st.error(
            "\n".join([literal(job.error), *(f"- {literal(sentence)}" for sentence in told)]),
            icon=":material/error:",
        )
        return
    if job.state == "stopped" and words.stopped_icon:
        st.info(words.stopped, icon=words.stopped_icon)
    elif job.state == "stopped" and words.stopped:
        st.caption(words.stopped)
    elif job.state == "done" and words.done:
        st.caption(literal(f"{job.title}{words.done}"))
    for sentence in told:
        st.caption(literal(sentence))


def started_here(job: Job) -> None:
    """Note a job as started in this visit, so that its end is told in it."""
    st.session_state.setdefault(MINE, []).append(job)


def latest(kind: str, key: tuple[Hashable, ...], parts: int | None = None) -> Job | None:
    """The latest job of that kind about the same: one that is on, or one that ended in this visit.

    Args:
        kind: of the job.
        key: what it is about.
        parts: how many first parts of the job's key that is; None is the whole key.
    """
    mine = st.session_state.get(MINE, [])
    about = [job for job in runner().jobs(kind) if job.key[:parts] == key]
    return next((job for job in reversed(about) if job.active or job in mine), None)
