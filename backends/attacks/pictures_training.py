"""Attacks that train on real pictures of a concept until an image model draws it again.

A learned token stands for the concept (textual inversion; Pham et al. 2024, "Circumventing concept erasure"), learned
tokens before each prompt (UnlearnDiffAtk, Zhang et al. 2024, without its projection onto words), and relearning: a few
steps of ordinary training of the attention weights. What is learned on pictures of half of the objects is judged on the
other half, both ways round; only tokens of single prompts see pictures of what is judged, which is why the same attack
on the retained model is their floor. After 0 steps relearning is the model itself. Importing this imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.attacks.picture_halves import picture_halves, pictures_without
from backends.attacks.pictures import forgotten_in, mentions, real_picture
from backends.attacks.training import MADE, Trained, TrainingContext
from backends.checkpoints.identity import available, fingerprint, identity
from backends.checkpoints.tensors import file_digest
from backends.errors import ModelError, StudyError
from backends.files.disk import kept, write_whole
from backends.image.real_pictures import RealPicture
from backends.study import ModelSpec, Probe
from backends.unlearning.run_log import read_json

if TYPE_CHECKING:
    from torch import Tensor

    from backends.attacks.learned_pictures import PictureSteps

CODE = 1
"""Higher where the same settings give other weights than before."""
TOKEN = "<learned>"
EMBEDDINGS = "learned_embeds.safetensors"
CHANGED = "changed.safetensors"
WORD = "style"
"""What a new token means at first, where the tokenizer knows it: a word that names no concept."""


@dataclass(frozen=True, slots=True)
class _Task:
    """A run before it begins.

    Attributes:
        key: of the attack, also the name of a folder.
        title: of what it does to a model, follows the model's name.
        steps: settings.
        pictures: that it is trained on, each with its prompt.
        file: name of what is kept of a step.
        learn: (the model's pipeline, its base's) -> step and tensors to keep.
        changes: fields of the model's spec that take a kept file.
        at_0: whether something is kept of step 0; else that is the model itself.
    """

    key: str
    title: str
    steps: PictureSteps
    pictures: Sequence[RealPicture]
    file: str
    learn: Callable[[Any, Any], Iterator[tuple[int, Mapping[str, Tensor]]]]
    changes: Callable[[ModelSpec, str], ModelSpec]
    at_0: bool


def learn_concept(context: TrainingContext, spec: ModelSpec) -> tuple[Trained, ...]:
    """A token learned from pictures of half of the objects, asked for with the other half, both ways round.

    Raises:
        StudyError, ModelError, Cancelled: see `_trained`; too few objects, or pictures.
    """
    from backends.attacks.learned_pictures import PictureSteps, first_vectors, learned_vectors

    steps = PictureSteps(kept=(50, 100, 200), learning_rate=0.02, batch=4)
    split = picture_halves(context.study)
    found = []
    for way, taught, asked in split.ways():
        pictures = [
            replace(each, prompt=_with_token(each.prompt, taught + asked, context))
            for each in pictures_without(context.study, asked)
        ]

        def learn(
            pipe: Any, _: Any, pictures: Sequence[RealPicture] = pictures
        ) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
            first = {TOKEN: first_vectors(pipe, WORD, steps.vectors, steps.seed)}
            yield 0, first
            yield from learned_vectors(pipe, first, pictures, steps, context.stop)

        task = _Task(
            *("picture_token", f"token learned {way}", steps, pictures, EMBEDDINGS, learn, _with_embeddings),
            at_0=True,
        )
        judged = tuple(
            replace(each, prompt=_with_token(each.prompt, asked, context), paraphrased_prompt="")
            for each in asked
        )
        found.append(Trained(way, _trained(context, spec, task), judged, taught, split.notes))
    return tuple(found)


def learn_prompts(context: TrainingContext, spec: ModelSpec) -> tuple[Trained, ...]:
    """Five vectors before each forget prompt, learned from one real picture of what that prompt asks for.

    Raises:
        StudyError, ModelError, Cancelled: see `_trained`; no prompt has a real picture.
    """
    from backends.attacks.learned_pictures import PictureSteps, first_vectors, learned_vectors

    steps = PictureSteps(kept=(40, 120), learning_rate=0.02, batch=8, vectors=5)
    study = context.study
    probes = [p for each in study.probe_sets if each.role == "forget" for p in each.probes]
    asked: list[Probe] = []
    pictures: list[RealPicture] = []
    for probe in probes:
        path = real_picture(probe, study)
        if path is not None:
            prompt = f"<before{len(asked)}> {probe.prompt}"
            asked.append(replace(probe, prompt=prompt, paraphrased_prompt=""))
            pictures.append(RealPicture(path.name, path, prompt))
    if not pictures:
        raise StudyError(
            "real pictures of what the forget prompts ask for are needed",
            where=study.name,
            how="Add [denoising] with forget, a folder of pictures",
        )

    def learn(pipe: Any, _: Any) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
        first = {
            f"<before{place}>": first_vectors(pipe, WORD, steps.vectors, steps.seed + place)
            for place in range(len(asked))
        }
        yield 0, first
        yield from learned_vectors(pipe, first, pictures, steps, context.stop)

    task = _Task(
        *("picture_prompts", "prompts learned", steps, pictures, EMBEDDINGS, learn, _with_embeddings),
        at_0=True,
    )
    return (Trained("each prompt", _trained(context, spec, task), tuple(asked), tuple(probes)),)


def relearn_pictures(context: TrainingContext, spec: ModelSpec) -> tuple[Trained, ...]:
    """Attention weights trained on pictures of half of the objects, judged on the other half, both ways round.

    Raises:
        StudyError, ModelError, Cancelled: see `_trained`; too few objects, or pictures.
    """
    from backends.attacks.learned_pictures import PictureSteps, relearned_weights

    steps = PictureSteps(kept=(10, 20, 40, 80), learning_rate=1e-4, batch=4)
    split = picture_halves(context.study)
    found = []
    for way, taught, asked in split.ways():
        pictures = pictures_without(context.study, asked)

        def learn(
            pipe: Any, base: Any, pictures: Sequence[RealPicture] = pictures
        ) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
            for step, weights in relearned_weights(pipe, pictures, steps, context.stop):
                yield step, _changed(pipe, base, weights)

        task = _Task(
            *("picture_relearning", f"relearned {way}", steps, pictures, CHANGED, learn, _with_weights),
            at_0=False,
        )
        found.append(Trained(way, _trained(context, spec, task), asked, taught, split.notes))
    return tuple(found)


def _trained(context: TrainingContext, spec: ModelSpec, task: _Task) -> tuple[ModelSpec, ...]:
    """The model after each kept step; trains only what was not trained before.

    Raises:
        StudyError: the weights are not here, or nothing can be written.
        ModelError: the loss became no number, now or when it was tried before.
        Cancelled: it was stopped, and begins again when it is asked for again.
    """
    told = {
        "original": identity(spec).fingerprint,
        "attack": task.key,
        "steps": asdict(task.steps) | {"kept": list(task.steps.kept)},
        "pictures": [[each.prompt, file_digest(each.path)] for each in task.pictures],
        "code": CODE,
    }
    folder = context.home / task.key / hashlib.sha256(json.dumps(told).encode()).hexdigest()[:20]

    def at(step: int, declared: str = "") -> ModelSpec:
        file = folder / f"checkpoint-{step}" / task.file
        own = task.changes(spec, str(file)) if step or task.at_0 else spec
        return replace(
            own,
            name=f"{spec.name}, {task.title} {step}",
            part="unlearned",
            method=f"{spec.name}, {task.title}",
            step=step,
            fingerprint=declared if own is not spec else spec.fingerprint,
        )

    made = read_json(folder / MADE)
    if made.get("told") != told:
        made = _run(context, spec, task, folder, told, at)
    if made["ended"]:
        raise ModelError(str(made["ended"]), where=f"{spec.name}, {task.title}")
    first = () if task.at_0 else (at(0),)
    return (*first, *(at(int(step), declared) for step, declared in made["fingerprints"].items()))


def _run(
    context: TrainingContext,
    spec: ModelSpec,
    task: _Task,
    folder: Path,
    told: Mapping[str, Any],
    at: Callable[[int], ModelSpec],
) -> dict[str, Any]:
    """Train, keep what was learned, and say in the folder what was made."""
    from safetensors.torch import save

    from backends.image.pipelines import DiffusionModels

    if not available(spec):
        raise StudyError("it cannot be trained, because its weights are not on this machine", where=spec.name)
    models = DiffusionModels(context.device, "float32")
    base = ModelSpec(
        f"base of {spec.name}", "original", spec.source, subfolder=spec.subfolder, revision=spec.revision
    )
    models.add(base)
    models.add(spec)
    prints: dict[str, str] = {}
    ended = ""
    try:
        for step, tensors in task.learn(models.pipeline(spec.name), models.pipeline(base.name)):
            data = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
            file = folder / f"checkpoint-{step}" / task.file
            with kept("what the attack learned", folder, len(data), StudyError):
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, data)
            prints[str(step)] = fingerprint(at(step))
    except ModelError as error:
        prints, ended = {}, error.what
    made = {"told": told, "fingerprints": prints, "ended": ended}
    with kept("what the attack made", folder, kind=StudyError):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / MADE, json.dumps(made, indent=2).encode())
    return made


def _changed(pipe: Any, base: Any, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors in which the trained model differs from the folder that its spec begins with."""
    import torch

    found = {}
    for part in ("unet", "text_encoder"):
        own, theirs = getattr(pipe, part).state_dict(), getattr(base, part).state_dict()
        if part == "unet" and (more := sorted(own.keys() - theirs.keys())):
            raise StudyError(
                f"it has modules of its own ({more[0]}), which weights cannot replace, so it is not trained"
            )
        for name, tensor in theirs.items():
            mine = weights[name] if part == "unet" and name in weights else own.get(name, tensor)
            if not torch.equal(mine, tensor):
                found[f"{part}.{name}"] = mine
    return found


def _with_embeddings(spec: ModelSpec, file: str) -> ModelSpec:
    return replace(spec, embeddings=(*spec.embeddings, ("", file)))


def _with_weights(spec: ModelSpec, file: str) -> ModelSpec:
    plain = replace(spec, weights=file, ema=False, strength=1.0, touch="")
    return replace(plain, origin="", origin_adapter="")


def _with_token(prompt: str, probes: Sequence[Probe], context: TrainingContext) -> str:
    """A prompt with the token in the forgotten concept's place."""
    for concept in dict.fromkeys(forgotten_in(probe, context.study) for probe in probes):
        if concept and mentions(prompt, concept):
            return re.sub(rf"\b{re.escape(concept)}\b", TOKEN, prompt, flags=re.IGNORECASE)
    return f"{prompt} {TOKEN}"
