"""The work behind the Build page, in the worker thread: a run, then the evaluation of its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from app.pages.build.strip import draw_strip
from app.shared.evaluation_jobs import evaluate_models, numerics
from app.shared.jobs import Job
from app.shared.resources import pool, runner, store, studies
from app.shared.unlearning import PreparedRun, UnlearningRequest, add_to_study
from app.shared.unlearning_runs import save_request, with_built
from backends.errors import BoardError
from backends.pool import ModelPool
from backends.study import ModelSpec, Study
from cache.evaluate.plan import plan
from cache.store import Store

if TYPE_CHECKING:
    from backends.unlearning.run_files import RunProgress

KIND = "build"


def submit(
    name: str,
    study: Study,
    asked: UnlearningRequest,
    varied: Mapping[str, str],
    prepared: PreparedRun,
    *,
    evaluate: bool,
) -> Job:
    """Queue a run.

    Args:
        name: the study's short name.
        study: whose original is unlearned.
        asked: method and settings.
        varied: settings of the sweep.
        prepared: the run.
        evaluate: measure its checkpoints when it has ended.
    """
    save_request(prepared.files.path, prepared.label, asked, varied, prepared.steps)
    work = partial(build, study, asked, prepared, store(), pool(), evaluate=evaluate)
    return runner().submit(f"Building {prepared.label}", KIND, (name, prepared.label), work, preemptible=True)


def build(
    study: Study,
    asked: UnlearningRequest,
    prepared: PreparedRun,
    kept: Store,
    models: ModelPool,
    job: Job,
    *,
    evaluate: bool,
) -> None:
    """Train, add the checkpoints to the study, draw a strip of pictures with them (image models), evaluate them.

    Raises:
        Cancelled: it was paused, and can be resumed.
        BoardError: anything that a person can mend.
    """
    made: list[ModelSpec] = []

    def show(progress: RunProgress) -> None:
        if progress.kept:
            made.append(progress.kept)
        loss = "" if math.isnan(progress.loss) else f" · loss {progress.loss:.4g}"
        job.report(progress.step, prepared.steps, f"step {progress.step} of {prepared.steps}{loss}")

    job.report(0, prepared.steps, "loading the original")
    try:
        new_models = prepared.run(models.device, show, job.interrupted)
        made = [*made, *(spec for spec in new_models if spec not in made)]
    finally:
        if add_to_study(study, asked.folder, made) is not None:
            studies.clear()
    whole = with_built(study, asked.folder)
    if study.modality == "image":
        draw_strip(whole, prepared.label, kept, models, job)
    if evaluate:
        _evaluate(whole, prepared.label, kept, models, job)


def _evaluate(study: Study, label: str, kept: Store, models: ModelPool, job: Job) -> None:
    names = [spec.name for spec in study.models if spec.method == label]
    if names:
        evaluate_models(study, kept, models, names, plan(study, kept, numerics(study), names), job)


def resume_run(
    name: str, study: Study, asked: Mapping[str, object], varied: Mapping[str, str], *, evaluate: bool
) -> str:
    """Queue a run again that was paused; why that cannot be, or "".

    Args:
        name: the study's short name.
        study: whose original is unlearned.
        asked: as it was noted beside the run.
        varied: settings of the sweep.
        evaluate: measure its checkpoints when it has ended.
    """
    from pathlib import Path

    from app.shared.unlearning import prepare

    retain = asked.get("retain")
    anchor = asked.get("anchor")
    settings = asked.get("settings")
    again = UnlearningRequest(
        str(asked["method"]),
        {str(key): str(value) for key, value in settings.items()} if isinstance(settings, dict) else {},
        int(str(asked["checkpoints"])),
        Path(str(asked["folder"])),
        Path(str(retain)) if retain else None,
        None if anchor is None else str(anchor),
    )
    try:
        submit(name, study, again, varied, prepare(study, again, varied), evaluate=evaluate)
    except BoardError as error:
        return str(error)
    return ""
