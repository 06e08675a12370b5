"""Question-answer rows as padded batches, and the forward pass that training needs of them.

Rows are padded on the left, so that all answers end at the right edge and the output head runs on answers only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from backends.study import Turns
from backends.text.padding import left_padded
from backends.text.tokens import ChatTokenizer


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """One training row; `turns` are what was said before, see `Probe`."""

    question: str
    answer: str
    turns: Turns = ()


def row_fields(fields: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of a row's fields for `asdict`, so that rows without turns keep the identity that they always had."""
    return {name: value for name, value in fields if name != "turns" or value}


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """Token ids of one row: prompt, and answer with its end-of-turn token.

    `states` are the hidden states that enter the trained layers, (tokens, width), where the layers below are frozen.
    """

    prompt: list[int]
    answer: list[int]
    states: torch.Tensor | None = None

    @property
    def ids(self) -> list[int]:
        """The whole row."""
        return self.prompt + self.answer


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows; `targets` and `answer_mask` have shape (rows, longest answer)."""

    ids: torch.Tensor
    states: torch.Tensor | None
    mask: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    answer_mask: torch.Tensor


def encode_rows(tokenizer: ChatTokenizer, rows: Sequence[QuestionAnswer]) -> list[EncodedRow]:
    """Rows as token ids, in the template that scoring uses."""
    encoded = [tokenizer.encode(row.question, row.answer, turns=row.turns) for row in rows]
    return [EncodedRow(row.prompt_ids, [*row.answer_ids, *row.end_ids]) for row in encoded]


def make_batch(rows: Sequence[EncodedRow], pad_id: int, device: str) -> Batch:
    """Pads rows to one batch."""
    ids, mask, positions = left_padded([row.ids for row in rows], pad_id, device)
    longest = max(len(row.answer) for row in rows)
    lengths = torch.tensor([len(row.answer) for row in rows], device=device)
    answer_mask = (torch.arange(longest, device=device)[None] >= longest - lengths[:, None]).float()
    return Batch(
        ids, _padded_states(rows, ids.shape[1], device), mask, positions, ids[:, -longest:], answer_mask
    )


def answer_logits(model: Any, batch: Batch) -> torch.Tensor:
    """Predictions of the answers' tokens, shape (rows, longest answer, vocabulary)."""
    longest = batch.targets.shape[1]
    inputs = {"input_ids": batch.ids} if batch.states is None else {"inputs_embeds": batch.states}
    output = model(
        **inputs,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        logits_to_keep=longest + 1,
        use_cache=False,
    )
    logits: torch.Tensor = output.logits
    return logits[:, -(longest + 1) : -1]


def shuffled(count: int, size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Endless batches of indices: every row once before any row twice."""
    pool: list[int] = []
    while True:
        while len(pool) < size:
            pool += torch.randperm(count, generator=generator).tolist()
        yield pool[:size]
        pool = pool[size:]


def _padded_states(rows: Sequence[EncodedRow], width: int, device: str) -> torch.Tensor | None:
    states = [row.states for row in rows if row.states is not None]
    if len(states) < len(rows):
        return None
    padded = torch.zeros(len(rows), width, states[0].shape[-1])
    for place, state in enumerate(states):
        padded[place, width - len(state) :] = state
    return padded.to(device)
