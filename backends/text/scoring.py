"""Teacher-forcing: what a model thinks of every token of a given answer, from one forward pass.

The output head runs at answer positions only, in chunks, so that a vocabulary of 256,000 does not need gigabytes.
Knows nothing about where models come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from backends.text.tokens import EncodedAnswer

ALTERNATIVES = 5


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """Per token of one row: tensors of shape (tokens,), `top_*` of shape (tokens, RIVALS); all on the CPU, float32."""

    logprobs: torch.Tensor
    ranks: torch.Tensor
    argmax_ids: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor
    entropy: torch.Tensor
    top_ids: torch.Tensor
    top_logprobs: torch.Tensor


def token_statistics(logits: torch.Tensor, targets: torch.Tensor, chunk: int = 16) -> TokenStatistics:
    """Statistics of the next-token distribution at each position.

    Args:
        logits: shape (tokens, vocabulary), any float type; computed in float32.
        targets: shape (tokens,), the ids whose log-probability is asked.
        chunk: positions at a time, bounds the memory to a few times chunk x vocabulary floats; few stay in the
            processor's cache.
    """
    # One round even without a target, so that there are columns to join.
    parts = [
        _chunk(logits[i : i + chunk][: len(targets)].float(), targets[i : i + chunk])
        for i in range(0, max(len(targets), 1), chunk)
    ]
    return TokenStatistics(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def _chunk(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, ...]:
    logprobs = torch.log_softmax(logits, dim=-1)  # (chunk, vocabulary)
    probabilities = logprobs.exp()
    chosen = logprobs.gather(1, targets[:, None])  # (chunk, 1)
    mean = (probabilities * logprobs).nan_to_num(0.0).sum(-1)  # p log p = 0 where p = 0
    square = (probabilities * logprobs.square()).nan_to_num(0.0).sum(-1)
    top = logprobs.topk(ALTERNATIVES, dim=-1)
    ranks = (logprobs > chosen).sum(-1)
    variance = (square - mean.square()).clamp_min(0.0)
    return chosen[:, 0], ranks, logprobs.argmax(-1), mean, variance, -mean, top.indices, top.values


def joined(parts: Sequence[TokenStatistics]) -> TokenStatistics:
    """Statistics of the same row, one part after another."""
    return TokenStatistics(
        *(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(TokenStatistics))
    )


def beginning_of(statistics: TokenStatistics, count: int) -> TokenStatistics:
    """Statistics of the first `count` tokens."""
    return TokenStatistics(*(getattr(statistics, field.name)[:count] for field in fields(TokenStatistics)))


def batches_by_length(lengths: Sequence[int], max_rows: int, max_tokens: int) -> list[list[int]]:
    """Indices in batches of similar length, so that little is padded: at most max_rows rows and max_tokens tokens."""
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        batch = batches[-1] if batches else None
        if batch is None or len(batch) >= max_rows or (len(batch) + 1) * lengths[index] > max_tokens:
            batches.append([index])
        else:
            batch.append(index)
    return batches


def prompt_groups(
    encoded: Sequence[EncodedAnswer], max_answers: int, max_tokens: int
) -> list[list[list[int]]]:
    """Batches of prompts of similar length, each prompt with the indices of all its answers.

    Args:
        encoded: prompts and answers; equal prompts are one prompt.
        max_answers: answers in a batch; a prompt with more than that is split.
        max_tokens: of a batch, each answer counted with its prompt, whose keys and values it holds.
    """
    answers: dict[tuple[int, ...], list[int]] = {}
    for index, row in enumerate(encoded):
        answers.setdefault(tuple(row.prompt_ids), []).append(index)
    batches: list[list[list[int]]] = []
    size = held = 0
    for prompt in sorted(answers, key=lambda ids: (len(ids), ids)):
        indices = answers[prompt]
        longest = len(prompt) + max(len(encoded[index].answer_ids) for index in indices)
        most = max(1, min(max_answers, max_tokens // longest))
        for start in range(0, len(indices), most):
            part = indices[start : start + most]
            tokens = len(part) * longest
            if not batches or size + len(part) > max_answers or held + tokens > max_tokens:
                batches.append([])
                size = held = 0
            batches[-1].append(part)
            size, held = size + len(part), held + tokens
    return batches
