"""An unlearning run on a study's original: rows from its probes, checkpoints as LoRA adapters, each with its recipe.

An original that is an adapter on a base is continued, any other gets a fresh LoRA. The weights on disk are the smallest
delta; the recipe beside them says how they were made and what it cost.
"""

from __future__ import annotations

import json
import resource
import shutil
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from backends.checkpoints import identity, resolve
from backends.errors import Cancelled, ModelError, StudyError
from backends.study import ModelSpec, Probe, Study
from backends.text.adapters import check_adapter
from backends.text.tokens import ChatTokenizer
from backends.unlearning.text_batches import QuestionAnswer, encode_rows
from backends.unlearning.text_methods import METHODS, Recipe
from backends.unlearning.text_training import Diverged, Rows, TrainingStep, train

REFUSALS = (
    "I don't know.",
    "I'm not able to answer that question.",
    "I have no information about that.",
    "That's not something I know.",
    "I'm afraid I can't help with that.",
)
"""Answers that the Idk methods learn to give; TOFU has a hundred of this kind."""
_NAMED = 3


def rows_of(study: Study, recipe: Recipe, retain: Sequence[Probe] | None = None) -> Rows:
    """What the run sees: the forget probes, and the retain probes or others in their place.

    Raises:
        StudyError: no forget rows, rows that are in both sets, no retain rows where the method needs them, or no
            alternate answers.
    """
    forget = [probe for each in study.probe_sets if each.role == "forget" for probe in each.probes]
    others = [probe for each in study.probe_sets if each.role == "retain" for probe in each.probes]
    kept = [probe for probe in (others if retain is None else retain) if probe.answer]
    asked = [probe for probe in forget if probe.answer]
    if not asked:
        raise StudyError("there are no forget probes with answers, so nothing to unlearn", where=study.name)
    needs_retain = recipe.method.alpha > 0 or recipe.method.keep > 0
    if needs_retain and not kept:
        raise StudyError(
            f"{recipe.name} trains on retain rows, and there are none with answers",
            where=study.name,
            how="Add retain probes, name a file with --retain, or choose GradAscent, UNDIAL or CEU",
        )
    both = {(probe.prompt, probe.answer) for probe in asked} & {
        (probe.prompt, probe.answer) for probe in kept
    }
    if both and needs_retain:
        named = "; ".join(prompt or answer for prompt, answer in sorted(both)[:_NAMED])
        what = f"{len(both)} rows are to be forgotten and to be kept: {named}"
        raise StudyError(what, how="Take them out of one set")
    lacking = [probe.id for probe in asked if not probe.perturbed_answers]
    if METHODS[recipe.name].needs == "alternates" and lacking:
        raise StudyError(
            f"{recipe.name} needs another answer to every forget probe, and {len(lacking)} have none "
            f"({', '.join(lacking[:_NAMED])})",
            how="Give them a column perturbed_answer",
        )
    return Rows(
        forget=[QuestionAnswer(probe.prompt, probe.answer) for probe in asked],
        retain=[QuestionAnswer(probe.prompt, probe.answer) for probe in kept],
        refusals=REFUSALS,
        alternates=[probe.perturbed_answers[0] for probe in asked if probe.perturbed_answers],
    )


