"""One training run of a language model with its folder: steps, measurements, checkpoints, stopped and resumed.

Knows neither where the model comes from nor how its weights are written: who begins the run says that. A run that was
stopped resumes where it was, and gives the same weights as an uninterrupted one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from backends.errors import Cancelled, ModelError
from backends.study import ModelSpec
from backends.text.tokens import ChatTokenizer
from backends.unlearning.recipes import Recipe
from backends.unlearning.resuming import peak_bytes
from backends.unlearning.run_files import RunFolder, RunProgress
from backends.unlearning.text_batches import QuestionAnswer, answer_logits, encode_rows, make_batch
from backends.unlearning.text_losses import answer_nll
from backends.unlearning.text_terms import TrainingRows
from backends.unlearning.text_training import Diverged, Training


@dataclass(frozen=True, slots=True)
class Kept:
    """What becomes of a run's checkpoints.

    Attributes:
        write: puts the trained weights of a model into a folder.
        spec: the model of a study that the checkpoint of a step is.
        as_kept: the model as it is written, for a while, where that is not as it is trained.
    """

    write: Callable[[Any, Path], None]
    spec: Callable[[int], ModelSpec]
    as_kept: Callable[[], AbstractContextManager[None]] = nullcontext


class TrainingRun:
    """A run under way.

    Args:
        training: of the model.
        tokenizer: of the model.
        recipe: settings of the run.
        rows: what it sees.
        measured: rows of two kinds that are measured at every checkpoint.
        files: its folder.
        kept: what becomes of its checkpoints.
        device: where the model is.
        show: told of every step.
    """

    def __init__(
        self,
        training: Training,
        tokenizer: ChatTokenizer,
        recipe: Recipe,
        rows: TrainingRows,
        measured: tuple[Sequence[QuestionAnswer], Sequence[QuestionAnswer]],
        files: RunFolder,
        kept: Kept,
        device: str,
        show: Callable[[RunProgress], None],
    ) -> None:
        self._training, self._recipe, self._files, self._kept = training, recipe, files, kept
        self._device, self._show = device, show
        self._measured = [encode_rows(tokenizer, part) for part in measured]
        self._pad = tokenizer.pad_id
        self._tokens = _tokens_a_step(tokenizer, rows, recipe)
        self._seconds, self._utility = 0.0, 0.0
        self._steps: list[int] = []
        self._since = time.monotonic()

    def until_done(self, stop: Callable[[], bool]) -> list[ModelSpec]:
        """Run until all steps are done, the utility is too low, or the run is stopped."""
        run, recipe = self._training, self._recipe
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
        return [self._kept.spec(step) for step in self._steps]

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
        self._show(RunProgress(step, loss, forget, utility, self._kept.spec(step)))
        least = self._recipe.stop_below * self._utility
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
        self._kept.write(self._training.model, folder)

    @torch.no_grad()
    def _measure(self) -> tuple[float, float]:
        """Mean probability per token of the answers to the forget and to the utility rows; 0 without rows."""
        model = self._training.model
        model.eval()
        result = []
        with self._kept.as_kept():
            for rows in self._measured:
                values: list[torch.Tensor] = []
                for i in range(0, len(rows), 8):
                    batch = make_batch(rows[i : i + 8], self._pad, self._device)
                    nll = answer_nll(answer_logits(model, batch), batch.targets, batch.answer_mask)
                    values.append(torch.exp(-nll / batch.answer_mask.sum(-1)).cpu())
                result.append(float(torch.cat(values).mean()) if values else 0.0)
        return result[0], result[1]


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
