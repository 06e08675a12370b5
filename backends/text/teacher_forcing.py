"""Answers of some prompts through a model: each prompt once, its answers on from its key/value cache, by length.

Knows nothing about where models come from; `scoring.py` makes the statistics.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from backends.text.scoring import (
    TokenStatistics,
    joined,
    left_padded,
    right_padded,
    token_statistics,
    without,
)
from backends.text.tokens import EncodedAnswer

SEGMENT = 256
"""Answer positions that go through the model at once: the logits of a long text would not fit into memory."""


def score_answers(
    module: Any,
    group: Sequence[Sequence[int]],
    encoded: Sequence[EncodedAnswer],
    *,
    pad_id: int,
    unseen: frozenset[int],
    device: str,
    most_rows: int,
) -> Iterator[tuple[int, TokenStatistics]]:
    """Statistics of every answer of a group of prompts, in no certain order.

    Args:
        module: the language model.
        group: for every prompt the indices of its answers in `encoded`.
        encoded: prompts and answers.
        pad_id: any id; padding is masked.
        unseen: ids that attention skips.
        device: of the model.
        most_rows: answers that run at once; those of similar length run together.
    """
    prompts = [encoded[indices[0]].prompt_ids for indices in group]
    ids, padding, positions = left_padded(prompts, pad_id, device)
    seen = without(ids, padding, unseen)
    owner = {index: place for place, indices in enumerate(group) for index in indices}
    rows = sorted(owner, key=lambda index: (len(encoded[index].answer_ids), index))
    parts = [rows[start : start + most_rows] for start in range(0, len(rows), most_rows)]
    with torch.inference_mode():
        cache = DynamicCache()
        first = module(
            input_ids=ids,
            attention_mask=seen,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        for part in parts:
            owners = torch.tensor([owner[index] for index in part], device=device)
            own = cache if part is parts[-1] else copy.deepcopy(cache)
            own.batch_select_indices(owners)  # one row of the prompt's cache for each of its answers
            start = positions[:, -1:][owners] + 1
            answers = [encoded[index] for index in part]
            found = _go_on(module, answers, first[owners], own, seen[owners], start, pad_id, unseen)
            yield from zip(part, found, strict=True)


def _go_on(
    module: Any,
    answers: Sequence[EncodedAnswer],
    first: torch.Tensor,
    cache: DynamicCache,
    seen: torch.Tensor,
    start: torch.Tensor,
    pad_id: int,
    unseen: frozenset[int],
) -> list[TokenStatistics]:
    """Statistics of answers after prompts that are in the cache.

    Args:
        module: the language model.
        answers: one a row.
        first: logits after each prompt, shape (rows, vocabulary).
        cache: keys and values of the prompts; grows.
        seen: attention mask of the prompts, shape (rows, prompt).
        start: position of each first answer token, shape (rows, 1).
        pad_id: any id.
        unseen: ids that attention skips.
    """
    device = str(first.device)
    ids, padding = right_padded([answer.answer_ids for answer in answers], pad_id, device)
    mask = torch.cat([seen, without(ids, padding, unseen)], dim=-1)
    targets = [torch.tensor([*answer.answer_ids, *answer.end_ids], device=device) for answer in answers]
    found = [[token_statistics(first[row][None], target[:1])] for row, target in enumerate(targets)]
    for begin in range(0, ids.shape[1], SEGMENT):
        end = min(begin + SEGMENT, ids.shape[1])
        logits = module(
            input_ids=ids[:, begin:end],
            attention_mask=mask[:, : seen.shape[1] + end],
            position_ids=start + torch.arange(begin, end, device=first.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
        for row, target in enumerate(targets):
            wanted = target[begin + 1 : end + 1]
            if len(wanted):
                found[row].append(token_statistics(logits[row, : len(wanted)], wanted))
    return [joined(parts) for parts in found]
