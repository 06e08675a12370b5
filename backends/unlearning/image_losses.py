"""What several image methods are made of: a denoiser's prediction, and the ordinary losses on pictures.

e is the edited denoiser, e0 the frozen original, c a prompt with the concept to forget, '' the empty prompt. Pure
functions; what only one method has is in that method's file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from backends.unlearning.image_batches import Batch

Denoiser = Callable[..., Any]


def predict(denoiser: Denoiser, noisy: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
    """What the denoiser predicts (noise, velocity or the clean picture), shape (B, C, h, w)."""
    prediction: Tensor = denoiser(noisy, timesteps, encoder_hidden_states=states).sample
    return prediction


def forget_loss(edited: Denoiser, batch: Batch) -> Tensor:
    """The ordinary loss on pictures to forget: || e(x_t, c) - target ||^2, a mean."""
    return (predict(edited, batch.noisy, batch.timesteps, batch.states) - batch.target).square().mean()


def retain_loss(edited: Denoiser, batch: Batch) -> Tensor:
    """The ordinary loss on pictures to retain."""
    predicted = predict(edited, batch.noisy_retain, batch.timesteps_retain, batch.retain)
    return (predicted - batch.target_retain).square().mean()
