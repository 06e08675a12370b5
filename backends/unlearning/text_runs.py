"""An unlearning run on a study's original: checkpoints as the smallest change, each with its recipe and its cost.

An original that is an adapter on a base is continued, any other gets a fresh LoRA, or all weights are trained. A run
that was stopped resumes where it was, and gives the same weights as an uninterrupted one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from backends.errors import Cancelled, CheckpointError, ModelError, StudyError
from backends.study import ModelSpec, Study
from backends.text.tokens import ChatTokenizer
from backends.unlearning.negation import negated_adapter, negated_weights
from backends.unlearning.recipes import Recipe, recipe_record
from backends.unlearning.resuming import count_memory, peak_bytes
from backends.unlearning.run_files import RunFolder, RunProgress, as_json, changed_tensors
from backends.unlearning.text_batches import QuestionAnswer, answer_logits, encode_rows, make_batch
from backends.unlearning.text_losses import answer_nll
from backends.unlearning.text_method import TextMethod
from backends.unlearning.text_rows import measured_rows, rows_digest
from backends.unlearning.text_terms import TrainingRows
from backends.unlearning.text_training import Diverged, Training

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
    work = _Run(plan, files, run, tokenizer, device, show)
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


class _Run:
    """A run under way: steps, measurements, checkpoints."""

    def __init__(
        self,
        plan: Plan,
        files: RunFolder,
        run: Training,
        tokenizer: ChatTokenizer,
        device: str,
        show: Callable[[RunProgress], None],
    ) -> None:
        self._plan, self._files, self._training, self._device, self._show = plan, files, run, device, show
        self._measured = [encode_rows(tokenizer, rows) for rows in measured_rows(plan.study)]
        self._pad = tokenizer.pad_id
        self._tokens = _tokens_a_step(tokenizer, plan.rows, plan.recipe)
        self._first, self._back = {}, 0.0
        if plan.chosen.taken_back is not None:
            self._back = plan.chosen.taken_back(run.terms.settings)
            self._first = {name: p.detach().cpu().clone() for name, p in run.parameters.items()}
        self._seconds, self._utility = 0.0, 0.0
        self._steps: list[int] = []
        self._since = time.monotonic()

    def until_done(self, stop: Callable[[], bool]) -> list[ModelSpec]:
        """Run until all steps are done, the utility is too low, or the run is stopped."""
        run, recipe = self._training, self._plan.recipe
        state = self._files.state()
        if state is None:
            self._begin()
        else:
            run.restore(state)
            self._seconds, self._utility = float(state["seconds"]), float(state["utility"])
            self._steps = [step for step in recipe.schedule.checkpoints if step <= run.done]
        ended = ""
        try:
            while run.done < recipe.schedule.steps and not ended:
                if stop():
                    self._files.keep_state(self._state())
                    raise Cancelled
                done = run.step()
                if done.checkpoint:
                    ended = self._checkpoint(done.loss)
                else:
                    self._files.log({"step": done.step, "loss": done.loss})
                    self._show(RunProgress(done.step, done.loss))
        except Diverged as error:
            kept = f"checkpoints up to step {self._steps[-1]}" if self._steps else "no checkpoint was saved"
            if self._steps:
                self._files.end(self._steps, str(error))
            raise ModelError(str(error), how=f"Lower the learning rate or the steps; {kept}") from error
        self._files.end(self._steps, ended)
        return [_spec(self._plan, step) for step in self._steps]

    def _begin(self) -> None:
        with self._off_the_clock():
            forget, utility = self._measure()
        self._utility = utility
        self._files.log({"step": 0, "forget": forget, "utility": utility})
        self._show(RunProgress(0, float("nan"), forget, utility))

    def _checkpoint(self, loss: float) -> str:
        """Keep the weights, measure them; why the run ends here, or ""."""
        step, parameters = self._training.done, self._training.parameters
        cost = {
            "seconds": round(self._so_far(), 2),
            "peak_bytes": peak_bytes(self._device),
            "changed_parameters": sum(p.numel() for p in parameters.values()),
            "tokens": round(self._tokens * step),
        }
        self._files.checkpoint(step, self._write, {"step": step, "loss": loss, "cost": cost})
        with self._off_the_clock():
            forget, utility = self._measure()
        self._steps.append(step)
        self._files.log({"step": step, "loss": loss, "forget": forget, "utility": utility, **cost})
        self._files.keep_state(self._state())
        self._show(RunProgress(step, loss, forget, utility, _spec(self._plan, step)))
        least = self._plan.recipe.stop_below * self._utility
        if utility < least:
            return f"utility is {utility:.3f} at step {step}, below {least:.3f}"
        return ""

    def _state(self) -> dict[str, torch.Tensor]:
        own = {"seconds": torch.tensor(self._so_far(), dtype=torch.float64)}
        return {**self._training.state(), **own, "utility": torch.tensor(self._utility, dtype=torch.float64)}

    def _so_far(self) -> float:
        """Seconds of training, measurements not counted."""
        return self._seconds + time.monotonic() - self._since

    @contextmanager
    def _off_the_clock(self) -> Iterator[None]:
        """Seconds in here are no seconds of training."""
        self._seconds = self._so_far()
        try:
            yield
        finally:
            self._since = time.monotonic()

    def _write(self, folder: Path) -> None:
        model = self._training.model
        if isinstance(model, PeftModel):
            with warnings.catch_warnings():
                # A base in a package has no config file beside it.
                warnings.simplefilter("ignore", UserWarning)
                model.save_pretrained(folder, safe_serialization=True)
            if self._first:
                negated_adapter(folder, self._first, self._back)
            return
        source = self._plan.study.original
        base = resolve(source.source, revision=source.revision) / source.subfolder
        with negated_weights(model, self._first, self._back):
            save_file(changed_tensors(model, weight_files(base)), folder / WEIGHTS)

    @torch.no_grad()
    def _measure(self) -> tuple[float, float]:
        """Mean probability per token of the answers to the forget and to the utility rows; 0 without rows."""
        model = self._training.model
        model.eval()
        result = []
        with negated_weights(model, self._first, self._back):
            for rows in self._measured:
                values: list[torch.Tensor] = []
                for i in range(0, len(rows), 8):
                    batch = make_batch(rows[i : i + 8], self._pad, self._device)
                    nll = answer_nll(answer_logits(model, batch), batch.targets, batch.answer_mask)
                    values.append(torch.exp(-nll / batch.answer_mask.sum(-1)).cpu())
                result.append(float(torch.cat(values).mean()) if values else 0.0)
        return result[0], result[1]


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
            config = LoraConfig(
                r=recipe.rank, lora_alpha=2 * recipe.rank, target_modules="all-linear", task_type="CAUSAL_LM"
            )
            model = get_peft_model(model, config)
    if recipe.rank == 0:
        model.requires_grad_(True)
    return model, tokenizer


def _tokens_a_step(tokenizer: ChatTokenizer, rows: TrainingRows, recipe: Recipe) -> float:
    """Tokens that one step sees on average, padding not counted."""
    total = 0.0
    for part, size in ((rows.forget, recipe.schedule.batch), (rows.retain, recipe.schedule.retain_batch)):
        used = part is rows.forget or recipe.objective.alpha > 0 or recipe.objective.keep > 0
        total += size * _mean_length(tokenizer, part) if used else 0.0
    return total


def _mean_length(tokenizer: ChatTokenizer, rows: Sequence[QuestionAnswer]) -> float:
    encoded = encode_rows(tokenizer, rows)
    return sum(len(row.ids) for row in encoded) / len(encoded) if encoded else 0.0
