"""ESD on the text encoder, under attack while it learns (after AdvUnlearn: Zhang et al. 2024, arXiv 2405.15234).

    L = E[max_{|d| <= rho} || e0(x_t, s + d) - (e0(x_t, c) - eta (e0(x_t, c) - e0(x_t, ''))) ||^2] + alpha L_r

with s the edited encoder's text states of c, d the attack, e0 the frozen denoiser, L_r the squared distance of e0's
answers under the retain prompts' states from those under the original's. d is found by signed gradient steps that bring
e0(x_t, s + d) near e0(x_t, c).

Settings: `eta` as in ESD, `radius` is rho, `pushes` the steps of the attack (AdvUnlearn: 30, on tokens).
"""

from __future__ import annotations

import torch
from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.image_batches import Batch
from backends.unlearning.image_losses import Denoiser, predict
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.image_methods import esd
from backends.unlearning.settings import Setting, Settings


def adversarial_loss(original: Denoiser, batch: Batch, eta: float, radius: float, pushes: int) -> Tensor:
    """|| e0(x_t, s + d) - esd_target ||^2, a mean.

    Args:
        original: e0.
        batch: `states` from the encoder that is trained, `first` from the original's.
        eta: of `esd.esd_target`.
        radius: most that the attack changes an entry of s; 0 is ESD on the text encoder.
        pushes: steps of the attack.
    """
    with torch.no_grad():
        shown = predict(original, batch.noisy, batch.timesteps, batch.first)
        empty = predict(original, batch.noisy, batch.timesteps, batch.empty)
        target = esd.esd_target(shown, empty, eta)
    states = batch.states.detach()
    change = torch.zeros_like(states)
    for _ in range(pushes if radius > 0 else 0):
        change.requires_grad_(True)
        attack = (predict(original, batch.noisy, batch.timesteps, states + change) - shown).square().mean()
        (gradient,) = torch.autograd.grad(attack, change)
        change = (change.detach() - 2 * radius / pushes * gradient.sign()).clamp(-radius, radius)
    predicted = predict(original, batch.noisy, batch.timesteps, batch.states + change.detach())
    return (predicted - target).square().mean()


def loss(_: Denoiser, original: Denoiser, batch: Batch, use: Settings) -> Tensor:
    """The loss of the text encoder; L_r is added by its weight `alpha`."""
    return adversarial_loss(original, batch, use["eta"], use["radius"], int(use["pushes"]))


METHOD = ImageMethod(
    name="AdvText",
    about="ESD on the text encoder with adversarial training (AdvUnlearn-like).",
    source="Zhang et al. 2024",
    loss=loss,
    component="text_encoder",
    usual={"alpha": 1.0},
    own={
        **esd.METHOD.own,
        "radius": Setting(0.0, 10.0, "Attack radius in a text state; 0: no attack.", 0.1),
        "pushes": Setting(1, 100, "Steps of the attack.", 3, whole=True),
    },
    card=Card(
        paper="Zhang et al. 2024, Defensive Unlearning with Adversarial Training for Robust Concept Erasure in "
        "Diffusion Models, arXiv 2405.15234",
        equation="L = E[max_{|d| <= rho} || e0(x_t, s + d) - (e0(x_t, c) - eta (e0(x_t, c) - e0(x_t, ''))) ||^2] "
        "+ alpha L_r",
        differs=("AdvText attacks text states, AdvUnlearn tokens before the prompt.",),
    ),
)
