"""Compare, for image models: prompt, view, sampling, and the pictures of all models from the same noise."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app.components.image_board import asked_image, image_board
from app.looks.safe_text import literal
from app.looks.theme import is_dark
from app.pages.compare.comparison import image_columns
from app.pages.compare.decoding_menu import own_settings_summary, sampling_menu
from app.pages.compare.picture_export import export_buttons
from app.pages.compare.pictures import VIEW_NAMES, board, enlarged
from app.pages.compare.prompt_form import job_about, models_of, prompt_form
from app.pages.compare.sheet_panel import sheet_panel
from app.pages.compare.steps_panel import steps_panel
from app.pages.compare.view_choice import view_choice
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.errors import show_errors
from app.shared.job_line import job_line
from app.shared.jobs import Job, Work
from app.shared.judge_panel import judges_summary
from app.shared.resources import pool, problems, store
from backends.errors import BoardError
from backends.interfaces import PartialImage
from backends.pool import ModelPool
from backends.study import Probe, Sampling, Study
from cache.store import Store

POLL_SECONDS = 0.5


def panel() -> None:
    """Prompt and settings, then the pictures; they refresh themselves while a run is on."""
    prompt_form(_work_for, "Sampling", _settings())
    probe = state.asked()
    if probe is None or not probe.prompt.strip():
        st.info(
            "Type a prompt above and press Run: every selected model will generate a picture.",
            icon=":material/edit:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="view_bar"):
        view_choice(VIEW_NAMES)
        sampling_menu()
    view = state.view(list(VIEW_NAMES))
    if view == "sheet":
        sheet_panel(probe)
        return
    if said := own_settings_summary(probe):
        st.caption(said)
    if view == "steps":
        steps_panel(probe)
        return
    job = job_about(probe, _settings())
    active = job is not None and job.active
    with st.container(key="compare_results"):
        st.fragment(run_every=POLL_SECONDS if active else None)(_results)(probe, job, active)


def _settings() -> str:
    sampling = state.sampling()
    return " ".join(sampling.key(seed) for seed in sampling.seeds)


@show_errors()
def _results(probe: Probe, job: Job | None, was_active: bool) -> None:
    """Progress of the run, and the pictures. Redraws the page once when the run has ended."""
    forming: dict[tuple[str, int], PartialImage] = {}
    if job is not None:
        active = job.active  # read before the pictures, so that none is missed
        job_line(job)
        for sentence in job.remarks:
            st.warning(literal(sentence), icon=":material/info:")
        forming = job.partial() if active else {}
        if was_active and not active:
            st.rerun()
    study, sampling = state.study(), state.sampling().of(probe)
    wrong = {**problems(state.study_name()), **(job.problems if job is not None else {})}
    columns = image_columns(study, store(), probe, chosen_models(), sampling, wrong)
    view = state.view(list(VIEW_NAMES))
    drawn = board(
        study,
        store(),
        probe,
        columns,
        sampling.seeds,
        view,
        forming,
        awaited=models_of(job),
        dark=is_dark(),
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        export_buttons(drawn, study.name, sampling)
        if said := judges_summary():
            st.caption(literal(said))
    key = f"pictures_{state.study_name()}"
    drawn["full"] = enlarged(store(), asked_image(key))
    image_board(drawn, key=key, on_view=state.show_view)


def _work_for(names: list[str], probe: Probe) -> Work:
    return partial(_sample_all, state.study(), store(), pool(), names, probe, state.sampling().of(probe))


def _sample_all(
    study: Study, store: Store, pool: ModelPool, names: list[str], probe: Probe, sampling: Sampling, job: Job
) -> None:
    """The work of a run, in the worker thread."""
    from cache.evaluate.compare import compare_images
    from cache.evaluate.context import EvaluationContext
    from cache.evaluate.incomplete import with_model_name

    total = len(names) * len(sampling.seeds)
    ended: set[tuple[str, int]] = set()

    def show(model: str, seed: int, image: PartialImage) -> None:
        job.publish((model, seed), image)
        if image.done:
            ended.add((model, seed))
        job.report(len(ended), total)

    def tell(model: str, error: BoardError) -> None:
        job.problems = {
            **job.problems,
            model: with_model_name(model, error),
        }  # a new one: pages read it meanwhile

    job.report(0, total, "loading models")
    compare_images(
        EvaluationContext.of(study, store, pool, job.stopping), names, probe, sampling, show, job.remark, tell
    )
