"""The direction in which unlearning moved what a layer says of forget prompts, and a model without it.

d_l = mean over prompts of h_unlearned - h_original, at the last token of the prompt (after the chat template, where the
answer's first token is predicted) and after layer l. Where unlearning adds one direction to hidden states, as RMU does
(Li et al. 2024), taking it away brings knowledge back; refusals likewise (Arditi et al. 2024, "Refusal in language
models is mediated by a single direction", directional ablation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from backends.text.decoder_layers import decoder_layers
from backends.text.padding import left_padded
from backends.text.scoring import batches_by_length

ROWS, TOKENS = 32, 4096
"""Prompts and tokens that go through the model at once."""


def mean_state(module: Any, prompts: Sequence[list[int]], layer: int, pad_id: int) -> Tensor:
    """Mean over prompts of what a layer says at their last token, float64, shape (width,).

    Args:
        module: a language model.
        prompts: token ids.
        layer: from 1.
        pad_id: any id; padding is masked.
    """
    part = decoder_layers(module)[1][layer - 1]
    device = str(next(module.parameters()).device)
    total: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        states = output[0] if isinstance(output, tuple) else output
        total.append(states[:, -1].double().sum(0))

    hook = part.register_forward_hook(keep)
    try:
        with torch.inference_mode():
            for batch in batches_by_length([len(ids) for ids in prompts], ROWS, TOKENS):
                ids, mask, positions = left_padded([list(prompts[i]) for i in batch], pad_id, device)
                module(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=positions,
                    use_cache=False,
                    logits_to_keep=1,
                )
    finally:
        hook.remove()
    return torch.stack(total).sum(0) / len(prompts)


def project_out(module: Any, direction: Tensor, layer: int) -> None:
    """Takes a direction out of what every layer from this one on says: h - (h d) d, with |d| = 1; in place.

    Args:
        module: a language model.
        direction: shape (width,), not 0.
        layer: from 1.
    """
    unit = direction / direction.norm()

    def without(_: nn.Module, __: Any, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        d = unit.to(states)
        states = states - (states @ d)[..., None] * d
        return (states, *output[1:]) if isinstance(output, tuple) else states

    for part in decoder_layers(module)[1][layer - 1 :]:
        part.register_forward_hook(without)
