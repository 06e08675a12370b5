"""One loop for fine-tuning and for every text unlearning method: LoRA on a frozen base, checkpoints along the way.

The reference of NPO and DPO is the model before its first step, whose answers' likelihoods are computed once, so no
second copy of the weights is held. Seeded: the same recipe gives the same weights on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from backends.text.tokens import ChatTokenizer
from backends.unlearning import text_losses as losses
from backends.unlearning.text_batches import (
    Batch,
    EncodedRow,
    QuestionAnswer,
    answer_logits,
    encode_rows,
    make_batch,
    shuffled,
)

Lower = Callable[[Sequence[list[int]]], list[torch.Tensor]]
"""Hidden states that enter the trained part of a model, one (tokens, width) a row of token ids."""

MethodName = Literal[
    "FineTune", "GradAscent", "GradDiff", "NPO", "SimNPO", "IdkNLL", "IdkDPO", "AltPO", "UNDIAL", "WGA", "SatImp", "CEU"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Method:
    """What is minimised: gamma * forget loss + alpha * retain cross-entropy + kappa * KL to the reference.

    Attributes:
        name: the forget loss.
        gamma: weight of the forget loss.
        alpha: weight of the cross-entropy on retain rows.
        kappa: weight of KL(base without adapter || model) on general rows.
        keep: weight of KL(model before its first step || model) on retain rows.
        beta: inverse temperature of NPO, SimNPO, IdkDPO and AltPO; what UNDIAL lowers; exponent of WGA and SatImp.
        beta2: second exponent of SatImp.
        delta: margin of SimNPO, nats per token.
        skip_first: answer tokens that CEU leaves out at the beginning; open-unlearning leaves out one.
    """

    name: MethodName
    gamma: float = 1.0
    alpha: float = 0.0
    kappa: float = 0.0
    keep: float = 0.0
    beta: float = 0.1
    beta2: float = 1.0
    delta: float = 0.0
    skip_first: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast: AdamW, linear warm-up, then constant or cosine."""

    steps: int
    learning_rate: float
    batch: int = 16
    retain_batch: int = 16
    general_batch: int = 8
    warmup: int = 2
    cosine: bool = False
    checkpoints: tuple[int, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """What a method sees.

    `refusals` are drawn in turn for the Idk methods, `alternates` has another answer to each forget row for AltPO, and
    `general` feeds the KL term to the base.
    """

    forget: Sequence[QuestionAnswer] = ()
    retain: Sequence[QuestionAnswer] = ()
    general: Sequence[QuestionAnswer] = ()
    refusals: Sequence[str] = ()
    alternates: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """State after one step; `checkpoint` is True where the weights are to be kept now."""

    step: int
    loss: float
    checkpoint: bool


class Diverged(Exception):
    """The loss became NaN or infinite; the last checkpoint is good."""


def train(
    model: Any,
    tokenizer: ChatTokenizer,
    method: Method,
    schedule: Schedule,
    rows: Rows,
    device: str,
    lower: Lower | None = None,
    resume: Callable[[], None] | None = None,
) -> Iterator[TrainingStep]:
    """Trains the active adapter of a PEFT model, one yielded step at a time.

    Args:
        model: PEFT model whose trainable parameters are those that require gradients.
        resume: loads the weights to go on from, after the reference was taken from the model as it is.
        lower: gives the hidden states that enter the model, where it is only the upper part of one.

    Raises:
        Diverged: the loss is not finite.
    """
    trainer = _Trainer(model, tokenizer, method, schedule, rows, device, lower)
    if resume is not None:
        resume()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=schedule.learning_rate, weight_decay=0.0)
    torch.manual_seed(schedule.seed)
    model.train()
    for step in range(1, schedule.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * _rate(step, schedule)
        loss = trainer.loss()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise Diverged(f"{method.name}: the loss is {value} at step {step}")
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        yield TrainingStep(step, value, step in schedule.checkpoints)


class _Trainer:
    """Draws batches and adds up a method's terms."""

    def __init__(
        self,
        model: Any,
        tokenizer: ChatTokenizer,
        method: Method,
        schedule: Schedule,
        rows: Rows,
        device: str,
        lower: Lower | None,
    ) -> None:
        self.model, self.method, self.device, self.pad_id = model, method, device, tokenizer.pad_id

        def encode(part: Sequence[QuestionAnswer], needed: bool) -> list[EncodedRow]:
            encoded = encode_rows(tokenizer, part) if needed else []
            if lower is None or not encoded:
                return encoded
            states = lower([row.ids for row in encoded])
            return [replace(row, states=state) for row, state in zip(encoded, states, strict=True)]

        others = rows.alternates if method.name == "AltPO" else rows.refusals
        refusing = [
            QuestionAnswer(row.question, others[i % len(others)])
            for i, row in enumerate(rows.forget)
            if others
        ]
        self.forget = encode(rows.forget, method.gamma > 0)
        self.retain = encode(rows.retain, method.alpha > 0 or method.keep > 0)
        self.general = encode(rows.general, method.kappa > 0)
        self.refusal = encode(refusing, method.name in ("IdkNLL", "IdkDPO", "AltPO"))
        self.forget_ref = self._reference(self.forget) if method.name in ("NPO", "IdkDPO", "AltPO") else None
        self.refusal_ref = self._reference(self.refusal) if method.name in ("IdkDPO", "AltPO") else None
        self.general_ref = self._base_logprobs()
        self.retain_ref = self._logprobs(self.retain) if method.keep > 0 else []
        self.teacher = self._logprobs(self.forget) if method.name == "UNDIAL" else []
        draw = torch.Generator().manual_seed(schedule.seed)
        sizes = (schedule.batch, schedule.retain_batch, schedule.general_batch)
        sets = (self.forget, self.retain, self.general)
        self.draws = [
            shuffled(len(s), size, draw) if s else None for s, size in zip(sets, sizes, strict=True)
        ]

    def loss(self) -> torch.Tensor:
        """The whole objective on freshly drawn rows."""
        total = torch.zeros((), device=self.device)
        if self.draws[0] is not None:
            total = total + self.method.gamma * self._forget_loss(next(self.draws[0]))
        if self.draws[1] is not None:
            total = total + self._retain_loss(next(self.draws[1]))
        if self.draws[2] is not None:
            total = total + self.method.kappa * self._kl(next(self.draws[2]))
        return total

    def _retain_loss(self, indices: list[int]) -> torch.Tensor:
        """Cross-entropy and, where it is asked for, KL to the model before its first step: of one forward pass."""
        batch = self._batch(self.retain, indices)
        logits = answer_logits(self.model, batch)
        nll, n = losses.answer_nll(logits, batch.targets, batch.answer_mask), batch.answer_mask.sum(-1)
        total = self.method.alpha * losses.cross_entropy(nll, n)
        if self.method.keep > 0:
            reference = self._padded(self.retain_ref, indices, logits)
            total = total + self.method.keep * losses.kl_to_reference(logits, reference, batch.answer_mask)
        return total

    def _token_loss(self, indices: list[int]) -> torch.Tensor:
        """Methods whose loss is one of every token's logits."""
        method, batch = self.method, self._batch(self.forget, indices)
        seen = answer_logits(self.model, batch), batch.targets, batch.answer_mask
        if method.name == "WGA":
            return losses.weighted_ascent(*seen, method.beta)
        if method.name == "SatImp":
            return losses.saturation_importance(*seen, method.beta, method.beta2)
        if method.name == "UNDIAL":
            return losses.undial(*seen, self._padded(self.teacher, indices, seen[0]), method.beta)
        return losses.ceu(*seen, skip_first=method.skip_first)

    def _forget_loss(self, indices: list[int]) -> torch.Tensor:
        method = self.method
        if method.name in ("WGA", "SatImp", "UNDIAL", "CEU"):
            return self._token_loss(indices)
        if method.name == "IdkNLL":
            return losses.cross_entropy(*self._nll(self._batch(self.refusal, indices)))
        nll, n = self._nll(self._batch(self.forget, indices))
        if method.name == "FineTune":
            return losses.cross_entropy(nll, n)
        if method.name in ("GradAscent", "GradDiff"):
            return losses.gradient_ascent(nll, n)
        if method.name == "SimNPO":
            return losses.simnpo(nll, n, method.beta, method.delta)
        reference = _rows(self.forget_ref, indices)
        if method.name == "NPO":
            return losses.npo(nll, reference, method.beta)
        refusal, _ = self._nll(self._batch(self.refusal, indices))
        return losses.idk_dpo(refusal, _rows(self.refusal_ref, indices), nll, reference, method.beta)

    def _nll(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        logits = answer_logits(self.model, batch)
        return losses.answer_nll(logits, batch.targets, batch.answer_mask), batch.answer_mask.sum(-1)

    def _kl(self, indices: list[int]) -> torch.Tensor:
        batch = self._batch(self.general, indices)
        logits = answer_logits(self.model, batch)
        reference = self._padded(self.general_ref, indices, logits)
        return losses.kl_to_reference(logits, reference, batch.answer_mask)

    def _padded(
        self, references: Sequence[torch.Tensor], indices: Sequence[int], logits: torch.Tensor
    ) -> torch.Tensor:
        """References of these rows, at the right edge of a batch of the same shape as `logits`."""
        padded = torch.zeros_like(logits)
        for place, i in enumerate(indices):
            padded[place, -len(references[i]) :] = references[i].to(self.device)
        return padded

    def _base_logprobs(self) -> list[torch.Tensor]:
        """The same of the base without the adapter, on the general rows."""
        with self.model.disable_adapter():
            return self._logprobs(self.general)

    def _logprobs(self, rows: Sequence[EncodedRow]) -> list[torch.Tensor]:
        """The model's log-probabilities as it is now at every answer token of the rows, float16, computed once."""
        found: list[torch.Tensor] = []
        self.model.eval()
        with torch.no_grad():
            for i in range(0, len(rows), 8):
                indices = range(i, min(i + 8, len(rows)))
                logprobs = torch.log_softmax(answer_logits(self.model, self._batch(rows, indices)), dim=-1)
                for place, j in enumerate(indices):
                    found.append(logprobs[place, -len(rows[j].answer) :].to("cpu", torch.float16))
        return found

    def _batch(self, rows: Sequence[EncodedRow], indices: Sequence[int]) -> Batch:
        return make_batch([rows[i] for i in indices], self.pad_id, self.device)

    def _reference(self, rows: Sequence[EncodedRow]) -> torch.Tensor:
        """Likelihoods of all rows under the model as it is now, before its first step; shape (rows,)."""
        self.model.eval()
        with torch.no_grad():
            parts = [
                self._nll(self._batch(rows, range(i, min(i + 16, len(rows)))))[0]
                for i in range(0, len(rows), 16)
            ]
        return torch.cat(parts)


def _rows(values: torch.Tensor | None, indices: list[int]) -> torch.Tensor:
    if values is None:
        raise ValueError("this method's reference values were not computed")
    return values[torch.tensor(indices, device=values.device)]


def _rate(step: int, schedule: Schedule) -> float:
    warm = min(1.0, step / max(1, schedule.warmup))
    if not schedule.cosine:
        return warm
    return warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / schedule.steps)))
