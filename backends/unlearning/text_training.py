"""One loop for fine-tuning and for every text unlearning method: checkpoints along the way, stopped and resumed.

References are of the model before its first step: likelihoods are computed once, distributions once where they are
small, else with the first weights put back for one forward pass. No second copy of a model is held. Seeded: the same
recipe gives the same weights on the same machine, however often the run was stopped and resumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backends.text.tokens import ChatTokenizer
from backends.unlearning.recipes import Objective, Schedule
from backends.unlearning.resuming import kept_weights, random_state, restore_random, restore_weights
from backends.unlearning.text_method import TextMethod
from backends.unlearning.text_methods import FINE_TUNE, METHODS
from backends.unlearning.text_terms import Lower, Terms, TrainingRows


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """State after one step; `checkpoint` is True where the weights are to be kept now."""

    step: int
    loss: float
    checkpoint: bool


class Diverged(Exception):
    """The loss became NaN or infinite; the last checkpoint is good."""


class Training:
    """A run of one method.

    Args:
        model: whose trainable parameters are those that require gradients.
        lower: gives the hidden states that enter the model, where it is only the upper part of one.
        chosen: the method, where it is not one of ours.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: ChatTokenizer,
        objective: Objective,
        schedule: Schedule,
        rows: TrainingRows,
        device: str,
        lower: Lower | None = None,
        chosen: TextMethod | None = None,
    ) -> None:
        self.chosen = chosen or {**METHODS, FINE_TUNE.name: FINE_TUNE}[objective.method]
        self.schedule, self.model = schedule, model
        self.terms = Terms(model, tokenizer, self.chosen, objective, schedule, rows, device, lower)
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.done = 0
        self._optimiser = torch.optim.AdamW(
            self.parameters.values(), lr=schedule.learning_rate, weight_decay=0.0
        )
        torch.manual_seed(schedule.seed)

    def step(self) -> TrainingStep:
        """One step of the optimiser.

        Raises:
            Diverged: the loss is not finite; the weights are those of the step before.
        """
        self.model.train()
        step = self.done + 1
        for group in self._optimiser.param_groups:
            group["lr"] = self.schedule.learning_rate * _rate(step, self.schedule)
        self._optimiser.zero_grad()
        value = self.terms.backward()
        if not math.isfinite(value):
            raise Diverged(f"{self.chosen.name}: the loss is {value} at step {step}")
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), 1.0)
        self._optimiser.step()
        self.done = step
        if self.chosen.retain_weight is not None:
            self.terms.alpha = self.chosen.retain_weight(
                self.terms.alpha, self.terms.retain_loss, self.terms.settings
            )
        return TrainingStep(step, value, step in self.schedule.checkpoints)

    def state(self) -> dict[str, Tensor]:
        """Everything that `restore` needs, as tensors."""
        result = {
            "steps": torch.tensor(self.done),
            "alpha": torch.tensor(self.terms.alpha, dtype=torch.float64),
        }
        result |= random_state(self.terms.device)
        result |= kept_weights(self.parameters, self._optimiser)
        return result

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Resume from there: the next step is the one that would have followed."""
        self.done = int(state["steps"])
        self.terms.alpha = float(state["alpha"])
        self.terms.skip(self.done)
        restore_weights(state, self.parameters, self._optimiser)
        restore_random(state, self.terms.device)


def train(
    model: Any,
    tokenizer: ChatTokenizer,
    objective: Objective,
    schedule: Schedule,
    rows: TrainingRows,
    device: str,
    lower: Lower | None = None,
    resume: Callable[[], None] | None = None,
) -> Iterator[TrainingStep]:
    """Trains a model, one yielded step at a time; arguments as in `Training`.

    Args:
        resume: loads the weights to resume from, after the references were taken from the model as it is.

    Raises:
        Diverged: the loss is not finite.
    """
    run = Training(model, tokenizer, objective, schedule, rows, device, lower)
    if resume is not None:
        resume()
    for _ in range(schedule.steps):
        yield run.step()


def _rate(step: int, schedule: Schedule) -> float:
    warm = min(1.0, step / max(1, schedule.warmup))
    if not schedule.cosine:
        return warm
    return warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / schedule.steps)))
