"""CE-U: cross-entropy unlearning (Yang 2025, arXiv 2503.01224).

    L = E_F[CE(sg(softmax(z with z_{y_i} = -infinity)), softmax(z))]

with z the logits of a token, y_i the true one, sg a stop of the gradient, a mean over tokens: the model aims at its own
prediction without the true token. There is no retain term unless `alpha` asks for one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_losses import soft_cross_entropy
from backends.unlearning.text_method import LossInputs, TextMethod


def ceu(logits: Tensor, targets: Tensor, mask: Tensor, *, skip_first: int = 0) -> Tensor:
    """L = mean over tokens of CE(model, softmax(logits with the target at -infinity)), the right side held fixed.

    Args:
        logits: shape (rows, tokens, vocabulary).
        targets: shape (rows, tokens).
        mask: 1 where a token belongs to the answer, shape (rows, tokens).
        skip_first: tokens at the beginning of each answer that do not count.
    """
    without = logits.detach().float().scatter(-1, targets[..., None], -torch.inf)
    counted = mask * (mask.cumsum(-1) > skip_first)
    return soft_cross_entropy(logits, torch.softmax(without, dim=-1), counted)


def loss(seen: LossInputs, use: Settings) -> Tensor:
    """The forget rows' own predictions without the true tokens."""
    return ceu(seen.logits, seen.targets, seen.mask, skip_first=int(use["skip_first"]))


METHOD = TextMethod(
    name="CEU",
    about="Distils its own prediction without the true token.",
    source="Yang 2025",
    loss=loss,
    own={
        "skip_first": Setting(
            0, 1000, "Answer tokens to skip at the start; open-unlearning: 1.", 0, whole=True
        )
    },
    card=Card(
        paper="Yang 2025, CE-U: Cross Entropy Unlearning, arXiv 2503.01224",
        equation="L = E_F[CE(sg(softmax(z with z_{y_i} = -infinity)), softmax(z))]",
        differs=("CEU counts the first answer token; open-unlearning skips it (`skip_first=1`).",),
    ),
)
