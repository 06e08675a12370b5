"""Keys and values of rows that come and go: a token, a row less or a new row costs its own place, not a copy of all.

transformers' own cache makes every tensor anew for each token and for each row that leaves. Here both lie in memory
with room to spare. All rows end in the same column; what is left of a shorter one is zeros, which the mask hides. Knows
nothing about models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

MORE_COLUMNS = 64
"""Places that are added at once when a layer is full."""


class RowLayer(DynamicLayer):
    """Keys and values of one layer; `keys` and `values` are the used part of memory that has room for more.

    Attributes:
        keys, values: shape (rows, heads, columns, size of a head).
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._memory: list[torch.Tensor] = []
        self._begin = 0  # first used column of the memory

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One or more columns more for every row, as a model's attention asks; returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old, more = self.get_seq_length(), key_states.shape[-2]
        if not self._memory or self._begin + old + more > self._memory[0].shape[-2]:
            self._make_room(key_states, value_states, rows=len(key_states), before=0, after=more)
        end = self._begin + old
        for memory, states in zip(self._memory, (key_states, value_states), strict=True):
            memory[: len(states), :, end : end + more] = states
        return self._use(len(key_states), end + more)

    def append_rows(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """New rows below the others, their last columns one under the other; the narrower ones begin with zeros."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        rows = len(self.keys) if self._memory else 0
        old, new = self.get_seq_length(), keys.shape[-2]
        full = not self._memory or rows + len(keys) > len(self._memory[0])
        if full or new > old:
            self._make_room(keys, values, rows=rows + len(keys), before=max(0, new - old), after=0)
        end = self._begin + max(old, new)
        for memory, states in zip(self._memory, (keys, values), strict=True):
            memory[rows : rows + len(states), :, self._begin : end - new] = (
                0.0  # of a row that was here before
            )
            memory[rows : rows + len(states), :, end - new : end] = states
        self._use(rows + len(keys), end)

    def keep_rows(self, order: Sequence[int], first: int) -> None:
        """Only the rows named, in that order, and only the columns from `first` on.

        Args:
            order: places of rows; those that are not in their own place come from behind its end.
            first: columns before it are of no use to any row.
        """
        end = self._begin + self.get_seq_length()
        for memory in self._memory:
            for place, row in enumerate(order):
                if place != row:
                    memory[place, :, self._begin : end] = memory[row, :, self._begin : end]
        self._begin += first
        self._use(len(order), end)

    def _use(self, rows: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys, self.values = (memory[:rows, :, self._begin : end] for memory in self._memory)
        return self.keys, self.values

    def _make_room(
        self, keys: torch.Tensor, values: torch.Tensor, *, rows: int, before: int, after: int
    ) -> None:
        """Memory for so many rows and, around the used columns, so many more; the used ones are copied."""
        old = self.get_seq_length()
        held = (self.keys, self.values) if self._memory else (None, None)
        columns = before + old + after + MORE_COLUMNS
        memory = []
        for like, used in zip((keys, values), held, strict=True):
            # Zeros, not whatever is there: a masked place counts nothing, but nothing times NaN is NaN.
            made = like.new_zeros(rows, like.shape[1], columns, like.shape[-1])
            if used is not None:
                made[: len(used), :, before : before + old] = used
            memory.append(made)
        self._memory, self._begin = memory, 0


class RowCache(DynamicCache):
    """Keys and values of all layers, a row each for the answers that are being written."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_class_to_replicate = RowLayer

    def append(self, cache: DynamicCache) -> None:
        """The rows of another cache below these."""
        for number, layer in enumerate(cache.layers):
            if number == len(self.layers):
                self.layers.append(RowLayer())
            self.layers[number].append_rows(layer.keys, layer.values)

    def keep(self, order: Sequence[int], first: int) -> None:
        """See `RowLayer.keep_rows`."""
        for layer in self.layers:
            layer.keep_rows(order, first)
