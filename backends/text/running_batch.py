"""The answers that a language model writes at a time: rows join while others are under way, and leave when they end.

A step takes one token of every row through the model. Rows that join go through it once with their whole prompt, in a
pass of their own, and then run with the others. Knows nothing about how a token is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from backends.text.padding import in_common, left_padded_after, without
from backends.text.prompt_pass import counts_by_position, next_token_pass, prompt_pass, shared_beginning
from backends.text.row_cache import RowCache


@dataclass(slots=True)
class RunningRow:
    """One answer that is being written.

    Attributes:
        number: of the answer among all that were asked for.
        prompt: token ids.
        written: token ids so far.
        guess: what may come next; checked in the pass that the row joins with, and gone after that.
        adapter: PEFT's name of the adapter; None where the model has none.
        generator: of its noise.
    """

    number: int
    prompt: list[int]
    written: list[int]
    guess: list[int]
    adapter: str | None
    generator: torch.Generator = field(repr=False)

    @property
    def text(self) -> list[int]:
        """Everything that the model has seen after the row has joined."""
        return self.prompt + self.written + self.guess


class RunningBatch:
    """Rows with their keys and values.

    Args:
        model: the language model.
        most_new: tokens that a row may write.
        pad_id: any id; padding is masked.
        device: of the model.
        unseen: ids of prompt tokens that attention skips; positions count the others, as in transformers' `generate`.
    """

    def __init__(
        self, model: Any, *, most_new: int, pad_id: int, device: str, unseen: frozenset[int]
    ) -> None:
        self.rows: list[RunningRow] = []
        self.following = torch.zeros(0)
        """Logits of what comes after each row, float32, shape (rows, vocabulary)."""
        self._model = model
        self._most_new = most_new
        self._pad_id = pad_id
        self._device = device
        self._unseen = unseen
        self._cache = RowCache()
        self._mask = torch.zeros(0, 0, dtype=torch.long, device=device)

    def join(self, rows: Sequence[RunningRow]) -> None:
        """Rows with their prompts through the model; what of a guess is the model's first choice is written then."""
        width = max(len(row.prompt) for row in rows) + self._most_new
        if not counts_by_position(self._model, width):
            for row in rows:  # a wrong guess leaves masked places between tokens
                row.guess = []
        texts = [row.text for row in rows]
        names = self._names(rows)
        kept = max(len(row.guess) for row in rows) + 1
        with torch.inference_mode():
            begin = min(
                shared_beginning(self._model, texts, len(set(names or [""])), width),
                *(len(text) - kept for text in texts),
            )
            begin = max(begin, 0)
            ids, padding, positions = left_padded_after(texts, begin, self._pad_id, self._device)
            mask = self._seen(rows, ids, padding, begin)
            if self._unseen:
                # As `generate` of transformers: skipped tokens take no position; masked places get any valid one.
                positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 1)
            cache = DynamicCache()
            logits = prompt_pass(self._model, ids, mask, positions, begin, cache, names, kept)
            following = self._checked(rows, logits, mask)
            self._take_in(rows, following, mask, cache)

    def step(self, tokens: torch.Tensor) -> None:
        """The next token of every row through the model, shape (rows,)."""
        with torch.inference_mode():
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), 1)], dim=-1)
            names = self._names(self.rows)
            logits = next_token_pass(self._model, tokens[:, None], self._mask, self._cache, names)
            self.following = logits.float()

    def keep(self, places: Sequence[int]) -> list[int]:
        """Only some rows go on, so that a step costs no more than these; returns the places in their new order."""
        count = len(places)
        staying = set(places)
        free = [place for place in range(count) if place not in staying]
        behind = [place for place in sorted(staying) if place >= count]
        moved = dict(zip(free, behind, strict=True))
        order = [moved.get(place, place) for place in range(count)]
        with torch.inference_mode():
            index = torch.tensor(order, device=self._device, dtype=torch.long)
            mask = self._mask[index]
            first = int(mask.any(0).int().argmax()) if count else 0
            self._mask = mask[:, first:]
            self._cache.keep(order, first)
            self.following = self.following[index]
        self.rows = [self.rows[place] for place in order]
        return order

    def clear(self) -> list[RunningRow]:
        """Lets go of all rows and their memory, and returns them: each can join again with what it has written."""
        rows, self.rows = self.rows, []
        self._cache, self._mask = RowCache(), self._mask.new_zeros(0, 0)
        self.following = torch.zeros(0)
        return rows

    def _names(self, rows: Sequence[RunningRow]) -> list[str] | None:
        names = [row.adapter for row in rows if row.adapter is not None]
        return names or None

    def _seen(
        self, rows: Sequence[RunningRow], ids: torch.Tensor, padding: torch.Tensor, begin: int
    ) -> torch.Tensor:
        """The mask over padding and over prompt tokens that attention skips; what was written is always seen."""
        mask = without(ids, padding, self._unseen)
        for place, row in enumerate(rows):
            for at, token in enumerate(row.text[len(row.prompt) :], len(row.prompt)):
                if token in self._unseen:
                    mask[place, at if at < begin else at - len(row.text)] = 1
        return mask

    def _checked(self, rows: Sequence[RunningRow], logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Writes what of the guesses is right, hides the rest; logits (rows, kept, V) to those of what follows."""
        following = []
        for place, row in enumerate(rows):
            count, columns = len(row.guess), logits.shape[1]
            choices = logits[place, columns - 1 - count : columns - 1].argmax(-1).tolist() if count else []
            right = in_common(row.guess, choices)
            following.append(logits[place, columns - 1 - count + right].float())
            mask[place, mask.shape[1] - (count - right) :] = 0
            row.written += row.guess[:right]
            row.guess = []
        return torch.stack(following)

    def _take_in(
        self, rows: Sequence[RunningRow], following: torch.Tensor, mask: torch.Tensor, cache: DynamicCache
    ) -> None:
        width = max(self._mask.shape[1], mask.shape[1])
        both = [each for each in (self._mask, mask) if len(each)]
        padded = [
            torch.cat([each.new_zeros(len(each), width - each.shape[1]), each], dim=-1) for each in both
        ]
        self._cache.append(cache)
        self._mask = torch.cat(padded)
        self.following = torch.cat([self.following, following]) if self.rows else following
        self.rows += rows
