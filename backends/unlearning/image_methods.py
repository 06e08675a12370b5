"""Unlearning methods for diffusion models: their losses, each beside its paper's equation.

e is the edited denoiser, e0 the frozen original, c a prompt with the concept to forget, '' the empty prompt. What e
predicts (noise, velocity or the clean picture) does not matter to the first two, which are linear in it. Pure
functions; the loop around them is in `image_training.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Denoiser = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Noised pictures with their prompts, B to forget and B to retain.

    Attributes:
        noisy, noisy_retain: x_t, shape (B, C, h, w).
        timesteps, timesteps_retain: shape (B,).
        states: text states of c, shape (B, T, D).
        relabelled: of the same prompts with another concept in place of the forgotten one.
        empty: of ''.
        retain: of the prompts of the pictures to retain.
        target, target_retain: what a perfect denoiser predicts, shape (B, C, h, w).
    """

    noisy: Tensor
    timesteps: Tensor
    states: Tensor
    relabelled: Tensor
    empty: Tensor
    target: Tensor
    noisy_retain: Tensor
    timesteps_retain: Tensor
    retain: Tensor
    target_retain: Tensor


Loss = Callable[[Denoiser, Denoiser, Batch], Tensor]


def predict(denoiser: Denoiser, noisy: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
    """What the denoiser predicts, shape (B, C, h, w)."""
    prediction: Tensor = denoiser(noisy, timesteps, encoder_hidden_states=states).sample
    return prediction


def esd_target(conditional: Tensor, empty: Tensor, eta: float) -> Tensor:
    """e0(x_t, c) - eta (e0(x_t, c) - e0(x_t, '')): away from the concept, and past the empty prompt where eta > 1.

    Gandikota et al. 2023, eq. 5, as the authors' repository has it (eta = 2 there is the paper's negative guidance 1).
    """
    return conditional - eta * (conditional - empty)


def esd_loss(edited: Denoiser, original: Denoiser, batch: Batch, eta: float = 1.5) -> Tensor:
    """Erased Stable Diffusion: || e(x_t, c) - esd_target ||^2.

    Deviation: x_t is a noised picture of the concept, not a partial sample of e.
    """
    with torch.no_grad():
        conditional = predict(original, batch.noisy, batch.timesteps, batch.states)
        empty = predict(original, batch.noisy, batch.timesteps, batch.empty)
        target = esd_target(conditional, empty, eta)
    return (predict(edited, batch.noisy, batch.timesteps, batch.states) - target).square().mean()


def salun_loss(edited: Denoiser, original: Denoiser, batch: Batch, alpha: float = 1.0) -> Tensor:
    """Saliency unlearning: || e(x_t, c) - e0(x_t, c') ||^2 + alpha || e(x_t, c_retain) - target ||^2.

    Fan et al. 2024, eq. 6, with c' the same prompt under another concept ("random label"); the gradient is masked by
    `saliency_mask`. Deviation: c' is asked of the frozen original, so that the target does not drift.
    """
    with torch.no_grad():
        target = predict(original, batch.noisy, batch.timesteps, batch.relabelled)
    forget = (predict(edited, batch.noisy, batch.timesteps, batch.states) - target).square().mean()
    return forget + alpha * _retain_loss(edited, batch)


def gradient_ascent_loss(edited: Denoiser, original: Denoiser, batch: Batch) -> Tensor:
    """- || e(x_t, c) - target ||^2: unbounded below, so that it ends in collapse. Thudi et al. 2022."""
    return -(predict(edited, batch.noisy, batch.timesteps, batch.states) - batch.target).square().mean()


def saliency_mask(gradients: Mapping[str, Tensor], share: float = 0.5) -> dict[str, Tensor]:
    """1 for the `share` of all weights with the largest |gradient| of the forgetting loss, else 0.

    Fan et al. 2024, eq. 3: one threshold over all tensors, the median at share 0.5.
    """
    magnitudes = torch.cat([gradient.abs().flatten() for gradient in gradients.values()])
    kept = max(1, int(share * len(magnitudes)))
    threshold = magnitudes.topk(kept).values[-1]
    return {name: (gradient.abs() >= threshold).to(gradient) for name, gradient in gradients.items()}


def _retain_loss(edited: Denoiser, batch: Batch) -> Tensor:
    predicted = predict(edited, batch.noisy_retain, batch.timesteps_retain, batch.retain)
    return (predicted - batch.target_retain).square().mean()


@dataclass(frozen=True, slots=True)
class Method:
    """How a method is run.

    Attributes:
        loss: what is minimised.
        trains: part of the names of the weights that are trained; "" for all.
        rate: Adam's learning rate.
        checkpoints: steps after which weights are kept.
        masked: whether the saliency mask of the forgetting gradient is applied.
    """

    loss: Loss
    trains: str
    rate: float
    checkpoints: tuple[int, ...]
    masked: bool = False


# "transformer_blocks" leaves out the group norm before them: torch 2.13 crashes on a CPU in the backward pass of a
# group norm whose weight is trained and whose input is not.
METHODS: Mapping[str, Method] = {
    "ESD": Method(esd_loss, "attn2", 4e-4, (5, 10, 20, 40, 80)),
    "SalUn": Method(salun_loss, "transformer_blocks", 4e-4, (5, 10, 20, 40, 80, 160), masked=True),
    "GradAscent": Method(gradient_ascent_loss, "transformer_blocks", 3e-4, (5, 10, 20, 30, 50)),
}
