"""The field's way of evaluating, written slowly and apart from the product: what it is held against.

As open-unlearning does it: prompt and answer as one text with one more end token, padded on the right in the order of
the file, mask = ids != pad with pad = end token, logits over the whole vocabulary at every position, a pass of its own
for every metric.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

IGNORE = -100
SYSTEM = "You are a helpful assistant."
DATE = "10 Apr 2025"


@dataclass(frozen=True, slots=True)
class Row:
    """One question with one answer: ids of the whole, how many of them are the prompt."""

    ids: list[int]
    prompt: int

    @property
    def labels(self) -> list[int]:
        return [IGNORE] * self.prompt + self.ids[self.prompt :]


def rows_of(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[Row]:
    """Questions and answers as `preprocess_chat_instance` makes them."""
    rows = []
    for question, answer in pairs:
        if tokenizer.chat_template:
            turns = [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
            whole = tokenizer.apply_chat_template(turns, date_string=DATE)["input_ids"]
            prompt = tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, date_string=DATE)[
                "input_ids"
            ]
        else:
            wrapped = f"Question: {question}\nAnswer: "
            whole = tokenizer(wrapped + answer, max_length=512, truncation=True)["input_ids"]
            prompt = tokenizer(wrapped, max_length=512, truncation=True)["input_ids"]
        if whole[-1] != tokenizer.eos_token_id:
            whole = [*whole, tokenizer.eos_token_id]
        rows.append(Row(list(whole), len(prompt)))
    return rows


def vocabulary_logprobs(model: Any, rows: Sequence[Row], pad: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Of one padded batch: for each row the log-probabilities at its labels, shape (N, V), and the labels."""
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [pad] * (width - len(row.ids)) for row in rows])
    labels = torch.tensor([row.labels + [IGNORE] * (width - len(row.ids)) for row in rows])
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=(ids != pad).long()).logits
    logprobs = logits.log_softmax(-1)[:, :-1]
    return [
        (logprobs[i][labels[i, 1:] != IGNORE], labels[i, 1:][labels[i, 1:] != IGNORE])
        for i in range(len(rows))
    ]


def batches(rows: Sequence[Row], size: int = 32) -> list[Sequence[Row]]:
    """In the order of the file."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def loss(logprobs: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean negative log-likelihood over all labels."""
    return float(-logprobs.gather(1, labels[:, None]).mean())


def exact_memorization(logprobs: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of first choices that are the label, the last label left out."""
    return float((logprobs.argmax(-1)[:-1] == labels[:-1]).float().mean()) if len(labels) > 1 else math.nan


def extraction_strength(logprobs: torch.Tensor, labels: torch.Tensor) -> float:
    """1 - k / N with the loop that ends at N - 1."""
    first, wanted = logprobs.argmax(-1)[:-1], labels[:-1]
    n = len(wanted)
    if not n:
        return 0.0
    return 1 - next((k for k in range(n) if torch.equal(first[k:], wanted[k:])), n - 1) / n


def min_k(logprobs: torch.Tensor, labels: torch.Tensor) -> float:
    """Minus the mean of the lowest 40 %, the last label left out."""
    chosen = logprobs.gather(1, labels[:, None])[:-1, 0].numpy()
    return -float(np.mean(sorted(chosen)[: max(1, int(0.4 * len(chosen)))])) if len(chosen) else 0.0


def min_k_plus_plus(logprobs: torch.Tensor, labels: torch.Tensor) -> float:
    """The same, standardised."""
    if len(labels) < 2:
        return 0.0
    every = logprobs[:-1]
    mean = (every.exp() * every).sum(-1)
    variance = ((every.exp() * every.square()).sum(-1) - mean.square()).clamp_min(1e-6)
    chosen = every.gather(1, labels[:-1, None])[:, 0]
    z = ((chosen - mean) / variance.sqrt()).numpy()
    return -float(np.mean(sorted(z)[: max(1, int(0.4 * len(z)))]))


def zlib_score(logprobs: torch.Tensor, labels: torch.Tensor, text: str) -> float:
    """Loss over the bytes of the compressed labels as text."""
    return loss(logprobs, labels) / len(zlib.compress(text.encode()))


def generate(model: Any, tokenizer: Any, rows: Sequence[Row], most: int) -> list[str]:
    """Greedy answers to one left-padded batch."""
    pad = tokenizer.eos_token_id
    prompts = [row.ids[: row.prompt] for row in rows]
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
    output = model.generate(
        input_ids=ids,
        attention_mask=(ids != pad).long(),
        max_new_tokens=most,
        do_sample=False,
        pad_token_id=pad,
    )
    texts = tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
    return [str(text).strip() for text in texts]
