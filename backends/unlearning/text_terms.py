"""The terms of a text method's objective: draws rows, makes what each loss sees, adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from backends.errors import StudyError
from backends.text.tokens import ChatTokenizer
from backends.unlearning import text_losses as losses
from backends.unlearning.hidden_states import hidden_after
from backends.unlearning.recipes import Objective, Schedule
from backends.unlearning.text_batches import (
    Batch,
    EncodedRow,
    QuestionAnswer,
    answer_logits,
    encode_rows,
    make_batch,
    shuffled,
)
from backends.unlearning.text_method import Hidden, LossInputs, TextMethod

Lower = Callable[[Sequence[list[int]]], list[torch.Tensor]]
"""Hidden states that enter the trained part of a model, one (tokens, width) a row of token ids."""
KEPT_BYTES = 2**28
"""Distributions of the reference are kept where they take no more than this, else computed again at each step."""
UNLABELLED = -100
"""Label that open-unlearning leaves at the prompt's positions; as an index: the vocabulary's 100th from the end."""


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """What a method sees.

    `refusals` are drawn in turn for the Idk methods, `alternates` has another answer to each forget row for AltPO, and
    `general` feeds the KL term to the base.
    """

    forget: Sequence[QuestionAnswer] = ()
    retain: Sequence[QuestionAnswer] = ()
    general: Sequence[QuestionAnswer] = ()
    refusals: Sequence[str] = ()
    alternates: Sequence[str] = ()


class Terms:
    """Draws batches and adds up a method's terms.

    Attributes:
        alpha: weight of the retain term now; a primal-dual method moves it.
        retain_loss: of the last step, nats per token.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: ChatTokenizer,
        chosen: TextMethod,
        objective: Objective,
        schedule: Schedule,
        rows: TrainingRows,
        device: str,
        lower: Lower | None,
    ) -> None:
        self.model, self.chosen, self.objective, self.device = model, chosen, objective, device
        self.pad_id, self.alpha, self.retain_loss = tokenizer.pad_id, objective.alpha, 0.0
        self.settings = objective.settings(chosen)
        self._first: list[tuple[torch.nn.Parameter, Tensor]] = []

        def encode(part: Sequence[QuestionAnswer], needed: bool) -> list[EncodedRow]:
            encoded = encode_rows(tokenizer, part) if needed else []
            if lower is None or not encoded:
                return encoded
            states = lower([row.ids for row in encoded])
            return [replace(row, states=state) for row, state in zip(encoded, states, strict=True)]

        others = rows.alternates if "alternates" in chosen.needs else rows.refusals
        answered_otherwise = [
            QuestionAnswer(row.question, others[i % len(others)], row.turns)
            for i, row in enumerate(rows.forget)
            if others
        ]
        needs_others = bool({"refusals", "alternates"} & set(chosen.needs))
        self.forget = encode(rows.forget, objective.gamma > 0)
        self.retain = encode(rows.retain, objective.alpha > 0 or objective.keep > 0)
        self.general = encode(rows.general, objective.kappa > 0)
        self.other = encode(answered_otherwise, needs_others)
        # Positions of the prompt that count as well, where a person asked for open-unlearning's way.
        self.prompts = [0] * len(self.forget)
        if chosen.prompt_counts is not None and chosen.prompt_counts(self.settings):
            self.prompts = [len(row.prompt) - 1 for row in self.forget]
            self.forget = [replace(row, prompt=row.ids[:1], answer=row.ids[1:]) for row in self.forget]
        reference = "reference" in chosen.needs
        answers = chosen.sees == "forget" and chosen.hidden is None
        self.forget_ref = self._reference(self.forget) if reference and answers else None
        self.other_ref = self._reference(self.other) if reference and self.other else None
        self.general_ref = self._base_logprobs()
        self.retain_ref = self._kept(self.retain) if objective.keep > 0 else []
        self.teacher = self._kept(self.forget) if "teacher" in chosen.needs else []
        inside = chosen.hidden if objective.alpha > 0 else None
        self.retain_hidden = self._hidden_states(inside) if inside is not None else []
        draw = torch.Generator().manual_seed(schedule.seed)
        sizes = (schedule.batch, schedule.retain_batch, schedule.general_batch)
        sets = (self.forget, self.retain, self.general)
        self.draws = [
            shuffled(len(s), size, draw) if s else None for s, size in zip(sets, sizes, strict=True)
        ]
        self._direction: Tensor | None = None
        self._seed = schedule.seed

    def skip(self, steps: int) -> None:
        """Draw what so many steps drew."""
        for _ in range(steps):
            for draws in self.draws:
                if draws is not None:
                    next(draws)

    def parts(self) -> Iterator[Tensor]:
        """The terms of the objective on freshly drawn rows, one after another, so that no two need be held at once."""
        if self.draws[0] is not None:
            yield self.objective.gamma * self._forget_loss(next(self.draws[0]))
        if self.draws[1] is not None:
            yield self._retain_loss(next(self.draws[1]))
        if self.draws[2] is not None:
            yield self.objective.kappa * self._kl(next(self.draws[2]))

    def backward(self) -> float:
        """Adds the gradients of all terms to the weights'; returns the objective.

        Raises:
            StudyError: nothing that is trained changes it.
        """
        value, moved = 0.0, False
        for part in self.parts():
            value += float(part.detach())
            if part.requires_grad:
                part.backward()
                moved = True
        if not moved:
            if self.chosen.hidden is None:
                raise StudyError("nothing that is trained changes the loss", where=self.chosen.name)
            raise StudyError(
                f"no trained weights are at or below layer {self.chosen.hidden.layer(self.settings)}",
                where=self.chosen.name,
                how="Choose a later layer, or rank=0 for all weights",
            )
        return value

    def _forget_loss(self, indices: list[int]) -> Tensor:
        if self.chosen.sees == "refusals":
            return self.chosen.loss(self._seen(self.other, indices, self.other_ref), self.settings)
        if self.chosen.hidden is not None:
            return self.chosen.loss(self._seen_inside(self.chosen.hidden, indices), self.settings)
        other = self._seen(self.other, indices, self.other_ref) if self.other else None
        seen = self._seen(self.forget, indices, self.forget_ref)
        if any(self.prompts):
            seen = replace(seen, targets=self._relabelled(seen, indices))
        known = dict(seen.known)
        if "teacher" in self.chosen.needs:
            known["teacher"] = self._distribution(self.forget, self.teacher, indices, seen.logits)
        return self.chosen.loss(replace(seen, other=other, known=known), self.settings)

    def _seen(self, rows: Sequence[EncodedRow], indices: list[int], reference: Tensor | None) -> LossInputs:
        batch = self._batch(rows, indices)
        known = (
            {}
            if reference is None
            else {"reference": reference[torch.tensor(indices, device=reference.device)]}
        )
        return LossInputs(answer_logits(self.model, batch), batch.targets, batch.answer_mask, known=known)

    def _seen_inside(self, inside: Hidden, indices: list[int]) -> LossInputs:
        batch = self._batch(self.forget, indices)
        hidden = hidden_after(self.model, batch, inside.layer(self.settings))
        if self._direction is None:
            self._direction = inside.direction(hidden.shape[-1], self._seed).to(hidden)
        known = {"hidden": hidden, "direction": self._direction}
        return LossInputs(torch.empty(0), batch.targets, batch.answer_mask, known=known)

    def _relabelled(self, seen: LossInputs, indices: list[int]) -> Tensor:
        """Targets with open-unlearning's label at the prompt's positions."""
        targets = seen.targets.clone()
        for place, i in enumerate(indices):
            start = targets.shape[1] - len(self.forget[i].answer)
            targets[place, start : start + self.prompts[i]] = seen.logits.shape[-1] + UNLABELLED
        return targets.clamp(min=0)

    def _retain_loss(self, indices: list[int]) -> Tensor:
        """Cross-entropy and, where it is asked for, KL to the model before its first step: of one forward pass."""
        batch = self._batch(self.retain, indices)
        inside = self.chosen.hidden
        if inside is not None:
            hidden = hidden_after(self.model, batch, inside.layer(self.settings))
            reference = _right_aligned([self.retain_hidden[i] for i in indices], hidden)
            return self.alpha * inside.retain_loss(hidden, reference, batch.answer_mask)
        logits = answer_logits(self.model, batch)
        nll, n = losses.answer_nll(logits, batch.targets, batch.answer_mask), batch.answer_mask.sum(-1)
        term = losses.cross_entropy(nll, n)
        self.retain_loss = float(term.detach())
        total = self.alpha * term
        if self.objective.keep > 0:
            reference = self._distribution(self.retain, self.retain_ref, indices, logits)
            total = total + self.objective.keep * losses.kl_to_reference(logits, reference, batch.answer_mask)
        return total

    def _kl(self, indices: list[int]) -> Tensor:
        batch = self._batch(self.general, indices)
        logits = answer_logits(self.model, batch)
        reference = _right_aligned([self.general_ref[i] for i in indices], logits)
        return losses.kl_to_reference(logits, reference, batch.answer_mask)

    def _distribution(
        self, rows: Sequence[EncodedRow], kept: Sequence[Tensor], indices: list[int], logits: Tensor
    ) -> Tensor:
        """Log-probabilities of the model before its first step for a batch, kept or computed now."""
        if kept:
            return _right_aligned([kept[i] for i in indices], logits)
        with torch.no_grad(), self._as_at_first():
            return torch.log_softmax(answer_logits(self.model, self._batch(rows, indices)).float(), dim=-1)

    @contextmanager
    def _as_at_first(self) -> Iterator[None]:
        """The trained weights as they were, for a while."""
        now = [parameter.data for parameter, _ in self._first]
        for parameter, first in self._first:
            parameter.data = first
        try:
            yield
        finally:
            for (parameter, _), data in zip(self._first, now, strict=True):
                parameter.data = data

    def _kept(self, rows: Sequence[EncodedRow]) -> list[Tensor]:
        """Distributions of all rows where they are small; else none, and the first weights are kept instead."""
        vocabulary = self.model.get_input_embeddings().weight.shape[0]
        if 2 * vocabulary * sum(len(row.answer) for row in rows) <= KEPT_BYTES:
            return self._logprobs(rows)
        if not self._first:
            trained = [p for p in self.model.parameters() if p.requires_grad]
            self._first = [(p, p.detach().clone()) for p in trained]
        return []

    def _base_logprobs(self) -> list[Tensor]:
        """The same of the base without the adapter, on the general rows."""
        if not self.general:
            return []
        with self.model.disable_adapter():
            return self._logprobs(self.general)

    @torch.no_grad()
    def _logprobs(self, rows: Sequence[EncodedRow]) -> list[Tensor]:
        """The model's log-probabilities as it is now at every answer token of the rows, float16, computed once."""
        tensors: list[Tensor] = []
        for indices, batch in self._in_turn(rows, 8):
            logprobs = torch.log_softmax(answer_logits(self.model, batch), dim=-1)
            for place, i in enumerate(indices):
                tensors.append(logprobs[place, -len(rows[i].answer) :].to("cpu", torch.float16))
        return tensors

    @torch.no_grad()
    def _hidden_states(self, inside: Hidden) -> list[Tensor]:
        """Hidden states of the retain rows' answers after the chosen layer, as the model is now, computed once."""
        tensors: list[Tensor] = []
        for indices, batch in self._in_turn(self.retain, 8):
            hidden = hidden_after(self.model, batch, inside.layer(self.settings))
            for place, i in enumerate(indices):
                tensors.append(hidden[place, -len(self.retain[i].answer) :].cpu())
        return tensors

    @torch.no_grad()
    def _reference(self, rows: Sequence[EncodedRow]) -> Tensor:
        """Likelihoods of all rows under the model as it is now, before its first step; shape (rows,)."""
        parts = [
            losses.answer_nll(answer_logits(self.model, batch), batch.targets, batch.answer_mask)
            for _, batch in self._in_turn(rows, 16)
        ]
        return torch.cat(parts)

    def _in_turn(self, rows: Sequence[EncodedRow], size: int) -> Iterator[tuple[range, Batch]]:
        """Batches of all rows in their order, with the model as it answers, not as it trains."""
        self.model.eval()
        for i in range(0, len(rows), size):
            indices = range(i, min(i + size, len(rows)))
            yield indices, self._batch(rows, indices)

    def _batch(self, rows: Sequence[EncodedRow], indices: Sequence[int]) -> Batch:
        return make_batch([rows[i] for i in indices], self.pad_id, self.device)


def _right_aligned(values: Sequence[Tensor], like: Tensor) -> Tensor:
    """Values of rows, each (tokens, width), at the right edge of a batch of the shape of `like`."""
    padded = torch.zeros_like(like)
    for place, value in enumerate(values):
        padded[place, -len(value) :] = value.to(like)
    return padded
