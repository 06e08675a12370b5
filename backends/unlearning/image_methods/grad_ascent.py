"""Gradient ascent (Thudi et al. 2022, arXiv 2109.13398): the training loss with its sign turned.

    L = -E[|| e(x_t, c) - target ||^2]

with e the edited denoiser, x_t a noised picture of the concept, target what a perfect denoiser predicts. It is
unbounded below, so that it ends in collapse.
"""

from __future__ import annotations

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.image_batches import Batch
from backends.unlearning.image_losses import Denoiser, forget_loss
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.settings import Settings


def loss(edited: Denoiser, _: Denoiser, batch: Batch, __: Settings) -> Tensor:
    """The ordinary loss on pictures to forget, its sign turned."""
    return -forget_loss(edited, batch)


METHOD = ImageMethod(
    name="GradAscent",
    about="Makes pictures of the concept unlikely, without bound: it collapses.",
    source="Thudi et al. 2022",
    loss=loss,
    trains=("transformer_blocks",),
    usual={"lr": 3e-4},
    card=Card(
        paper="Thudi et al. 2022, Unrolling SGD: Understanding Factors Influencing Machine Unlearning, "
        "arXiv 2109.13398",
        equation="L = -E[|| e(x_t, c) - target ||^2]",
    ),
)
