"""Steps on Compare: what two models predict at chosen steps from the same noise, and the step at which they diverge."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from app.components.image_board import image_board
from app.looks.theme import is_dark
from app.pages.compare.pictures import trajectory_board
from app.shared import state
from app.shared.chosen_models import chosen_models
from app.shared.errors import show_errors
from app.shared.job_line import job_line, latest, started_here
from app.shared.jobs import Job
from app.shared.resources import pool, runner, store
from backends.checkpoints.identity import available
from backends.interfaces import PartialImage
from backends.pool import ModelPool
from backends.study import Probe, Sampling, Study
from cache.store import Store
from cache.store.denoising_trajectories import DIVERGENCE, stored_trajectory

KIND = "steps"
POLL_SECONDS = 0.7


def steps_panel(probe: Probe) -> None:
    """Choice of the other model and the seed, the run that draws both, and the frames."""
    study, sampling = state.study(), state.sampling().of(probe)
    others = [name for name in chosen_models() if name != study.original.name]
    if not others:
        st.info(
            "Select another model: its steps are shown below the original's.",
            icon=":material/layers:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        other = st.selectbox("Original with", others, key=f"steps_other_{state.study_name()}", width=240)
        seed = st.selectbox("Seed", sampling.seeds, key=f"steps_seed_{state.study_name()}", width=120)
    one = replace(sampling, seeds=(seed,))
    pair = (study.original.name, other)
    topic = (state.board_name(), probe.digest(), one.key(seed), *pair)
    job = latest(KIND, topic)
    active = job is not None and job.active
    st.fragment(run_every=POLL_SECONDS if active else None)(_results)(probe, pair, one, topic, job, active)


@show_errors()
def _results(
    probe: Probe,
    pair: tuple[str, str],
    sampling: Sampling,
    topic: tuple[str, ...],
    job: Job | None,
    was_active: bool,
) -> None:
    study = state.study()
    if job is not None:
        active = job.active
        job_line(job)
        if was_active and not active:
            st.rerun()
    films = [stored_trajectory(study, store(), name, probe, sampling) for name in pair]
    if films[0] is None or films[1] is None:
        here = all(available(study.model(name)) for name in pair)
        if was_active:
            return
        st.info(
            "The denoising trajectories of these two pictures have not been generated yet."
            if here
            else "Weights of one of the two models are not on this machine, so its denoising trajectory "
            "cannot be generated.",
            icon=":material/movie:",
        )
        if here and st.button(
            "Generate the steps", type="primary", icon=":material/movie:", key="draw_steps"
        ):
            work = partial(_draw, study, store(), pool(), pair, probe, sampling)
            submitted = runner().submit("Generating step by step", KIND, topic, work)
            started_here(submitted)
            st.rerun()
        return
    drawn = trajectory_board(study, probe, pair, films[0], films[1], dark=is_dark())
    image_board(drawn, key=f"film_{state.study_name()}", on_view=state.show_view)
    st.caption(
        "Each frame is the clean picture that the model predicts after that step. The number under a "
        "pair is their root mean squared difference, 0 to 1; they diverge at the first step from which "
        f"it stays above {DIVERGENCE:g}."
    )


def _draw(
    study: Study,
    kept: Store,
    models: ModelPool,
    pair: tuple[str, str],
    probe: Probe,
    sampling: Sampling,
    job: Job,
) -> None:
    """The work of a run, in the worker thread."""
    from cache.store.denoising_trajectories import make_trajectory

    total = len(pair) * sampling.steps
    job.report(0, total, "loading models")
    for number, name in enumerate(pair):

        def tell(partial: PartialImage, before: int = number * sampling.steps) -> None:
            job.report(before + partial.step, total)

        make_trajectory(study, kept, models, name, probe, sampling, tell, job.stopping)
