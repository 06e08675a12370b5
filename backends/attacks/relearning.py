"""Relearning: a few steps of ordinary fine-tuning, after which what was only hidden comes back.

A fresh LoRA on all linear layers of the model as it is, its own adapter merged: the same attack with the same seed for
every model of a study, however its weights are stored. After 0 steps it is the model itself.

Three kinds of data: half of the forget subjects, judged on the other half and both ways round (Deeb and Roger 2024,
arXiv 2410.08827: fine-tune on some facts, test on disjoint ones); retain text (benign); unrelated text (Łucki et al.
2024, arXiv 2409.18025: ten unrelated samples undo RMU), which here is the study's utility probes.

Settings: batch 4 as in MUSE (Shi et al. 2024) and Unlearn-Smooth (Fan et al. 2025). Those train all weights at 1e-5 for
15 to 150 steps; LoRA takes a rate a hundred times as high. Measured on the demo's half B, 16 steps: the answers that
IdkNLL refuses go from .74 to .84 in probability and from 0 to .22 in key facts said, those of the retained model from
.10 to .12 and from .06 to 0; at 2e-3 IdkNLL itself breaks (.22 and 0), at 5e-4 it gives away more (.85 and .33).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backends.attacks.halves import halves, scored, without_scored
from backends.attacks.training import Form, Steps, Task, Trained, TrainingContext, trained
from backends.checkpoints.adapters import shares_base
from backends.checkpoints.identity import available, resolve
from backends.errors import StudyError
from backends.study import ModelSpec, Probe

STEPS = Steps(kept=(1, 2, 4, 8, 16), learning_rate=5e-4, batch=4, size=8)
CHANGED = "changed.safetensors"
LEAST_ROWS = 4
"""Rows of data without which there is nothing to learn from: one step's batch."""


def relearn_half(context: TrainingContext, spec: ModelSpec) -> tuple[Trained, ...]:
    """Fine-tuned on half of the forget subjects and judged on the other half, both ways round.

    Raises:
        StudyError, ModelError, Cancelled: see `halves` and `trained`.
    """
    split = halves(scored(context.study))
    return tuple(
        _relearned(context, spec, way, "relearning_half", data, asked, split.notes)
        for way, data, asked in split.ways()
    )


def relearn_retain(context: TrainingContext, spec: ModelSpec) -> tuple[Trained, ...]:
    """Fine-tuned on retain probes, judged on all forget probes.

    Raises:
        StudyError, ModelError, Cancelled: see `trained`; there are too few retain probes.
    """
    return (_other(context, spec, "retain", "relearning_retain"),)


def relearn_unrelated(context: TrainingContext, spec: ModelSpec) -> tuple[Trained, ...]:
    """Fine-tuned on utility probes, judged on all forget probes.

    Raises:
        StudyError, ModelError, Cancelled: see `trained`; there are too few utility probes.
    """
    return (_other(context, spec, "utility", "relearning_unrelated"),)


def _other(context: TrainingContext, spec: ModelSpec, role: str, key: str) -> Trained:
    data = scored(context.study, role)
    if len(data) < LEAST_ROWS:
        raise StudyError(
            f"relearning on {role} probes needs {LEAST_ROWS} with answers, and there are {len(data)}",
            where=context.study.name,
            how=f"Add {role} probes",
        )
    return _relearned(context, spec, f"{role} text", key, data, scored(context.study), ())


def _relearned(
    context: TrainingContext,
    spec: ModelSpec,
    way: str,
    key: str,
    data: Sequence[Probe],
    asked: tuple[Probe, ...],
    notes: tuple[str, ...],
) -> Trained:
    taught, left_out = without_scored(data, asked)
    if not asked:
        raise StudyError("there are no forget probes with answers to ask for", where=context.study.name)
    if len(taught) < LEAST_ROWS:
        raise StudyError(
            f"of {len(data)} rows to relearn from, {left_out} name what is asked for, so too few are left",
            where=f"{context.study.name}, {way}",
            how="Add rows about others",
        )
    if left_out:
        notes += (f"{left_out} rows of the data name what is asked for and were left out.",)
    task = Task(key, f"relearned {way}", STEPS, taught)
    return Trained(way, trained(context, spec, task, _form(spec)), asked, taught, notes)


def _form(spec: ModelSpec) -> Form:
    """A LoRA joined with the model's own where both are plain LoRA on one base; else the tensors that changed."""
    plain = spec.strength == 1.0 and not spec.weights
    if plain and spec.adapter and available(spec):  # of one that is not here only the name is needed
        plain = shares_base(resolve(spec.adapter))

    def begin(device: str, steps: Steps) -> tuple[Any, Any]:
        import torch

        from backends.attacks.frozen import frozen
        from backends.unlearning.text_runs import with_fresh_adapter

        module, tokenizer = frozen(spec, device)
        torch.manual_seed(steps.seed)  # the same first weights for every model of one architecture
        return with_fresh_adapter(module, steps.size), tokenizer

    def write(model: Any, folder: Path) -> None:
        from backends.attacks.joined_adapters import join
        from backends.unlearning.text_runs import save_adapter, save_merged

        if not plain:
            base = resolve(spec.source, revision=spec.revision) / spec.subfolder
            save_merged(model, base, folder / CHANGED)
            return
        save_adapter(model, folder)
        if spec.adapter:
            join(folder, resolve(spec.adapter))

    def changes(folder: Path) -> dict[str, Any]:
        if plain:
            return {"adapter": str(folder)}
        undone = {"strength": 1.0, "origin": "", "origin_adapter": "", "adapter": None}
        return {"weights": str(folder / CHANGED), **undone}

    return Form(begin, write, changes)
