"""Concept Ablation, model-based (Kumari et al. 2023, arXiv 2303.13516).

    L = E[|| e(x_t, c) - sg(e(x_t, c*)) ||^2]

with e the edited denoiser, c a prompt with the concept to forget, c* the same under an anchor concept, x_t a noised
picture of c*, sg a stop of the gradient: the target is the edited model's own.

Settings: `alpha` is the weight of the pictures to retain, the paper's regularisation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.image_batches import Batch
from backends.unlearning.image_losses import Denoiser, predict
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.settings import Settings


def concept_ablation_loss(edited: Denoiser, batch: Batch) -> Tensor:
    """|| e(x_t, c) - sg e(x_t, c*) ||^2, a mean."""
    with torch.no_grad():
        target = predict(edited, batch.noisy_anchor, batch.timesteps, batch.relabelled)
    return (predict(edited, batch.noisy_anchor, batch.timesteps, batch.states) - target).square().mean()


def loss(edited: Denoiser, _: Denoiser, batch: Batch, __: Settings) -> Tensor:
    """The prompts to forget are taken for the anchor's."""
    return concept_ablation_loss(edited, batch)


METHOD = ImageMethod(
    name="ConceptAblation",
    about="Maps the concept's prompt to another concept's prediction.",
    source="Kumari et al. 2023",
    loss=loss,
    trains=("attn2",),
    needs=("anchor",),
    usual={"alpha": 1.0},
    card=Card(
        paper="Kumari et al. 2023, Ablating Concepts in Text-to-Image Diffusion Models, arXiv 2303.13516",
        equation="L = E[|| e(x_t, c) - sg(e(x_t, c*)) ||^2]",
        differs=(
            "ConceptAblation trains all of cross-attention, where the paper's code trains keys and values.",
        ),
    ),
)
