"""An unlearning run on a study's original: checkpoints as the smallest change, each with its recipe and its cost.

An original that is an adapter on a base is continued, any other gets a fresh LoRA, or all weights are trained. A run
that was stopped resumes where it was, and gives the same weights as an uninterrupted one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoTokenizer
from transformers.utils import logging

from backends.checkpoints.adapters import check_adapter, shares_base
from backends.checkpoints.identity import identity, resolve
from backends.checkpoints.language_weights import load_module
from backends.checkpoints.load_lock import one_load_at_a_time
from backends.checkpoints.tensors import weight_files
from backends.errors import CheckpointError, StudyError
from backends.study import ModelSpec, Study
from backends.text.tokens import ChatTokenizer
from backends.unlearning.negation import negated_adapter, negated_weights
from backends.unlearning.recipes import Recipe, recipe_record
from backends.unlearning.resuming import count_memory
from backends.unlearning.run_files import RunFolder, RunProgress, as_json, changed_tensors
from backends.unlearning.text_method import TextMethod
from backends.unlearning.text_rows import measured_rows, rows_digest
from backends.unlearning.text_terms import TrainingRows
from backends.unlearning.text_training import Training
from backends.unlearning.training_run import Kept, TrainingRun

WEIGHTS = "changed.safetensors"
"""File of a checkpoint without an adapter: the tensors that are not the base's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it begins.

    Attributes:
        study: whose original is unlearned.
        chosen: the method.
        recipe: its settings.
        rows: what it sees.
        folder: where its checkpoints go, a folder of its own.
        label: name of the trajectory on every page, "NPO" or "NPO lr=0.0002".
        code: digest of the method's own file, "" for our methods.
    """

    study: Study
    chosen: TextMethod
    recipe: Recipe
    rows: TrainingRows
    folder: Path
    label: str
    code: str = ""


def unlearn(
    plan: Plan, device: str, show: Callable[[RunProgress], None], stop: Callable[[], bool]
) -> list[ModelSpec]:
    """Train, keep the checkpoints; returns them as models of the study.

    A run that has ended is not trained again; one that was stopped resumes.

    Raises:
        StudyError: the original cannot be trained on, or the folder cannot be written.
        ModelError: the loss became no number; the last good checkpoint is kept.
        Cancelled: it was stopped, and can be resumed.
    """
    original, recipe = plan.study.original, plan.recipe
    if original.quantization or original.weights or original.strength != 1.0:
        raise StudyError("only a full model or an adapter can be unlearned", where=original.name)
    files = run_folder(plan)
    made = files.made()
    if made is not None:
        return [_spec(plan, step) for step in made]
    files.begin()
    count_memory(device)
    model, tokenizer = _trainable(original, recipe, device)
    run = Training(model, tokenizer, recipe.objective, recipe.schedule, plan.rows, device, chosen=plan.chosen)
    first, back = {}, 0.0
    if plan.chosen.taken_back is not None:
        back = plan.chosen.taken_back(run.terms.settings)
        first = {name: p.detach().cpu().clone() for name, p in run.parameters.items()}
    kept = Kept(
        write=lambda model, folder: _write(plan, model, folder, first, back),
        spec=lambda step: _spec(plan, step),
        as_kept=lambda: negated_weights(model, first, back),
    )
    measured = measured_rows(plan.study)
    work = TrainingRun(run, tokenizer, recipe, plan.rows, measured, files, kept, device, show)
    return work.until_done(stop)


def run_folder(plan: Plan) -> RunFolder:
    """The run's files."""
    told = {
        "original": identity(plan.study.original).fingerprint,
        "recipe": recipe_record(plan.recipe),
        "rows": rows_digest(plan.rows),
        "code": plan.code,
    }
    return RunFolder(plan.folder, as_json(told))


def _write(plan: Plan, model: Any, folder: Path, first: Mapping[str, torch.Tensor], back: float) -> None:
    """The weights of a checkpoint, turned round where the method says so; see `negation`."""
    if isinstance(model, PeftModel):
        save_adapter(model, folder)
        if first:
            negated_adapter(folder, first, back)
        return
    source = plan.study.original
    base = resolve(source.source, revision=source.revision) / source.subfolder
    with negated_weights(model, first, back):
        save_file(changed_tensors(dict(model.named_parameters()), weight_files(base)), folder / WEIGHTS)


def save_adapter(model: PeftModel, folder: Path) -> None:
    """The trained adapter as a PEFT folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a base in a package has no config file beside it
        model.save_pretrained(folder, safe_serialization=True)


def save_merged(model: PeftModel, base: Path, file: Path) -> None:
    """The tensors in which a model with its trained adapter differs from a base's files; the model stays as it is."""
    layers = {
        name: layer for name, layer in model.base_model.model.named_modules() if hasattr(layer, "lora_A")
    }
    own: dict[str, torch.Tensor] = {}
    for name, parameter in model.base_model.model.named_parameters():
        if ".lora_" in name:
            continue
        layer, is_weight, _ = name.partition(".base_layer.weight")
        change = layers[layer].get_delta_weight("default") if is_weight else 0
        own[name.replace(".base_layer.", ".")] = parameter.detach() + change
    save_file(changed_tensors(own, weight_files(base)), file)


def _spec(plan: Plan, step: int) -> ModelSpec:
    original, folder = plan.study.original, plan.folder / f"checkpoint-{step}"
    whole = plan.recipe.rank == 0
    return replace(
        original,
        name=f"{plan.label} {step}",
        part="unlearned",
        adapter=None if whole else str(folder),
        weights=str(folder / WEIGHTS) if whole else None,
        method=plan.label,
        step=step,
        note=plan.chosen.about,
        fingerprint="",
    )


@one_load_at_a_time
def _trainable(original: ModelSpec, recipe: Recipe, device: str) -> tuple[Any, ChatTokenizer]:
    """The original with what is trained: its own adapter, a fresh one on all linear layers, or all weights."""
    folder = resolve(original.source, revision=original.revision) / original.subfolder
    torch.manual_seed(recipe.schedule.seed)
    logging.disable_progress_bar()  # the caller shows progress
    model: Any = load_module(folder, torch.float32, {})[0].to(device)
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(folder, trust_remote_code=False), frozenset())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        if original.adapter:
            adapter = resolve(original.adapter)
            check_adapter(adapter, {}, original.name)
            if not shares_base(adapter):
                raise CheckpointError(
                    "unlearning can continue from plain LoRA adapters only, and this one changes more",
                    where=f"{original.name}: {adapter}",
                    how="Merge it into its base with merge_and_unload, and name that folder in `source`",
                )
            model = PeftModel.from_pretrained(model, str(adapter), is_trainable=True, torch_device=device)
            if recipe.rank == 0:
                model = model.merge_and_unload()
        elif recipe.rank > 0:
            model = with_fresh_adapter(model, recipe.rank)
    if recipe.rank == 0:
        model.requires_grad_(True)
    return model, tokenizer


def with_fresh_adapter(module: Any, rank: int) -> Any:
    """The module with a LoRA that changes nothing yet on all linear layers, alpha twice the rank."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(module, config)
