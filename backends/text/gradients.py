"""How steeply an answer's loss changes with the weights: small where the model was trained on it.

Source: the gradient-norm attack of open-unlearning (mia_gradnorm, p = 2): mean over the weight tensors of the L2 norm
of the gradient of the mean negative log-likelihood; under its protocol, as there, without the last label. Dropout is
off here, where theirs has it on; tensors of an adapter do not count, the gradients are those of the weights it changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from backends.errors import ModelError
from backends.text.padding import without
from backends.text.tokens import EncodedAnswer


def weights_of(module: Any) -> list[torch.nn.Parameter]:
    """The base's weights, each once.

    Raises:
        ModelError: they are quantised and have no gradients.
    """
    # PEFT's kinds of adapters name their tensors "lora_...", "ia3_..."; trainable tokens are tensors of a layer's own.
    tuner = getattr(module, "base_model", None) if hasattr(module, "peft_config") else None
    own = (f".{getattr(tuner, 'prefix', 'lora_')}", ".lora_", ".trainable_tokens_", ".soft_prompt")
    result = [weight for name, weight in module.named_parameters() if not any(mark in name for mark in own)]
    if not all(weight.is_floating_point() for weight in result):
        raise ModelError(
            "quantised weights have no gradients",
            how="Leave its `quantization` out, or the study's `gradients`",
        )
    return result


def without_last_label(row: EncodedAnswer, where: str) -> EncodedAnswer:
    """The same without its last token, whose loss open-unlearning does not count: it takes it for the end of the turn.

    The tokens before do not see it, so it need not be run.

    Raises:
        ModelError: nothing is left.
    """
    if len(row.answer_ids) < 2:
        raise ModelError(
            "the answer has a single label, which open-unlearning's attack leaves out", where=where
        )
    return replace(row, answer_ids=row.answer_ids[:-1], pieces=row.pieces[:-1])


def gradient_norm(
    module: Any, weights: list[torch.nn.Parameter], row: EncodedAnswer, unseen: frozenset[int], device: str
) -> float:
    """Mean L2 norm of the gradients of one answer's loss; leaves nothing behind.

    Args:
        module: the language model.
        weights: what to differentiate by.
        row: prompt and answer.
        unseen: ids that attention skips.
        device: of the model.
    """
    ids = torch.tensor([row.prompt_ids + row.answer_ids], device=device)
    mask = without(ids, torch.ones_like(ids), unseen)
    count = len(row.answer_ids)
    for weight in weights:
        weight.requires_grad_(True)
    try:
        with torch.enable_grad():
            logits = module(input_ids=ids, attention_mask=mask, logits_to_keep=count + 1).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(logits.float(), ids[0, -count:])
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    finally:
        for weight in weights:
            weight.requires_grad_(False)
    norms = [gradient.float().norm() for gradient in gradients if gradient is not None]
    return float(torch.stack(norms).mean())
