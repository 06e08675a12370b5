"""A soft prompt: a few learnt vectors before every prompt, the same for all facts, beside the same attack on strings
that nobody ever taught the model.

Learnt on half of the forget subjects and judged on the other half, both ways round. Vectors can be learnt that bring
out any string (arXiv 2502.15836), so that what they bring out of what they were learnt on says nothing by itself: the
control learns answers of the same lengths made of other answers' words, and tells how much comes out anyway.

The vectors stand before everything else, the chat template's beginning included. They begin as embeddings of words
drawn from the vocabulary (Lester et al. 2021, arXiv 2104.08691, section 3.2).

Settings: Adam, constant rate, 1 to 10 vectors. arXiv 2502.15836 goes up to 5,000 steps at 5e-4; here it is 64 steps, at
a rate that makes up for most of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from backends.attacks.halves import halves, scored, without_scored
from backends.attacks.training import Form, Steps, Task, Trained, TrainingContext, trained
from backends.errors import StudyError
from backends.study import ModelSpec, Probe

STEPS = Steps(kept=(16, 32, 64), learning_rate=5e-2, batch=4, size=5)
MOST_VECTORS = 10
FILE = "soft_prompt.safetensors"
CONTROL = "#control"
"""End of a control probe's id."""


def soft_prompt(context: TrainingContext, spec: ModelSpec, vectors: int = STEPS.size) -> tuple[Trained, ...]:
    """Learnt on half of the forget subjects and judged on the other half, both ways round.

    Raises:
        StudyError, ModelError, Cancelled: see `halves` and `trained`; or not 1 to 10 vectors.
    """
    split = halves(scored(context.study))
    result = []
    for way, data, asked in split.ways():
        taught, left_out = without_scored(data, asked)
        notes = split.notes
        if left_out:
            notes += (f"{left_out} rows of the data name what is asked for and were left out.",)
        result.append(_learnt(context, spec, way, f"soft prompt {way}", taught, asked, vectors, notes))
    return tuple(result)


def control_strings(
    context: TrainingContext, spec: ModelSpec, vectors: int = STEPS.size
) -> tuple[Trained, ...]:
    """The same attack on strings that no model was taught: learnt on those of half A, and judged on the very same.

    What comes out is what a soft prompt of this size can make any model say.

    Raises:
        StudyError, ModelError, Cancelled: see `halves` and `trained`; or not 1 to 10 vectors.
    """
    probes = scored(context.study)
    split = halves(probes)
    controls = {probe.id: control for probe, control in zip(probes, control_probes(probes), strict=True)}
    taught = tuple(controls[f"{probe.id}"] for probe in split.a)
    return (_learnt(context, spec, "control", "control strings", taught, taught, vectors, split.notes),)


def control_probes(probes: Sequence[Probe]) -> list[Probe]:
    """The same questions with answers that mean nothing: as many words, drawn from other probes' answers.

    The same for the same probes in the same order. Nothing that only metrics of the true answer need is left.
    """
    drawn = random.Random("|".join(probe.digest() for probe in probes))
    words = [(i, word) for i, probe in enumerate(probes) for word in probe.answer.split()]
    result = []
    for i, probe in enumerate(probes):
        own = {word.casefold() for word in probe.answer.split()}
        others = [word for j, word in words if j != i and word.casefold() not in own]
        count = len(probe.answer.split())
        if not others:
            raise StudyError("control strings are made of other answers' words, and there are none")
        answer = " ".join(drawn.choice(others) for _ in range(count))
        result.append(
            replace(
                probe,
                id=probe.id + CONTROL,
                answer=answer,
                key_fact="",
                accepted=(),
                options=(),
                perturbed_answers=(),
                paraphrased_prompt="",
                paraphrased_answer="",
            )
        )
    return result


def _learnt(
    context: TrainingContext,
    spec: ModelSpec,
    way: str,
    title: str,
    taught: tuple[Probe, ...],
    asked: tuple[Probe, ...],
    vectors: int,
    notes: tuple[str, ...],
) -> Trained:
    if not 1 <= vectors <= MOST_VECTORS:
        raise StudyError(f"a soft prompt has 1 to {MOST_VECTORS} vectors, not {vectors}")
    if not taught:
        raise StudyError("no row is left to learn from", where=f"{context.study.name}, {title}")
    if spec.embeddings or spec.strength != 1.0:
        raise StudyError("only a model itself takes a soft prompt", where=spec.name)
    task = Task("soft_prompt", title, replace(STEPS, size=vectors), taught)
    return Trained(way, trained(context, spec, task, _form(spec)), asked, taught, notes)


def _form(spec: ModelSpec) -> Form:
    def begin(device: str, steps: Steps) -> tuple[Any, Any]:
        import torch

        from backends.attacks.frozen import frozen
        from backends.text.soft_prompts import PromptedTokenizer, put_before

        module, tokenizer = frozen(spec, device)
        table = module.get_input_embeddings().weight.detach()
        drawn = torch.Generator().manual_seed(steps.seed)
        words = torch.randint(len(table), (steps.size,), generator=drawn)
        before = put_before(module, table[words.to(table.device)].float())
        return module, PromptedTokenizer(tokenizer, before)

    def write(model: Any, folder: Path) -> None:
        from backends.text.soft_prompts import save_soft_prompt

        save_soft_prompt(model, folder / FILE)

    return Form(begin, write, lambda folder: {"embeddings": (("", str(folder / FILE)),)})
