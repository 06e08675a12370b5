"""Evaluations as jobs of the worker: the work, the arithmetic it is done in, and how a page starts and finds one.

The job lives in the worker, so it goes on when the browser is closed and is found again by any page of its study.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from app.shared import state
from app.shared.jobs import Job
from app.shared.resources import pool, runner, store
from backends.pool import ModelPool
from backends.study import Study
from cache.evaluate.cells import Cell, cell_of
from cache.evaluate.context import EvaluationContext, numerics_of
from cache.evaluate.evaluation import Progress
from cache.evaluate.plan import EvaluationPlan
from cache.store import Store

JOB_KIND = "evaluate"
KIND_NAMES = {"scores": "token scores", "answers": "answers", "gradients": "gradients", "images": "images"}


def numerics(study: Study) -> str:
    """Name of the arithmetic this machine evaluates a study with."""
    return numerics_of(pool(), study)


def submit_evaluation(title: str, study: Study, names: Sequence[str], known: EvaluationPlan) -> Job:
    """Queue the evaluation of models of the study that is shown.

    Args:
        title: what is being done, for people.
        study: the study that is shown.
        names: models.
        known: what is missing of them.
    """
    work = partial(evaluate_models, study, store(), pool(), list(names), known)
    return runner().submit(title, JOB_KIND, (state.board_name(), *names), work, preemptible=True)


def latest_evaluation() -> Job | None:
    """The evaluation of the study that is shown: one that is on, else the one that ended last."""
    about = [job for job in runner().jobs(JOB_KIND) if job.key[0] == state.board_name()]
    active = [job for job in about if job.active]
    return active[0] if active else about[-1] if about else None


def evaluate_models(
    study: Study, kept: Store, models: ModelPool, names: list[str], known: EvaluationPlan, job: Job
) -> None:
    """The work of an evaluation, in the worker thread: tells the job after every cell.

    Raises:
        Cancelled: the job was stopped; what was done is stored.
        LeftOut: a model could not be evaluated, the others were.
        BoardError: a judge or the cache cannot be used.
    """
    from cache.evaluate.evaluation import evaluate
    from cache.evaluate.incomplete import IncompleteEvaluation

    start = {cell_of(item): item.cached for item in known.items if item.model in names}
    total = sum(item.missing for item in known.items if item.model in names)
    now: dict[Cell, int] = dict(start)

    def show(progress: Progress) -> None:
        now[cell_of(progress)] = progress.done
        job.publish(cell_of(progress), progress)
        done = sum(now.values()) - sum(start.values())
        at = "loading" if progress.loading else f"{progress.probe_set}: {KIND_NAMES[progress.kind]}"
        note = f"{progress.model}, {at}"
        job.report(min(done, total), total, note)

    job.report(0, total, "loading models")
    try:
        evaluate(EvaluationContext.of(study, kept, models, job.interrupted), names, show, job.remark)
    except IncompleteEvaluation as error:
        for sentence in error.each:
            job.remark(sentence)
        raise
