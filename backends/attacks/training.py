"""What all attacks that train have in common: a few seeded steps from a model, kept as models of a study, never twice.

A run is a folder below `home`, named by a digest of the model, the data, the settings and the seed. Once it has ended,
a small file there says what it made: where only that file is left, the models can still be shown from recorded
evidence. Importing this module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.checkpoints.identity import available, fingerprint, identity
from backends.errors import ModelError, StudyError
from backends.files.disk import kept, write_whole
from backends.interfaces import Stop
from backends.study import ModelSpec, Probe, Study
from backends.unlearning.run_log import read_json

if TYPE_CHECKING:  # torch comes with these; what is known already is shown without it
    from backends.unlearning.run_files import RunProgress

CODE = 1
"""Higher where the same settings give other weights than before."""
MADE = "made.json"


def never() -> bool:
    """The `Stop` of work that nobody stops."""
    return False


def unseen(_: RunProgress) -> None:
    """For work whose progress nobody watches."""


@dataclass(frozen=True, slots=True)
class TrainingContext:
    """What an attack goes by, apart from the model.

    Attributes:
        study: whose probes are data and questions.
        device: where models are trained, torch's name.
        home: folder for what attacks make.
        stop: checked before each step; True ends the work, which resumes there when it is asked for again.
        show: told of each step.
        train: False takes only what was trained before; `NotTrained` says what was not.
        shipped: folders that also hold what attacks made elsewhere, such as a study's own.
    """

    study: Study
    device: str
    home: Path
    stop: Stop = never
    show: Callable[[RunProgress], None] = unseen
    train: bool = True
    shipped: tuple[Path, ...] = ()


class NotTrained(StudyError):
    """An attack that trains was not tried on this model yet."""


@dataclass(frozen=True, slots=True)
class Trained:
    """One curve of an attack on one model.

    Attributes:
        way: what was taught, in short ("A to B").
        models: after 0, 1, 2, ... steps, which is their `step`; the first is the model itself under another name.
        asked: probes on which they are judged; nothing of them was in the data, but that of a control is all of it.
        taught: probes that were the data.
        notes: what a person should know, in sentences.
    """

    way: str
    models: tuple[ModelSpec, ...]
    asked: tuple[Probe, ...]
    taught: tuple[Probe, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """How an attack trains: AdamW without weight decay at a constant rate, gradients clipped to a norm of 1.

    Attributes:
        kept: steps after which the model is kept; the last one is the end.
        learning_rate: from the first step on.
        batch: rows a step, drawn in an order that the seed decides, every row once before any row twice.
        size: rank of the LoRA, or vectors of the soft prompt.
        seed: of the first weights and of the order.
    """

    kept: tuple[int, ...]
    learning_rate: float
    batch: int
    size: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """How a model is trained and what becomes of it.

    Attributes:
        begin: the model with what is trained, and its tokenizer; on a device.
        write: puts what was trained into a folder.
        changes: fields of the model's spec that take what lies in a folder.
    """

    begin: Callable[[str, Steps], tuple[Any, Any]]
    write: Callable[[Any, Path], None]
    changes: Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Task:
    """A run before it begins.

    Attributes:
        key: of the attack, also the name of a folder.
        title: of what it does to a model, follows the model's name ("relearned A to B").
        steps: settings.
        data: what it is taught.
    """

    key: str
    title: str
    steps: Steps
    data: Sequence[Probe]


def trained(context: TrainingContext, spec: ModelSpec, task: Task, form: Form) -> tuple[ModelSpec, ...]:
    """The model before the first step and at each checkpoint; trains only what was not trained before.

    Raises:
        StudyError: the weights are not here, or nothing can be written.
        ModelError: the loss became no number, now or when it was tried before.
        Cancelled: it was stopped, and resumes when it is asked for again.
    """
    rows = [[probe.prompt, probe.answer, [list(turn) for turn in probe.turns]] for probe in task.data]
    told = {
        "original": identity(spec).fingerprint,
        "attack": task.key,
        "steps": asdict(task.steps) | {"kept": list(task.steps.kept)},
        "rows": _digest(rows),
        "code": CODE,
    }
    folder = context.home / task.key / _digest(told)[:20]

    def at(step: int, declared: str = "") -> ModelSpec:
        changes = {} if step == 0 else form.changes(folder / f"checkpoint-{step}")
        return replace(
            spec,
            **changes,
            name=f"{spec.name}, {task.title} {step}",
            part="unlearned",
            method=f"{spec.name}, {task.title}",
            step=step,
            fingerprint=declared if step else spec.fingerprint,
        )

    made = _made(folder, told)
    for place in context.shipped:
        made = made or _made(place / task.key / folder.name, told)
    if made is None and not context.train:
        raise NotTrained("it was not trained yet", where=f"{spec.name}, {task.title}")
    if made is None:
        if not available(spec):
            raise StudyError(
                "it cannot be trained, because its weights are not on this machine", where=spec.name
            )
        made = _train(context, task, form, folder, told, at)
    if made["ended"]:
        raise ModelError(str(made["ended"]), where=f"{spec.name}, {task.title}")
    steps: dict[str, str] = made["fingerprints"]
    return (at(0), *(at(int(step), declared) for step, declared in steps.items()))


def _train(
    context: TrainingContext,
    task: Task,
    form: Form,
    folder: Path,
    told: Mapping[str, Any],
    at: Callable[[int], ModelSpec],
) -> dict[str, Any]:
    """Train, and say in the folder what was made."""
    from backends.unlearning.recipes import Objective, Recipe, Schedule
    from backends.unlearning.run_files import RunFolder
    from backends.unlearning.text_batches import QuestionAnswer
    from backends.unlearning.text_terms import TrainingRows
    from backends.unlearning.text_training import Training
    from backends.unlearning.training_run import Kept, TrainingRun

    settings, files = task.steps, RunFolder(folder, told)
    schedule = Schedule(
        settings.kept[-1],
        settings.learning_rate,
        batch=settings.batch,
        warmup=0,
        checkpoints=settings.kept,
        seed=settings.seed,
    )
    recipe = Recipe(task.key, Objective("FineTune"), schedule, settings.size)
    steps, ended = files.made(), ""
    if steps is None:
        files.begin()
        model, tokenizer = form.begin(context.device, settings)
        rows = TrainingRows([QuestionAnswer(probe.prompt, probe.answer, probe.turns) for probe in task.data])
        training = Training(model, tokenizer, recipe.objective, schedule, rows, context.device)
        run = TrainingRun(
            *(training, tokenizer, recipe, rows, ((), ()), files),
            kept=Kept(form.write, at),
            device=context.device,
            show=context.show,
        )
        try:
            steps = [each.step or 0 for each in run.until_done(context.stop)]
        except ModelError as error:
            steps, ended = [], error.what
    prints = {str(step): fingerprint(at(step)) for step in steps}
    made = {"told": told, "fingerprints": prints, "ended": ended}
    with kept("what the attack made", folder, kind=StudyError):
        write_whole(folder / MADE, json.dumps(made, indent=2).encode())
    return made


def _made(folder: Path, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier run made, and why it ended early; None where there was none."""
    made = read_json(folder / MADE)
    whole = made.get("told") == told and isinstance(made.get("fingerprints"), dict)
    return made if whole and isinstance(made.get("ended"), str) else None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
