"""Compare, for language models: prompt, decoding, Run and Stop, and the answers as cards."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app import state
from app.cards import VIEW_NAMES, View, board
from app.comparison import text_columns
from app.components.answer_cards import answer_cards
from app.components.model_picker import is_dark
from app.decoding_menu import decoding_menu
from app.jobs import Job
from app.resources import pool, runner, store
from app.probe_bar import place_of
from app.run_bar import job_line, literal
from backends.checkpoints import available
from backends.evidence import Answer
from backends.pool import ModelPool
from backends.study import Decoding, Probe, Study
from cache.store import Store

POLL_SECONDS = 0.4
JOB_KIND = "compare"


def panel() -> None:
    """Prompt and settings, then the answers; the answers refresh themselves while a run is on."""
    _prompt_form()
    probe = state.asked()
    if probe is None or not probe.prompt.strip():
        st.info("Type a prompt above and press Run: every ticked model will answer it.", icon=":material/edit:")
        return
    job = _job_about(probe)
    _view_choice()
    active = job is not None and job.active
    st.fragment(run_every=POLL_SECONDS if active else None)(_results)(probe, job, active)


def _prompt_form() -> None:
    current, typed = state.probe(), state.own_prompt()
    prompt = typed if typed is not None else (current.prompt if current else "")
    box, shown = f"prompt_{state.study_name()}", f"prompt_shown_{state.study_name()}"
    if box not in st.session_state or st.session_state.get(shown) != prompt:
        st.session_state[box] = st.session_state[shown] = prompt
    with st.form("prompt_form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        label = "Your own prompt" if typed is not None or current is None else place_of(current)
        st.text_area(literal(label), key=box, height=76, placeholder="Type a prompt, then Ctrl+Enter")
        run = st.form_submit_button("Run", type="primary", icon=":material/play_arrow:", help="Ctrl+Enter")
    if run:
        _run(st.session_state[box] or "")


def _run(prompt: str) -> None:
    """Queue the prompt for every ticked model whose weights are here."""
    if not prompt.strip():
        st.warning("The prompt is empty. Type one and press Run.", icon=":material/edit:")
        return
    state.ask(prompt)
    study, probe, decoding = state.study(), state.asked(), state.decoding()
    here = [name for name in state.chosen_models() if available(study.model(name))]
    if probe is None or not here:
        st.warning(
            "None of the ticked models has its weights on this machine, so only recorded answers can be shown.",
            icon=":material/cloud_off:",
        )
        return
    work = partial(_answer_all, study, store(), pool(), here, probe, decoding)
    title = f"Answering with {len(here)} model{'s' if len(here) > 1 else ''}"
    job = runner().submit(title, JOB_KIND, (*_topic(probe), *here), work)
    st.session_state.setdefault("jobs_of_this_visit", []).append(job)
    st.rerun()


def _topic(probe: Probe) -> tuple[str, ...]:
    """What a run is about, whichever models it is for."""
    return (state.study_name(), probe.digest(), state.decoding().key())


def _job_about(probe: Probe) -> Job | None:
    """The latest run about the probe: any that is on, or one that ended in this visit."""
    mine = st.session_state.get("jobs_of_this_visit", [])
    about = [job for job in runner().jobs(JOB_KIND) if job.key[: len(_topic(probe))] == _topic(probe)]
    return next((job for job in reversed(about) if job.active or job in mine), None)


def _answer_all(
    study: Study, store: Store, pool: ModelPool, names: list[str], probe: Probe, decoding: Decoding, job: Job
) -> None:
    """The work of a run, in the worker thread."""
    from cache.evaluation import compare_text

    total = len(names) * (len(decoding.seeds) if decoding.temperature else 1)
    done: set[tuple[str, int]] = set()

    def show(model: str, answer: Answer) -> None:
        finished = answer.finish in ("stop", "length")
        job.publish((model, answer.seed), (answer, finished))
        if finished:
            done.add((model, answer.seed))
        job.report(len(done), total)

    job.report(0, total, "loading models")
    compare_text(study, store, pool, names, probe, decoding, show, job.stopping)


def _view_choice() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        options = list(VIEW_NAMES)
        st.session_state["text_view"] = state.view(options)
        st.segmented_control(
            "View",
            options,
            key="text_view",
            required=True,
            format_func=lambda name: VIEW_NAMES[name],
            on_change=lambda: state.show_view(st.session_state["text_view"]),
        )
        decoding_menu()


def _results(probe: Probe, job: Job | None, was_active: bool) -> None:
    """Progress of the run, and the cards. Redraws the page once when the run has ended."""
    if job is not None:
        job_line(job, runner().ahead_of(job))
        if was_active and not job.active:
            st.rerun()
    partial_answers = job.partial() if job is not None else {}
    active = job is not None and job.active
    written = {key: (answer, done or not active) for key, (answer, done) in partial_answers.items()}
    columns = text_columns(state.study(), store(), probe, state.chosen_models(), state.decoding(), written)
    view: View = state.view(list(VIEW_NAMES))
    answer_cards(board(state.study(), probe, columns, view, dark=is_dark()), key=f"cards_{state.study_name()}")
