"""A model and the original as one language model, whose logits are made of those of both.

Both see every token; their keys and values lie in one cache, the layers of one after those of the other. Knows nothing
of how answers are written or scored.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from backends.errors import CheckpointError
from backends.text.decoder_layers import decoder_layers

CANDIDATES = 5.0
"""Nats below the original's best token within which a token may be chosen under contrast (arXiv 2505.24379)."""
IMPOSSIBLE = 100.0
"""Nats below the best candidate at which every other token lies: as good as never, and still a number."""


def contrasted(after: Tensor, before: Tensor, w: float) -> Tensor:
    """(1 - w) log p_unlearned + w log p_original, of tokens near enough to the original's best.

    Source: reversed model guidance of arXiv 2505.24379 (w = 2 there). There other tokens have probability 0; here
    exp(-100) of the best one's, so that every answer has a finite score. w = 0 is the unlearned model, unrestricted.

    Args:
        after: logits of the unlearned model, shape (..., vocabulary).
        before: of the original, the same shape.
        w: weight of the original.

    Returns:
        Logits, float32.
    """
    if w == 0:
        return after
    unlearned, original = (logits.float().log_softmax(-1) for logits in (after, before))
    mixed = (1 - w) * unlearned + w * original
    others = original < original.amax(-1, keepdim=True) - CANDIDATES
    best = mixed.masked_fill(others, -torch.inf).amax(-1, keepdim=True)
    return torch.where(others, best - IMPOSSIBLE, mixed)


def amplified(after: Tensor, before: Tensor, a: float) -> Tensor:
    """After + a (after - before): what training changed, a times more; a = -1 is the model before.

    Args:
        after: logits of the unlearned model, shape (..., vocabulary).
        before: of the original, the same shape.
        a: how much more.

    Returns:
        Logits, float32; those of `after` as they are for a = 0.
    """
    if a == 0:
        return after
    return after.float() + a * (after.float() - before.float())


class TwoModels(nn.Module):
    """Behaves as one causal language model of transformers.

    Args:
        after: the unlearned model; its settings count.
        before: the original.
        combine: logits of both, (..., vocabulary) each, to those of the whole.
        where: name of the model, for messages.
    """

    def __init__(
        self, after: Any, before: Any, combine: Callable[[Tensor, Tensor], Tensor], where: str
    ) -> None:
        super().__init__()
        sizes = [module.get_output_embeddings().weight.shape[0] for module in (after, before)]
        if sizes[0] != sizes[1]:
            raise CheckpointError(
                f"its vocabulary has {sizes[0]:,} tokens and the original's {sizes[1]:,}, so their logits cannot be "
                "set against each other",
                where=where,
            )
        self.after = after
        self.before = before
        self.config = after.config
        self.generation_config = after.generation_config
        self._combine = combine
        self._depth = len(decoder_layers(after, where)[1])

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
    ) -> CausalLMOutputWithPast:
        """As a causal language model of transformers."""
        caches = [None, None] if past_key_values is None else _apart(past_key_values, self._depth)
        logits = [
            model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=cache,
                use_cache=use_cache,
                logits_to_keep=logits_to_keep,
            ).logits
            for model, cache in zip((self.after, self.before), caches, strict=True)
        ]
        if past_key_values is not None:
            past_key_values.layers[:] = [
                layer for cache in caches if cache is not None for layer in cache.layers
            ]
        return CausalLMOutputWithPast(logits=self._combine(*logits), past_key_values=past_key_values)

    def get_input_embeddings(self) -> Any:
        """The unlearned model's."""
        return self.after.get_input_embeddings()

    def get_output_embeddings(self) -> Any:
        """The unlearned model's."""
        return self.after.get_output_embeddings()


def _apart(cache: DynamicCache, depth: int) -> list[DynamicCache | None]:
    """The layers of each model as a cache of its own; both grow the layers of the whole."""
    parts: list[DynamicCache | None] = []
    for layers in (cache.layers[:depth], cache.layers[depth:]):
        part = copy.copy(cache)
        part.layers = layers
        parts.append(part)
    return parts
