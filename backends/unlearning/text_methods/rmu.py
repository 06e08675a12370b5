"""RMU: representation misdirection for unlearning (Li et al. 2024, arXiv 2403.03218).

    L = E_F[1/|y| sum_t ||h(t) - c u||^2] + alpha E_R[1/|y| sum_t ||h(t) - h_frozen(t)||^2]

with h the hidden states after one layer, u a random unit vector with entries from U(0, 1) that stays the same all
through a run, F the forget and R the retain rows. Squares are means over the width here.

Settings: `scale` is the paper's c, `layer` its layer l, `alpha` its alpha. The paper chooses them by model; those here,
layer 7, c 2 and alpha 1, are open-unlearning's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.settings import Setting, Settings
from backends.unlearning.text_method import Hidden, LossInputs, TextMethod


def steering(hidden: Tensor, mask: Tensor, direction: Tensor, c: float) -> Tensor:
    """The forget loss: mean over answer tokens and widths of (h - c u)^2.

    Args:
        hidden: h, shape (rows, tokens, width).
        mask: 1 where a token belongs to the answer, shape (rows, tokens).
        direction: u, shape (width,).
        c: length of the target.
    """
    return ((hidden.float() - c * direction) ** 2).mean(-1).mul(mask).sum() / mask.sum()


def staying(hidden: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """The retain loss: mean over answer tokens and widths of (h - h_frozen)^2; shapes as in `steering`."""
    return ((hidden.float() - reference.float()) ** 2).mean(-1).mul(mask).sum() / mask.sum()


def unit_direction(width: int, seed: int) -> Tensor:
    """u: entries from U(0, 1), length 1, shape (width,)."""
    drawn = torch.rand(width, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    return drawn / drawn.norm()


def layer(use: Settings) -> int:
    """The layer whose hidden states are steered."""
    return int(use["layer"])


def loss(seen: LossInputs, use: Settings) -> Tensor:
    """Steers the forget rows' hidden states to c u."""
    return steering(seen.hidden, seen.mask, seen.direction, use["scale"])


METHOD = TextMethod(
    name="RMU",
    about="Steers the hidden states of one layer to a random vector.",
    source="Li et al. 2024",
    loss=loss,
    usual={"alpha": 1.0},
    own={
        "layer": Setting(0, 1000, "Layer whose hidden states are steered, counted from 0.", 7, whole=True),
        "scale": Setting(0.0, 10_000.0, "Length of the target.", 2.0),
    },
    hidden=Hidden(layer=layer, direction=unit_direction, retain_loss=staying),
    card=Card(
        paper="Li et al. 2024, The WMDP Benchmark: Measuring and Reducing Malicious Use With Unlearning, "
        "arXiv 2403.03218",
        equation="L = E_F[1/|y| sum_t ||h(t) - c u||^2] + alpha E_R[1/|y| sum_t ||h(t) - h_frozen(t)||^2]",
        differs=(
            "RMU trains the adapter below the chosen layer, or with `rank=0` all weights below it, where the paper "
            "takes three layers' MLPs.",
            "RMU's means are over the answers' tokens of a batch; open-unlearning takes each row's mean first.",
        ),
    ),
)