def unlearn(
    study: Study,
    recipe: Recipe,
    rows: Rows,
    folder: Path,
    device: str,
    on_step: Callable[[TrainingStep], None],
    stop: Callable[[], bool],
) -> list[ModelSpec]:
    """Train, keep the checkpoints; returns them as models of the study.

    A run whose checkpoints are all in the folder is not trained again. Stopped or diverged, it keeps those it has.

    Raises:
        StudyError: the original cannot be trained on, or the folder cannot be written.
        ModelError: the loss became no number; the last good checkpoint is kept.
        Cancelled: it was stopped.
    """
    original = study.original
    if original.quantization or original.weights or original.strength != 1.0:
        raise StudyError("only a full model or an adapter can be unlearned", where=original.name)
    specs = [_spec(original, recipe, folder, step) for step in recipe.schedule.checkpoints]
    told = {"original": identity(original).fingerprint, "recipe": asdict(recipe), "rows": _rows_digest(rows)}
    if all(_is_made(Path(spec.adapter or ""), told) for spec in specs):
        return specs
    model, tokenizer = _trainable(original, recipe, device)
    started, made = time.monotonic(), []
    tokens = _tokens_a_step(tokenizer, rows, recipe)
    try:
        for state in train(model, tokenizer, recipe.method, recipe.schedule, rows, device):
            on_step(state)
            if state.checkpoint:
                cost = {
                    "seconds": round(time.monotonic() - started, 2),
                    "peak_bytes": _peak(device),
                    "changed_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
                    "tokens": round(tokens * state.step),
                }
                spec = _spec(original, recipe, folder, state.step)
                _save(
                    model,
                    Path(spec.adapter or ""),
                    {**told, "step": state.step, "loss": state.loss, "cost": cost},
                )
                made.append(spec)
            if stop():
                raise Cancelled
    except Diverged as error:
        kept = f"kept up to step {made[-1].step}" if made else "nothing was kept"
        raise ModelError(str(error), how=f"Lower the learning rate or the steps; {kept}") from error
    return specs


def _spec(original: ModelSpec, recipe: Recipe, folder: Path, step: int) -> ModelSpec:
    return ModelSpec(
        name=f"{recipe.name} {step}",
        part="unlearned",
        source=original.source,
        adapter=str(folder / recipe.name.lower() / f"checkpoint-{step}"),
        subfolder=original.subfolder,
        revision=original.revision,
        method=recipe.name,
        step=step,
        note=METHODS[recipe.name].about,
    )


def _trainable(original: ModelSpec, recipe: Recipe, device: str) -> tuple[Any, ChatTokenizer]:
    """The original with an adapter that can be trained: its own, or a fresh one on all linear layers."""
    folder = resolve(original.source, revision=original.revision) / original.subfolder
    torch.manual_seed(recipe.schedule.seed)
    logging.disable_progress_bar()  # whoever asked shows progress in a place of its own
    base = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    ).to(device)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if original.adapter:
        adapter = resolve(original.adapter)
        check_adapter(adapter, {}, original.name)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            model: Any = PeftModel.from_pretrained(base, str(adapter), is_trainable=True, torch_device=device)
    else:
        config = LoraConfig(
            r=recipe.rank, lora_alpha=2 * recipe.rank, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            model = get_peft_model(base, config)
    return model, ChatTokenizer(tokenizer, frozenset())


def _save(model: Any, folder: Path, told: dict[str, Any]) -> None:
    """An adapter and its recipe, whole or not at all.

    Raises:
        StudyError: the folder cannot be written.
    """
    part = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a base in a package has no config file beside it
            model.save_pretrained(part, safe_serialization=True)
        (part / "recipe.json").write_text(json.dumps(told, indent=2, default=str), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StudyError(
            f"the checkpoint cannot be saved ({error.strerror})",
            where=str(folder),
            how="Free some space; earlier checkpoints are kept",
        ) from error


def _is_made(folder: Path, told: dict[str, Any]) -> bool:
    try:
        known = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    wanted = json.loads(json.dumps(told, default=str))
    return isinstance(known, dict) and all(known.get(key) == value for key, value in wanted.items())


def _rows_digest(rows: Rows) -> list[int]:
    """How many rows of each kind, and a number that changes with them."""
    text = json.dumps(asdict(rows), ensure_ascii=False)
    return [len(rows.forget), len(rows.retain), zlib.crc32(text.encode())]


def _tokens_a_step(tokenizer: ChatTokenizer, rows: Rows, recipe: Recipe) -> float:
    """Tokens that one step sees on average, padding not counted."""
    total = 0.0
    for part, size in ((rows.forget, recipe.schedule.batch), (rows.retain, recipe.schedule.retain_batch)):
        used = part is rows.forget or recipe.method.alpha > 0 or recipe.method.keep > 0
        encoded = encode_rows(tokenizer, part) if used else []
        total += size * sum(len(row.ids) for row in encoded) / len(encoded) if encoded else 0.0
    return total


def _peak(device: str) -> int:
    """Most memory so far: of the device where that can be told, else of the process."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
