"""Greedy and sampled decoding, token by token, of rows that may belong to different adapters of one base.

transformers' `generate` streams a single row and gives no per-row seeds, so the loop is here; logit filters, key/value
cache and masks are transformers' own. One CPU generator a row: the same seed draws the same noise for every model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, TemperatureLogitsWarper, TopPLogitsWarper

from backends.errors import ModelError
from backends.interfaces import Stop
from backends.study import Decoding
from backends.text.padding import left_padded_after, without
from backends.text.prompt_pass import next_token_pass, prompt_pass, shared_beginning


@dataclass(frozen=True, slots=True)
class DecodingStep:
    """Row `row` of the batch has got these tokens so far; `finish` is "" while it goes on, else "stop" or "length"."""

    row: int
    ids: list[int]
    finish: str


@dataclass(frozen=True, slots=True)
class PrefixedPrompt:
    """A prompt, what is known to be written first after it, and whether nothing comes after that."""

    prompt: list[int]
    ids: list[int]
    ended: bool = False


def decode(
    model: Any,
    asked: Sequence[PrefixedPrompt],
    seeds: Sequence[int],
    decoding: Decoding,
    *,
    end_ids: frozenset[int],
    pad_id: int,
    device: str,
    adapters: Sequence[str] | None,
    stop: Stop,
    unseen: frozenset[int] = frozenset(),
) -> Iterator[DecodingStep]:
    """Yields every row after every token; finished rows leave the batch, so that nobody waits for the longest.

    Args:
        asked: token ids of each row.
        seeds: one for each row; unused when greedy.
        adapters: PEFT adapter name of each row ("__base__" for none), or None for a model without adapters.
        stop: checked before every token; when it says True the iterator ends.
        unseen: ids of prompt tokens that attention skips; positions count the others, as in transformers' `generate`.
    """
    written = [list(each.ids[: decoding.max_new_tokens]) for each in asked]
    rows: list[int] = []
    for row, each in enumerate(asked):
        if each.ended and len(each.ids) <= decoding.max_new_tokens:
            yield DecodingStep(row, written[row], "stop")
        elif len(written[row]) >= decoding.max_new_tokens:
            yield DecodingStep(row, written[row], "length")
        else:
            rows.append(row)
    if not rows:
        return
    texts = [asked[row].prompt + written[row] for row in rows]
    names = [adapters[row] for row in rows] if adapters is not None else None
    width = max(map(len, texts)) + decoding.max_new_tokens
    begin = shared_beginning(model, texts, len(set(names)) if names is not None else 1, width)
    ids, mask, positions = left_padded_after(texts, begin, pad_id, device)
    if unseen:
        mask = without(ids, mask, unseen)
        # As `generate` of transformers: skipped tokens take no position; masked places get any valid one.
        positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 1)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    cache = DynamicCache()
    with torch.inference_mode():
        if stop():
            return
        logits = prompt_pass(model, ids, mask, positions, begin, cache, names).float()
        while True:
            if not torch.isfinite(logits.max(dim=-1).values).all():
                raise ModelError(
                    "the model's output is not finite (NaN or infinite logits), so it cannot answer",
                    how="Training may have diverged, or the checkpoint needs another dtype",
                )
            chosen = _choose(logits, decoding, [generators[row] for row in rows])
            keep: list[int] = []
            for place, row in enumerate(rows):
                token = int(chosen[place])
                ended = token in end_ids
                if not ended:
                    written[row].append(token)
                finish = "stop" if ended else "length" if len(written[row]) >= decoding.max_new_tokens else ""
                if not finish:
                    keep.append(place)
                yield DecodingStep(row, list(written[row]), finish)
            if not keep or stop():
                return
            # Finished rows leave the batch and its cache: otherwise every step would cost as much as the full batch.
            if len(keep) < len(rows):
                index = torch.tensor(keep, device=device)
                cache.batch_select_indices(index)
                mask, chosen = mask[index], chosen[index]
                rows = [rows[place] for place in keep]
                names = None if names is None else [names[place] for place in keep]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=-1)
            logits = next_token_pass(model, chosen[:, None], mask, cache, names).float()


def _choose(logits: torch.Tensor, decoding: Decoding, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Next token of each row, shape (rows,). Sampling is argmax of logits plus Gumbel noise (Gumbel-max trick)."""
    if decoding.temperature == 0:
        return logits.argmax(-1)
    unused = torch.empty(0, dtype=torch.long)
    logits = TemperatureLogitsWarper(decoding.temperature)(unused, logits)
    if decoding.top_p < 1:
        logits = TopPLogitsWarper(decoding.top_p)(unused, logits)
    # One CPU generator a row: a row's sample depends neither on the device nor on its neighbours in the batch,
    # and equal seeds give all models the same noise. Clamped, as log(0) would be infinite.
    uniform = torch.stack(
        [torch.rand(logits.shape[-1], generator=g, dtype=torch.float32) for g in generators]
    )
    noise = -torch.log(-torch.log(uniform.clamp_min(1e-20)))
    return (logits + noise.to(logits.device)).argmax(-1)
