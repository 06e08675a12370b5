"""Prompts through a model into a key/value cache; what all of them begin with alike goes through once.

A chat template puts the same system text before every prompt, often longer than the question itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from backends.text.padding import common_beginning

WORTH_SHARING = 8
"""Tokens that prompts must begin with alike before these are a pass of their own."""
_WINDOWS = ("sliding_window", "attention_chunk_size", "window_size")


def counts_by_position(module: Any, width: int) -> bool:
    """Whether masked places between the tokens of a row leave what the model says as it is.

    Not so where distance is the place in the row: in windows of attention shorter than the row, and in models that are
    not told positions.

    Args:
        module: the language model, with or without adapters.
        width: of the row, masked places counted.
    """
    plain = module.get_base_model() if hasattr(module, "get_base_model") else module
    if "position_ids" not in inspect.signature(plain.forward).parameters:
        return False
    config = plain.config.get_text_config()
    windows = [getattr(config, name, None) for name in _WINDOWS]
    return all(not isinstance(window, int) or window >= width for window in windows)


def shared_beginning(module: Any, rows: Sequence[list[int]], runs: int, width: int) -> int:
    """How many ids of the rows are to go through once: 0 where that gains nothing or is not safe.

    Args:
        module: the language model.
        rows: token ids of the prompts.
        runs: how often the beginning runs: once for each adapter.
        width: of the longest row that will be in the cache.
    """
    if len(rows) <= runs:
        return 0
    begin = common_beginning(rows)
    return begin if begin >= WORTH_SHARING and counts_by_position(module, width) else 0


def prompt_pass(
    module: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    begin: int,
    cache: DynamicCache,
    adapters: Sequence[str] | None = None,
    kept: int = 1,
) -> torch.Tensor:
    """What the model expects after each prompt: logits of shape (rows, kept, vocabulary); fills the cache, a row each.

    Args:
        module: the language model.
        ids: shape (rows, longest), the end of every row at the right edge.
        mask: attention mask, shape as `ids`.
        positions: shape as `ids`.
        begin: columns in which all rows are equal, see `shared_beginning`.
        cache: empty.
        adapters: PEFT adapter name of each row, or None.
        kept: last columns after each of which the expectation is asked for; they are not among the first `begin`.
    """
    if begin:
        each = list(adapters) if adapters is not None else [""] * len(ids)
        runs = list(
            dict.fromkeys(each)
        )  # all rows begin alike, so one of them stands for those of its adapter
        names = runs if adapters is not None else None
        first, seen, places = (part[:1, :begin].expand(len(runs), -1) for part in (ids, mask, positions))
        _run(module, first, seen, places, cache, names)
        cache.batch_select_indices(torch.tensor([runs.index(name) for name in each], device=ids.device))
    return _run(module, ids[:, begin:], mask, positions[:, begin:], cache, adapters, kept)


def next_token_pass(
    module: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    cache: DynamicCache,
    adapters: Sequence[str] | None = None,
) -> torch.Tensor:
    """One more token of each row, ids of shape (rows, 1) and the mask with it: logits (rows, vocabulary)."""
    return _run(module, ids, mask, mask.sum(-1, keepdim=True) - 1, cache, adapters)[:, -1]


def _run(
    module: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    cache: DynamicCache,
    adapters: Sequence[str] | None,
    kept: int = 1,
) -> torch.Tensor:
    named = {} if adapters is None else {"adapter_names": list(adapters)}
    output = module(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=kept,
        **named,
    )
    logits: torch.Tensor = output.logits
    return logits
