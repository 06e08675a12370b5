"""UNDIAL: self-distillation on adjusted logits (Dong et al. 2024, arXiv 2402.10052).

    L = E_F[CE(softmax(z_ref - beta onehot(y_i)), p(.|x, y_<i))]

with z_ref the logits of the frozen original, y_i the true token, a mean over tokens. There is no retain term unless
`alpha` asks for one.

Settings: `beta` is by how much the true token's logit is lowered (open-unlearning: 10).
"""

from __future__ import annotations

import torch
from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_losses import soft_cross_entropy
from backends.unlearning.text_method import LossInputs, TextMethod


def undial(logits: Tensor, targets: Tensor, mask: Tensor, reference: Tensor, beta: float) -> Tensor:
    """L = mean over tokens of CE(model, softmax(reference - beta onehot(target))).

    Args:
        logits: shape (rows, tokens, vocabulary).
        targets: shape (rows, tokens).
        mask: 1 where a token counts, shape (rows, tokens).
        reference: z_ref up to a constant a token, shape as `logits`.
        beta: by how much.
    """
    lowered = reference.float() - beta * torch.nn.functional.one_hot(targets, logits.shape[-1])
    return soft_cross_entropy(logits, torch.softmax(lowered, dim=-1), mask)


def loss(seen: LossInputs, use: Settings) -> Tensor:
    """The original's distributions without so much of the true tokens."""
    return undial(seen.logits, seen.targets, seen.mask, seen.teacher, use["beta"])


def prompt_counts(use: Settings) -> bool:
    """Whether positions of the prompt count, too."""
    return use["everywhere"] == 1


METHOD = TextMethod(
    name="UNDIAL",
    about="Self-distillation with the true token's logit lowered.",
    source="Dong et al. 2024",
    loss=loss,
    needs=("teacher",),
    own={
        "beta": Setting(1e-6, 1000.0, "By how much the true token's logit is lowered.", 10.0),
        "everywhere": Setting(
            0, 1, "1: also count the prompt's positions, as in open-unlearning.", 0, whole=True
        ),
    },
    prompt_counts=prompt_counts,
    card=Card(
        paper="Dong et al. 2024, UNDIAL: Self-Distillation with Adjusted Logits for Robust Unlearning in Large "
        "Language Models, arXiv 2402.10052",
        equation="L = E_F[CE(softmax(z_ref - beta onehot(y_i)), p(.|x, y_<i))]",
        differs=(
            "UNDIAL looks at answers only; open-unlearning takes all positions (`everywhere=1`; padding is left out "
            "even then).",
        ),
    ),
)
