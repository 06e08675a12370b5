"""Selective Amnesia (Heng and Soh 2023, arXiv 2305.10120).

    L = E_{q(x|c)}[L_DM(x, c)] + gamma E_R[L_DM(x, c_r)] + lambda sum_i F_i (theta_i - theta_i*)^2

with L_DM = || e(x_t, c) - target ||^2 the ordinary loss of the edited denoiser e, q(x|c) pictures of another concept
under the prompt c, R the pictures to retain, theta* the original's weights and F their Fisher information: elastic
weight consolidation (Kirkpatrick et al. 2017).

Settings: `ewc` is lambda, `alpha` is gamma.
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


def amnesia_loss(edited: Denoiser, batch: Batch) -> Tensor:
    """The forget loss: the ordinary one, a mean, on surrogate pictures under the prompt c."""
    predicted = predict(edited, batch.noisy_anchor, batch.timesteps, batch.states)
    return (predicted - batch.target_anchor).square().mean()


def consolidation(
    weights: Mapping[str, Tensor], first: Mapping[str, Tensor], fisher: Mapping[str, Tensor]
) -> Tensor:
    """The sum over weights of F (theta - theta*)^2.

    Args:
        weights: theta, by name.
        first: theta*.
        fisher: F, the mean squared gradient of the loss on retain pictures, shapes as `weights`.
    """
    terms = [(fisher[name] * (weight - first[name]).square()).sum() for name, weight in weights.items()]
    return torch.stack(terms).sum()


def loss(edited: Denoiser, _: Denoiser, batch: Batch, __: Settings) -> Tensor:
    """The forget loss; that of the pictures to retain is added by its weight `alpha`."""
    return amnesia_loss(edited, batch)


def penalty(
    weights: Mapping[str, Tensor], first: Mapping[str, Tensor], fisher: Mapping[str, Tensor], use: Settings
) -> Tensor:
    """The price of moving weights that matter elsewhere."""
    return use["ewc"] * consolidation(weights, first, fisher)


METHOD = ImageMethod(
    name="SelectiveAmnesia",
    about="Trains the concept on surrogate pictures, with elastic weight consolidation for the rest.",
    source="Heng and Soh 2023",
    loss=loss,
    trains=("transformer_blocks",),
    needs=("anchor",),
    penalty=penalty,
    usual={"alpha": 1.0},
    own={"ewc": Setting(0.0, 1e9, "Weight of the consolidation term (times the Fisher information).", 50.0)},
    card=Card(
        paper="Heng and Soh 2023, Selective Amnesia: A Continual Learning Approach to Forgetting in Deep Generative "
        "Models, arXiv 2305.10120",
        equation="L = E_{q(x|c)}[L_DM(x, c)] + gamma E_R[L_DM(x, c_r)] + lambda sum_i F_i (theta_i - theta_i*)^2",
    ),
)
