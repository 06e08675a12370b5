"""Trying attacks: what is missing of their evidence is gathered by the ordinary evaluation, attack by attack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from backends.attacks import Attack, TrainingAttack
from backends.attacks.relearning import STEPS
from backends.attacks.training import NotTrained
from backends.checkpoints.resolved import ResolvedModels
from backends.errors import BoardError, Cancelled, StoreError
from backends.study import Study
from cache.analysis.robustness.trials import LeftOut, Trials, training_context
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.evaluate.plan import plan
from cache.evaluate.progress import OnProgress, Progress
from cache.store import Store

if TYPE_CHECKING:
    from backends.unlearning.run_files import RunProgress

LAST_STEP = STEPS.kept[-1]


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
        AttackPlan(study, trials.of_study(study), found.total, found.missing)
        for study in trials.studies()
        for found in [plan(study, store, numerics)]
    ]


def train_attacks(
    study: Study,
    attacks: Sequence[Attack],
    models: Sequence[str],
    context: EvaluationContext,
    on_step: Callable[[str, str, int, int], None] = lambda *_: None,
) -> list[LeftOut]:
    """Train what those of the attacks that train need and have not yet; original and retained model are always among.

    Args:
        study: the study.
        attacks: any; those that do not train are passed over.
        models: names in the study.
        context: of the work.
        on_step: told of attack, model, step and last step.

    Returns:
        What could not be trained, and why.

    Raises:
        Cancelled: stopped; it resumes where it was.
    """
    left_out: list[LeftOut] = []
    home = training_context(study, context.store)
    for attack in attacks:
        if not isinstance(attack, TrainingAttack):
            continue
        for spec in study.models:
            if spec.part == "unlearned" and spec.name not in models:
                continue
            show = partial(_told_step, on_step, attack.card.key, spec.name)
            own = replace(home, device=context.pool.device, train=True, stop=context.stop, show=show)
            try:
                attack.train(replace(own, train=False), spec)
                continue
            except NotTrained:
                context.pool.release()  # two copies of a model are not held
            except BoardError as error:
                left_out.append(LeftOut(attack.card.key, str(error), spec.name))
                continue
            try:
                attack.train(own, spec)
            except StoreError:
                raise
            except BoardError as error:
                left_out.append(LeftOut(attack.card.key, str(error), spec.name))
    return left_out


def _told_step(
    on_step: Callable[[str, str, int, int], None], attack: str, model: str, progress: RunProgress
) -> None:
    on_step(attack, model, progress.step, LAST_STEP)


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
