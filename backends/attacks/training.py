"""What all attacks that train have in common: a few seeded steps from a model, kept as models of a study, never twice.

A run is a folder below `home`, named by a digest of the model, the data, the settings and the seed. Once it has ended,
a small file there says what it made: where only that file is left, the models can still be shown from recorded
evidence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backends.checkpoints.identity import available, fingerprint, identity
from backends.errors import ModelError, StudyError
from backends.files.disk import kept, write_whole
from backends.interfaces import Stop
from backends.study import ModelSpec, Probe, Study
from backends.unlearning.recipes import Recipe, recipe_record
from backends.unlearning.run_files import RunFolder, RunProgress, as_json
from backends.unlearning.text_batches import QuestionAnswer
from backends.unlearning.text_terms import TrainingRows

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
    """

    study: Study
    device: str
    home: Path
    stop: Stop = never
    show: Callable[[RunProgress], None] = unseen


@dataclass(frozen=True, slots=True)
class Trained:
    """One curve of an attack on one model.

    Attributes:
        way: what was taught, in short ("A to B").
        models: after 0, 1, 2, ... steps, which is their `step`; the first is the model itself under another name.
        asked: probes on which they are judged; nothing of them was in the data.
        taught: probes that were the data.
        notes: what a person should know, in sentences.
    """

    way: str
    models: tuple[ModelSpec, ...]
    asked: tuple[Probe, ...]
    taught: tuple[Probe, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """How a model is trained and what becomes of it.

    Attributes:
        begin: the model with what is trained, and its tokenizer; on a device, with a seed.
        write: puts what was trained into a folder.
        changes: fields of the model's spec that take what lies in a folder.
    """

    begin: Callable[[str, int], tuple[Any, Any]]
    write: Callable[[Any, Path], None]
    changes: Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Task:
    """A run before it begins.

    Attributes:
        key: of the attack, also the name of a folder.
        title: of what it does to a model, follows the model's name ("relearned A to B").
        recipe: settings.
        data: what it is taught.
        settings: whatever else decides the result.
    """

    key: str
    title: str
    recipe: Recipe
    data: Sequence[Probe]
    settings: Mapping[str, Any] = field(default_factory=dict)


def trained(context: TrainingContext, spec: ModelSpec, task: Task, form: Form) -> tuple[ModelSpec, ...]:
    """The model before the first step and at each checkpoint; trains only what was not trained before.

    Raises:
        StudyError: the weights are not here, or nothing can be written.
        ModelError: the loss became no number, now or when it was tried before.
        Cancelled: it was stopped, and resumes when it is asked for again.
    """
    rows = [[probe.prompt, probe.answer, [list(turn) for turn in probe.turns]] for probe in task.data]
    told = as_json(
        {
            "original": identity(spec).fingerprint,
            "attack": task.key,
            "recipe": recipe_record(task.recipe),
            "settings": dict(task.settings),
            "rows": _digest(rows),
            "code": CODE,
        }
    )
    files = RunFolder(context.home / task.key / _digest(told)[:20], told)

    def at(step: int, declared: str = "") -> ModelSpec:
        changes = {} if step == 0 else form.changes(files.path / f"checkpoint-{step}")
        return replace(
            spec,
            **changes,
            name=f"{spec.name}, {task.title} {step}",
            part="unlearned",
            method=f"{spec.name}, {task.title}",
            step=step,
            fingerprint=declared if step else spec.fingerprint,
        )

    made = _made(files)
    if made is None:
        if not available(spec):
            raise StudyError(
                "it cannot be trained, because its weights are not on this machine", where=spec.name
            )
        made = _train(context, spec, task, form, files, at)
    if made["ended"]:
        raise ModelError(str(made["ended"]), where=f"{spec.name}, {task.title}")
    steps: dict[str, str] = made["fingerprints"]
    return (at(0), *(at(int(step), declared) for step, declared in steps.items()))


def _train(
    context: TrainingContext,
    spec: ModelSpec,
    task: Task,
    form: Form,
    files: RunFolder,
    at: Callable[[int], ModelSpec],
) -> dict[str, Any]:
    from backends.unlearning.text_training import Training
    from backends.unlearning.training_run import Kept, TrainingRun

    recipe = task.recipe
    steps = files.made()
    ended = ""
    if steps is None:
        files.begin()
        model, tokenizer = form.begin(context.device, recipe.schedule.seed)
        rows = TrainingRows([QuestionAnswer(probe.prompt, probe.answer, probe.turns) for probe in task.data])
        training = Training(model, tokenizer, recipe.objective, recipe.schedule, rows, context.device)
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
    made = {"told": files.told, "fingerprints": prints, "ended": ended}
    with kept("what the attack made", files.path, kind=StudyError):
        write_whole(files.path / MADE, json.dumps(made, indent=2).encode())
    return made


def _made(files: RunFolder) -> dict[str, Any] | None:
    """What an earlier run made, and why it ended early; None where there was none."""
    from backends.unlearning.run_log import read_json

    made = read_json(files.path / MADE)
    whole = made.get("told") == files.told and isinstance(made.get("fingerprints"), dict)
    return made if whole and isinstance(made.get("ended"), str) else None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
