"""Erased Stable Diffusion (Gandikota et al. 2023, arXiv 2303.07345, eq. 5), as the authors' code has it.

    L = E[|| e(x_t, c) - (e0(x_t, c) - eta (e0(x_t, c) - e0(x_t, ''))) ||^2]

with e the edited denoiser, e0 the frozen original, c a prompt with the concept to forget, '' the empty prompt. Three
variants train different weights: ESD-x all cross-attention, ESD-u all else, ESD-x-strict keys and values alone. What e
predicts (noise, velocity or the clean picture) does not matter, since the target is linear in it.

Settings: `eta` is the authors' code's (2 there, which is the paper's negative guidance 1): 1 takes the concept to the
empty prompt, more goes past it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.image_batches import Batch
from backends.unlearning.image_losses import Denoiser, predict
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.settings import Setting, Settings


def esd_target(conditional: Tensor, empty: Tensor, eta: float) -> Tensor:
    """e0(x_t, c) - eta (e0(x_t, c) - e0(x_t, '')): away from the concept, and past the empty prompt where eta > 1.

    Args:
        conditional: e0(x_t, c), shape (B, C, h, w).
        empty: e0(x_t, ''), the same shape.
        eta: how far.
    """
    return conditional - eta * (conditional - empty)


def esd_loss(edited: Denoiser, original: Denoiser, batch: Batch, eta: float) -> Tensor:
    """|| e(x_t, c) - esd_target ||^2, a mean, with x_t a noised picture of the concept."""
    with torch.no_grad():
        conditional = predict(original, batch.noisy, batch.timesteps, batch.states)
        empty = predict(original, batch.noisy, batch.timesteps, batch.empty)
        target = esd_target(conditional, empty, eta)
    return (predict(edited, batch.noisy, batch.timesteps, batch.states) - target).square().mean()


def loss(edited: Denoiser, original: Denoiser, batch: Batch, use: Settings) -> Tensor:
    """The loss of all three variants."""
    return esd_loss(edited, original, batch, use["eta"])


METHOD = ImageMethod(
    name="ESD",
    about="Fine-tunes cross-attention away from the concept (ESD-x).",
    source="Gandikota et al. 2023",
    loss=loss,
    trains=("attn2",),
    own={
        "eta": Setting(
            0.0,
            100.0,
            "Negative guidance: how far past the empty prompt the concept is pushed; 1: to the empty prompt.",
            2.0,
        )
    },
    card=Card(
        paper="Gandikota et al. 2023, Erasing Concepts from Diffusion Models, arXiv 2303.07345, eq. 5",
        equation="L = E[|| e(x_t, c) - (e0(x_t, c) - eta (e0(x_t, c) - e0(x_t, ''))) ||^2]",
        differs=(
            "ESD noises pictures of the concept, where the paper draws x_t with the edited model part of the way.",
        ),
    ),
)

ESD_U = replace(
    METHOD,
    name="ESDu",
    about="The same on everything but cross-attention (ESD-u).",
    trains=("",),
    spares="attn2",
    usual={"lr": 1e-4},
)

ESD_STRICT = replace(
    METHOD,
    name="ESDstrict",
    about="The same on keys and values of cross-attention alone (ESD-x-strict).",
    trains=("attn2.to_k", "attn2.to_v"),
)
