"""Trying attacks: what is missing of their evidence is gathered by the ordinary evaluation, attack by attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backends.checkpoints.resolved import ResolvedModels
from backends.errors import BoardError, Cancelled, StoreError
from backends.study import Study
from cache.analysis.robustness.trials import LeftOut, Trials
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.evaluate.plan import plan
from cache.evaluate.progress import OnProgress, Progress
from cache.store import Store


@dataclass(frozen=True, slots=True)
class AttackPlan:
    """What one derived study needs and has: pieces of evidence in all, and those that are missing."""

    study: Study
    attacks: tuple[str, ...]
    total: int
    missing: int


OnTrial = Callable[[AttackPlan, Progress], None]
"""Called with how far the derived study is that is being evaluated."""


def plan_attacks(trials: Trials, store: Store, numerics: str) -> list[AttackPlan]:
    """What trying them would gather, a derived study at a time; needs no weights to be loaded.

    Args:
        trials: what is to be tried.
        store: the cache.
        numerics: name of the arithmetic that would be used.
    """
    return [
        AttackPlan(study, _keys(trials, study), found.total, found.missing)
        for study in trials.studies()
        for found in [plan(study, store, numerics)]
    ]


def try_attacks(
    trials: Trials,
    context: EvaluationContext,
    on_progress: OnTrial = lambda _, __: None,
) -> list[LeftOut]:
    """Gather all evidence that is missing of these attacks.

    What one attack lacks never stops another. The study itself is evaluated by who calls.

    Args:
        trials: what is to be tried.
        context: of the work, for the study itself.
        on_progress: told of every cell.

    Returns:
        What could not be gathered, and why.

    Raises:
        Cancelled: stopped; what was done is stored.
        StoreError: the store cannot be written.
    """
    left_out: list[LeftOut] = []
    for each in plan_attacks(trials, context.store, context.numerics):
        if context.stop():
            raise Cancelled
        if not each.missing or each.study is context.study:
            continue
        own = EvaluationContext(
            each.study, context.store, context.pool, ResolvedModels(each.study), context.stop
        )
        try:
            evaluate(own, None, _told(on_progress, each), numbers=False)
        except StoreError:
            raise
        except BoardError as error:  # what could be gathered is stored
            left_out += [LeftOut(key, str(error)) for key in each.attacks]
    return left_out


def _told(on_progress: OnTrial, of: AttackPlan) -> OnProgress:
    return lambda progress: on_progress(of, progress)


def _keys(trials: Trials, study: Study) -> tuple[str, ...]:
    return tuple(each.attack.card.key for each in trials.trials if each.study is study)
