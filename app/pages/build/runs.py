"""The runs of the Build page: the one at work, their curves as they grow, and what can be done with each."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app.charts.building import MeasureNames, Trace, building_figure
from app.components import chart
from app.looks.model_looks import families, method_looks
from app.looks.safe_text import literal, visible
from app.looks.theme import is_dark
from app.pages.build.run_jobs import KIND, resume_run
from app.pages.build.strip import strip_panel
from app.shared import state
from app.shared.figure_export import figure_config
from app.shared.job_line import JobWords, job_line
from app.shared.jobs import Job
from app.shared.resources import runner, studies
from app.shared.unlearning_runs import BuiltRun, built_folder, built_runs, delete_run
from backends.study import Study

POLL_SECONDS = 1.0
SHOWN = 4
"""Runs that are drawn until somebody chooses others: the last ones."""
WORDS = {
    "text": MeasureNames(
        "P(answer), forget probes (lower is better)",
        "P(answer), utility probes (higher is better)",
        forget_falls=True,
    ),
    "image": MeasureNames(
        "forget loss / original's (higher is better)",
        "original's retain loss / now (higher is better)",
        forget_falls=False,
    ),
}
SAID = {
    "text": "Forget and utility are the mean probability per token of the reference answers to at most 32 probes of "
    "each kind (utility: of the utility set, else neighbours, else retain): lower forget is better, higher utility "
    "is better. These are quick estimates; Trade-offs has the full metrics.",
    "image": "Forget is the denoiser's loss on at most 16 pictures of the concept over the original's: above 1 "
    "is forgotten. Utility is the original's loss on retain pictures over the current loss: below 1 "
    "is harmed. A method that hides a concept instead of erasing it changes neither; Trade-offs has "
    "the metrics of the pictures.",
}


def runs_panel(study: Study) -> None:
    """Everything that was made of this study."""
    name = state.study_name()
    active = any(job.active for job in _jobs(name))
    st.fragment(run_every=POLL_SECONDS if active else None)(_panel)(name, study, active)


def _jobs(name: str) -> list[Job]:
    return [job for job in runner().jobs(KIND) if job.key[0] == name]


def _panel(name: str, study: Study, was_active: bool) -> None:
    jobs = _jobs(name)
    _job_lines(jobs)
    if was_active and not any(job.active for job in jobs):
        st.rerun()
    runs = built_runs(built_folder(name))
    if not runs:
        st.info(
            "No unlearning runs yet. Choose a method and press *Start*: loss, forgetting and "
            "utility are plotted here while it runs.",
            icon=":material/show_chart:",
        )
        return
    labels = [run.label for run in runs]
    chosen = st.multiselect(
        "Runs", labels, default=labels[-SHOWN:], format_func=visible, key=f"build_shown_{name}_{len(labels)}",
        placeholder="Choose runs", label_visibility="collapsed",
    )  # fmt: skip
    # The look that the run's models have on all pages, or will have once there are any.
    known = families(studies()[name])
    looks = method_looks([*known, *(label for label in labels if label not in known)])
    traces = [_trace(run, looks[run.label]) for run in runs if run.label in chosen]
    chart.draw(
        building_figure(traces, WORDS[study.modality], dark=is_dark()),
        "build_chart",
        alt="Loss, forgetting and utility of the chosen runs while they are made.",
        config=figure_config(f"{name}-build"),
    )
    st.caption(SAID[study.modality])
    if study.modality == "image":
        for run in runs:
            if run.label in chosen:
                strip_panel(studies()[name], run.label)
    event = st.dataframe(
        _table(runs, jobs),
        hide_index=True,
        column_config={
            "Progress": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="percent"),
            "Forget": st.column_config.NumberColumn(format="%.3f", help=WORDS[study.modality].forget),
            "Utility": st.column_config.NumberColumn(format="%.3f", help=WORDS[study.modality].utility),
            "Loss": st.column_config.NumberColumn(format="%.4g"),
            "Seconds": st.column_config.NumberColumn(
                format="%.0f", help="Training time, without measurements"
            ),
            "Peak GB": st.column_config.NumberColumn(
                format="%.2f", help="Peak memory of the device; on a CPU, of the whole process so far"
            ),
        },
        on_select="rerun",
        selection_mode="single-row",
        key=f"build_table_{name}",
        placeholder="–",
    )
    rows = event["selection"]["rows"]
    if rows and rows[0] < len(runs):
        _actions(name, study, runs[rows[0]], jobs)
    else:
        st.caption("Select a row to resume a run, to compare its models, or to delete it.")


def _job_lines(jobs: list[Job]) -> None:
    for job in jobs:
        if job.active:
            job_line(job, _words(str(job.key[1])))
    ended = [job for job in jobs if not job.active]
    if ended:
        job_line(ended[-1], _words(str(ended[-1].key[1])))
    for sentence in st.session_state.get("build_said", []) if any(job.active for job in jobs) else []:
        st.caption(literal(sentence))


def _words(label: str) -> JobWords:
    """Of the line of one run; several are on the page at once."""
    return JobWords(
        line=f"build_line_{label}",
        button="Pause",
        button_key=f"build_pause_{label}",
        icon=":material/pause:",
        help="Keeps the state; Resume continues from it.",
        stopping="Pausing …",
        progress=lambda job, _: f"{job.title}: {job.note or 'waiting'}",
        stopped="",
        remarks=True,
    )


def _trace(run: BuiltRun, look: Any) -> Trace:
    losses = [(line["step"], line["loss"]) for line in run.log if "loss" in line]
    measured = [(line["step"], line["forget"], line["utility"]) for line in run.measured]
    return Trace(run.label, losses, measured, look)


def _table(runs: list[BuiltRun], jobs: list[Job]) -> pd.DataFrame:
    states = {str(job.key[1]): job for job in jobs}
    rows = []
    for run in runs:
        last = run.measured[-1] if run.measured else {}
        losses = [line["loss"] for line in run.log if "loss" in line]
        rows.append(
            {
                "Run": visible(run.label),
                "State": _state(run, states.get(run.label)),
                "Progress": run.done / run.steps if run.steps else 0.0,
                "Step": run.done,
                "Loss": losses[-1] if losses else math.nan,
                "Forget": last.get("forget", math.nan),
                "Utility": last.get("utility", math.nan),
                "Seconds": last.get("seconds", math.nan),
                "Peak GB": last.get("peak_bytes", math.nan) / 1e9,
                "Changed parameters": last.get("changed_parameters"),
                "Settings": visible(
                    " ".join(f"{k}={v}" for k, v in {**run.asked["settings"], **run.varied}.items())
                ),
            }
        )
    return pd.DataFrame(rows)


def _state(run: BuiltRun, job: Job | None) -> str:
    if job is not None and job.active:
        return {"queued": "waiting"}.get(job.state, "evaluating" if run.ended is not None else "running")
    if run.ended is None:
        return "paused"
    return visible(run.ended) or "done"


def _actions(name: str, study: Study, run: BuiltRun, jobs: list[Job]) -> None:
    """What can be done with one run."""
    busy = any(job.active and job.key[1] == run.label for job in jobs)
    shown = state.study()
    made = [spec.name for spec in shown.models if spec.method == run.label]
    with st.container(horizontal=True):
        if run.ended is None and not busy:
            again = partial(resume_run, name, study, run.asked, run.varied, evaluate=True)
            if st.button("Resume", icon=":material/play_arrow:", type="primary", key="build_go_on"):
                problem = again()
                if problem:
                    st.error(literal(problem), icon=":material/error:")
                else:
                    st.rerun()
        if made and st.button("Compare with the original", icon=":material/compare:", key="build_compare"):
            probe = state.probe()
            state.open_in_compare(probe.id if probe else "", [shown.original.name, *made[-2:]])
        if not busy and st.button(
            "Delete", icon=":material/delete:", type="tertiary", key="build_delete",
            help="Deletes its files and models; their evidence stays in the cache.",
        ):  # fmt: skip
            delete_run(run, built_folder(name))
            studies.clear()
            st.rerun()
