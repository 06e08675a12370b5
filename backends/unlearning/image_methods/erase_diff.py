"""EraseDiff (Wu et al. 2024, arXiv 2401.05779): forgetting as far as the pictures to retain allow.

    min_theta L_r(theta) subject to f(theta) - min_phi f(phi) <= 0, f(theta) = E[|| e(x_t, c) - u ||^2]

with e the edited denoiser, u noise from U(0, 1), L_r the ordinary loss on pictures to retain. The bi-level problem is
followed by its first-order direction (BOME, Ye et al. 2022, arXiv 2209.08709, with phi = eta |g_f|^2):

    g = g_r + max(0, eta - <g_r, g_f> / |g_f|^2) g_f

The optimum of the lower level enters that only as a constant, so no inner steps are taken.

Settings: `push` is eta.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.image_batches import Batch
from backends.unlearning.image_losses import Denoiser, predict
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.settings import Setting, Settings


def erase_diff_loss(edited: Denoiser, batch: Batch) -> Tensor:
    """f: || e(x_t, c) - u ||^2, a mean, with x_t a noised picture of c."""
    predicted = predict(edited, batch.noisy, batch.timesteps, batch.states)
    return (predicted - batch.uniform).square().mean()


def erase_diff_weight(forget: Mapping[str, Tensor], retain: Mapping[str, Tensor], eta: float) -> float:
    """max(0, eta - <g_r, g_f> / |g_f|^2): makes progress on forgetting whatever the retain gradient wants.

    Args:
        forget: g_f, by each weight's name.
        retain: g_r, the same shapes.
        eta: how firmly the forgetting gradient is followed.
    """
    product = sum(float((forget[name] * retain[name]).sum()) for name in forget)
    length = sum(float(forget[name].square().sum()) for name in forget)
    return max(0.0, eta - product / length) if length > 0 else 0.0


def loss(edited: Denoiser, _: Denoiser, batch: Batch, __: Settings) -> Tensor:
    """The loss f of the pictures to forget."""
    return erase_diff_loss(edited, batch)


def balance(forget: Mapping[str, Tensor], retain: Mapping[str, Tensor], use: Settings) -> float:
    """The weight of f's gradient at a step."""
    return erase_diff_weight(forget, retain, use["push"])


METHOD = ImageMethod(
    name="EraseDiff",
    about="Trains the concept to noise, constrained by the retain loss (bi-level).",
    source="Wu et al. 2024",
    loss=loss,
    trains=("transformer_blocks",),
    needs=("uniform",),
    balance=balance,
    usual={"alpha": 1.0},
    own={"push": Setting(0.0, 100.0, "Strength of the forgetting gradient.", 0.1)},
    card=Card(
        paper="Wu et al. 2024, EraseDiff: Erasing Data Influence in Diffusion Models, arXiv 2401.05779",
        equation="min_theta L_r(theta) subject to f(theta) - min_phi f(phi) <= 0, f(theta) = E[|| e(x_t, c) - u ||^2]",
        differs=(
            "EraseDiff follows the first-order direction of its bi-level problem and takes no inner steps.",
        ),
    ),
)
