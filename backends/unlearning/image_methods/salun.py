"""Saliency unlearning (Fan et al. 2024, arXiv 2310.12508, eq. 3 and 6).

    L = E[|| e(x_t, c) - e0(x_t, c') ||^2] + alpha E_R[|| e(x_t, c_r) - target ||^2]

with e the edited denoiser, e0 the frozen original, x_t a noised picture of c, c' the same prompt under another concept
("random label"), R the pictures to retain. Only the weights move whose gradient of the ordinary loss on forget pictures
is among the largest.

Settings: `share` is that of the weights that move (the paper: one half); `alpha` is the paper's, 1 here (0.5 in the
authors' code for Stable Diffusion).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.image_batches import Batch
from backends.unlearning.image_losses import Denoiser, predict
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.settings import Setting, Settings


def relabelling_loss(edited: Denoiser, original: Denoiser, batch: Batch) -> Tensor:
    """The forget loss: || e(x_t, c) - e0(x_t, c') ||^2, a mean."""
    with torch.no_grad():
        target = predict(original, batch.noisy, batch.timesteps, batch.relabelled)
    return (predict(edited, batch.noisy, batch.timesteps, batch.states) - target).square().mean()


def saliency_mask(gradients: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """1 for the `share` of all weights with the largest |gradient|, else 0; eq. 3, the median at share 0.5.

    Args:
        gradients: of the ordinary loss on forget pictures, by each weight's name; one threshold holds for all.
        share: of the weights.
    """
    magnitudes = torch.cat([gradient.abs().flatten() for gradient in gradients.values()])
    kept = max(1, int(share * len(magnitudes)))
    threshold = magnitudes.topk(kept).values[-1]
    return {name: (gradient.abs() >= threshold).to(gradient) for name, gradient in gradients.items()}


def loss(edited: Denoiser, original: Denoiser, batch: Batch, _: Settings) -> Tensor:
    """The forget loss; that of the pictures to retain is added by its weight `alpha`."""
    return relabelling_loss(edited, original, batch)


def mask(gradients: Mapping[str, Tensor], use: Settings) -> dict[str, Tensor]:
    """Which weights move."""
    return saliency_mask(gradients, use["share"])


METHOD = ImageMethod(
    name="SalUn",
    about="Relabels the concept, in its most salient weights.",
    source="Fan et al. 2024",
    loss=loss,
    trains=("transformer_blocks",),
    mask=mask,
    usual={"alpha": 1.0},
    own={"share": Setting(0.01, 1.0, "Share of the weights that are trained.", 0.5)},
    card=Card(
        paper="Fan et al. 2024, SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency in Both Image "
        "Classification and Generation, arXiv 2310.12508, eq. 3 and 6",
        equation="L = E[|| e(x_t, c) - e0(x_t, c') ||^2] + alpha E_R[|| e(x_t, c_r) - target ||^2]",
        differs=("SalUn asks the frozen original for the other label, so that its target does not drift.",),
    ),
)
