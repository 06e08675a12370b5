"""Compare, for language models: prompt, view, decoding, and the answers as cards."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import cast

import streamlit as st

from app.components.answer_cards import answer_cards
from app.looks.safe_text import literal, visible
from app.looks.theme import is_dark
from app.pages.compare.cards import VIEW_NAMES, View, board
from app.pages.compare.comparison import text_columns
from app.pages.compare.decoding_menu import decoding_menu
from app.pages.compare.prompt_form import JOB_KIND, job_about, models_of, prompt_form
from app.pages.compare.view_choice import view_choice
from app.pages.compare.waiting import LOADED, LOADING, waiting_words
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.errors import show_errors
from app.shared.job_line import job_line
from app.shared.jobs import Job, Work
from app.shared.resources import pool, problems, runner, store
from backends.errors import BoardError
from backends.evidence import Answer
from backends.pool import ModelPool
from backends.study import Decoding, Probe, Study
from cache.store import Store

POLL_SECONDS = 0.4


def panel() -> None:
    """Prompt and settings, then the answers; the answers refresh themselves while a run is on."""
    prompt_form(_work_for, "Answering", state.decoding().key())
    probe = state.asked()
    if probe is None or not probe.label.strip():
        st.info(
            "Type a prompt above and press Run: every selected model will answer it.", icon=":material/edit:"
        )
        return
    if probe.turns:
        with st.expander(f"Earlier turns ({len(probe.turns)}), which every model is given before the prompt"):
            for role, text in probe.turns:
                st.text(visible(f"{role}: {text}"))
    if probe.answer_prefix:
        st.caption(
            literal(
                f"Every model's answer is made to begin with “{probe.answer_prefix}”; what it wrote itself follows."
            )
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="view_bar"):
        if probe.prompt:
            view_choice(VIEW_NAMES)
            decoding_menu()
        else:
            st.caption(
                "A text without a prompt is scored, not answered: the colours say how likely each token is."
            )
    job = job_about(probe, state.decoding().key())
    active = job is not None and job.active
    with st.container(key="compare_results"):
        st.fragment(run_every=POLL_SECONDS if active else None)(_results)(probe, job, active)


@show_errors()
def _results(probe: Probe, job: Job | None, was_active: bool) -> None:
    """Progress of the run, and the cards. Redraws the page once when the run has ended."""
    written: dict[tuple[str, int], tuple[Answer, bool]] = {}
    waits: dict[str, str] = {}
    if job is not None:
        active = job.active  # read before the answers, so that none is missed
        job_line(job)
        written = {
            key: (answer, bool(answer.finish) or not active)
            for key, answer in job.partial().items()
            if isinstance(answer, Answer)
        }
        waits = waiting_words(job, models_of(job), runner().jobs(JOB_KIND)) if active else {}
        if was_active and not active:
            st.rerun()
    chosen, awaited = chosen_models(), models_of(job)
    wrong = {**problems(state.study_name()), **(job.problems if job is not None else {})}
    columns = text_columns(state.study(), store(), probe, chosen, state.decoding(), written, awaited, wrong)
    columns = [replace(column, waits=waits.get(column.spec.name, "")) for column in columns]
    drawn = board(state.study(), probe, columns, _view(probe), dark=is_dark())
    answer_cards(drawn, key=f"cards_{state.board_name()}")


def _view(probe: Probe) -> View:
    return cast(View, state.view(list(VIEW_NAMES)) if probe.prompt else "leak")


def _work_for(names: list[str], probe: Probe) -> Work:
    return partial(_answer_all, state.study(), store(), pool(), names, probe, state.decoding())


def _answer_all(
    study: Study, store: Store, pool: ModelPool, names: list[str], probe: Probe, decoding: Decoding, job: Job
) -> None:
    """The work of a run, in the worker thread."""
    from cache.evaluate.compare import compare_text
    from cache.evaluate.context import EvaluationContext
    from cache.evaluate.incomplete import with_model_name

    total = len(names) * (len(decoding.seeds) if decoding.temperature else 1)
    ended: set[tuple[str, int]] = set()

    def show(model: str, answer: Answer) -> None:
        job.publish((model, answer.seed), answer)
        if answer.finish:
            ended.add((model, answer.seed))
        job.report(len(ended), total, "" if len(ended) < total else "scoring the reference")

    def load(model: str, seconds: float | None) -> None:
        if seconds is None:
            job.report(len(ended), total, f"{LOADING}{model}")
        else:
            job.publish((LOADED, model), seconds)
            job.report(len(ended), total, "")

    def tell(model: str, error: BoardError) -> None:
        job.problems = {
            **job.problems,
            model: with_model_name(model, error),
        }  # a new one: pages read it meanwhile

    job.report(0, total, "loading models")
    compare_text(
        EvaluationContext.of(study, store, pool, job.stopping), names, probe, decoding, show, tell, load
    )
