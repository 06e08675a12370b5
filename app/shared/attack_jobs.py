"""Attacks as jobs of the worker: what trying them would gather, how long that takes, the work, and how a page finds it.

As an evaluation, the job keeps what it did, goes on when the browser is closed, and gives way to quicker work.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from app.shared import state
from app.shared.durations import duration
from app.shared.evaluation_jobs import KIND_NAMES
from app.shared.jobs import Job
from app.shared.resources import pool, runner, store
from backends.attacks import Attack
from backends.pool import ModelPool
from backends.study import Study
from cache.analysis.robustness.trials import NOT_TRAINED, SUFFIX, Trials, trials
from cache.evaluate.attacks import AttackPlan, plan_attacks
from cache.evaluate.cells import Cell, cell_of
from cache.evaluate.context import EvaluationContext, numerics_of
from cache.evaluate.plan import plan
from cache.evaluate.progress import Progress
from cache.store import Store
from cache.store.runs import RunRecord

JOB_KIND = "attack"
PIECES = ("scores", "answers", "images")
"""Kinds of evidence of which a probe gets one piece each."""
MEASURED = 1e-3
"""Seconds a piece below which a run read what was stored."""
EARLY = 5.0
"""Seconds of work after which its own speed says how long the rest takes."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What trying attacks would gather.

    Attributes:
        total, missing: pieces of evidence of the study itself and under attack.
        waiting: keys of attacks of which something is missing.
        untrained: keys of attacks that train models first, whose evidence is not counted yet.
        seconds: that the missing pieces take at the speed of earlier runs; None where nothing was measured.
    """

    total: int
    missing: int
    waiting: tuple[str, ...]
    seconds: float | None
    untrained: tuple[str, ...] = ()


def outlook(
    study: Study, kept: Store, numerics: str, models: Sequence[str], attacks: Sequence[Attack]
) -> Outlook:
    """What trying these attacks on these models would gather; runs no model."""
    wanted = [spec.name for spec in study.models if spec.part != "unlearned" or spec.name in models]
    own = plan(study, kept, numerics, wanted)
    found = trials(study, kept, models, attacks)
    plans = [each for each in plan_attacks(found, kept, numerics) if each.study is not study]
    missing = own.missing + sum(each.missing for each in plans)
    runs = kept.runs(study.name + SUFFIX) or kept.runs(study.name)
    piece = seconds_per_piece(runs)
    return Outlook(
        sum(item.total for item in own.items) + sum(each.total for each in plans),
        missing,
        tuple(key for each in plans if each.missing for key in each.attacks),
        None if piece is None else piece * missing,
        untrained(found),
    )


def untrained(found: Trials) -> tuple[str, ...]:
    """Keys of attacks of which some model was not trained yet."""
    return tuple(dict.fromkeys(each.attack for each in found.left_out if each.why == NOT_TRAINED))


def seconds_per_piece(runs: Iterable[RunRecord]) -> float | None:
    """Median seconds for a piece of evidence; None where no run tells. Runs that only read what was stored do not."""
    found = [
        run.seconds / (run.n_done * kinds)
        for run in runs
        if run.n_done and (kinds := sum(kind in run.settings for kind in PIECES))
    ]
    timed = [each for each in found if each > MEASURED]
    return statistics.median(timed) if timed else None


def submit_attacks(study: Study, models: Sequence[str], attacks: Sequence[Attack]) -> Job:
    """Queue attacks on models of the study that is shown."""
    count = len(attacks)
    title = f"Trying {count} attack{'s' if count > 1 else ''} on {len(models)} model{'s' if len(models) > 1 else ''}"
    work = partial(try_all, study, store(), pool(), list(models), list(attacks))
    key = (state.board_name(), *models, *(each.card.key for each in attacks))
    return runner().submit(title, JOB_KIND, key, work, preemptible=True)


def latest_attacks() -> Job | None:
    """The job on the study that is shown: one that is on, else the one that ended last."""
    about = [job for job in runner().jobs(JOB_KIND) if job.key[0] == state.board_name()]
    active = [job for job in about if job.active]
    return active[0] if active else about[-1] if about else None


def try_all(
    study: Study, kept: Store, models: ModelPool, names: list[str], attacks: list[Attack], job: Job
) -> None:
    """The work, in the worker thread: the study itself first, whose evidence the attacks are held against.

    Raises:
        Cancelled: the job was stopped; what was done is stored.
        BoardError: the cache cannot be used, or the original model cannot.
    """
    from cache.evaluate.attacks import train_attacks, try_attacks
    from cache.evaluate.evaluation import evaluate
    from cache.evaluate.incomplete import IncompleteEvaluation

    job.report(0, 0, "looking at what is stored")
    context = EvaluationContext.of(study, kept, models, job.interrupted)
    wanted = [spec.name for spec in study.models if spec.part != "unlearned" or spec.name in names]
    here = [name for name in wanted if context.models[name].can_be_evaluated]
    counted = _Counted(job, plan(study, kept, numerics_of(models, study), here).missing)
    try:
        evaluate(context, here, counted.show)
    except IncompleteEvaluation as error:
        for sentence in error.each:
            job.remark(sentence)
    titles = {each.card.key: each.card.title for each in attacks}

    def training(attack: str, model: str, step: int, last: int) -> None:
        job.report(0, 0, f"{titles[attack]}: {model}, step {step} of {last}")

    untrained = train_attacks(study, attacks, names, context, training)
    found = trials(study, kept, names, attacks)
    counted.expect(plan_attacks(found, kept, context.numerics), study)
    for left in [*untrained, *try_attacks(found, context, lambda _, progress: counted.show(progress))]:
        job.remark(f"{titles.get(left.attack, left.attack)} is left out: {left.why}")


class _Counted:
    """Counts the pieces of several evaluations as those of one job.

    A cell tells how many are there, those from before included, so its first word is where it started.
    """

    def __init__(self, job: Job, missing: int) -> None:
        self._job, self._total = job, missing
        self._started = time.monotonic()
        self._first: dict[Cell, int] = {}
        self._now: dict[Cell, int] = {}

    def expect(self, plans: Sequence[AttackPlan], study: Study) -> None:
        """So many more are to come."""
        self._total = self._done() + sum(each.missing for each in plans if each.study is not study)

    def show(self, progress: Progress) -> None:
        """One cell has come so far."""
        cell = cell_of(progress)
        self._first.setdefault(cell, progress.done)
        self._now[cell] = progress.done
        at = "loading" if progress.loading else f"{progress.probe_set}: {KIND_NAMES[progress.kind]}"
        done = self._done()
        left = remaining(done, self._total, time.monotonic() - self._started)
        told = [*([f"about {duration(left)} left"] if left is not None else []), f"{progress.model}, {at}"]
        self._job.report(min(done, self._total), self._total, " · ".join(told))

    def _done(self) -> int:
        return sum(self._now.values()) - sum(self._first.values())


def remaining(done: int, total: int, seconds: float) -> float | None:
    """Seconds that the rest takes at the speed so far; None while too little is done to tell."""
    return seconds / done * (total - done) if done and total > done and seconds >= EARLY else None
