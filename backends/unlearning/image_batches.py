"""What an image method sees: pictures with the text states of their prompts, noised and drawn in batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

EMPTY = torch.empty(0)


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
        noisy_anchor, target_anchor: the same of pictures of the other concept, at `timesteps`; empty where no loss
            looks at them.
        uniform: noise from U(0, 1), shape (B, C, h, w); empty where no loss looks at it.
        first, first_retain: `states` and `retain` of the original's text encoder, where the encoder is trained; empty
            elsewhere.
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
    noisy_anchor: Tensor = EMPTY
    target_anchor: Tensor = EMPTY
    uniform: Tensor = EMPTY
    first: Tensor = EMPTY
    first_retain: Tensor = EMPTY


@dataclass(frozen=True, slots=True)
class Concepts:
    """Pictures and the text states of their prompts: N to forget, M to retain.

    Attributes:
        forget: latents, shape (N, C, h, w).
        states: of the forget prompts, shape (N, T, D).
        relabelled: of the same prompts under another concept, shape (N, T, D).
        empty: of the empty prompt, shape (1, T, D).
        retain: latents, shape (M, C, h, w).
        retain_states: shape (M, T, D).
        anchor: latents of pictures of the relabelled prompts, shape (N, C, h, w); empty where no method looks at them.
        tokens, retain_tokens: token ids of the prompts, shapes (N, T) and (M, T), where the text encoder is trained.
    """

    forget: Tensor
    states: Tensor
    relabelled: Tensor
    empty: Tensor
    retain: Tensor
    retain_states: Tensor
    anchor: Tensor = EMPTY
    tokens: Tensor = EMPTY
    retain_tokens: Tensor = EMPTY

    def batch(
        self, size: int, scheduler: Any, generator: torch.Generator, *, uniform: bool = False
    ) -> tuple[Batch, Tensor, Tensor]:
        """`size` pictures of each kind, noised to random timesteps; and which they are."""
        rows = torch.randint(len(self.forget), (size,), generator=generator)
        kept = torch.randint(len(self.retain), (size,), generator=generator)
        noisy, timesteps, target = noised(self.forget[rows], scheduler, generator)
        noisy_retain, timesteps_retain, target_retain = noised(self.retain[kept], scheduler, generator)
        batch = Batch(
            noisy=noisy,
            timesteps=timesteps,
            states=self.states[rows],
            relabelled=self.relabelled[rows],
            empty=self.empty.expand(size, -1, -1),
            target=target,
            noisy_retain=noisy_retain,
            timesteps_retain=timesteps_retain,
            retain=self.retain_states[kept],
            target_retain=target_retain,
        )
        if len(self.anchor):
            noisy_anchor, _, target_anchor = noised(self.anchor[rows], scheduler, generator, timesteps)
            batch = replace(batch, noisy_anchor=noisy_anchor, target_anchor=target_anchor)
        if uniform:
            noise = torch.rand(target.shape, generator=generator, dtype=torch.float32).to(target)
            batch = replace(batch, uniform=noise)
        return batch, rows, kept


def noised(
    latents: Tensor, scheduler: Any, generator: torch.Generator, timesteps: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """x_t, t and what the denoiser is trained to predict of them."""
    if timesteps is None:
        drawn = torch.randint(scheduler.config.num_train_timesteps, (len(latents),), generator=generator)
        timesteps = drawn.to(latents.device)
    noise = torch.randn(latents.shape, generator=generator, dtype=torch.float32).to(latents)
    noisy = scheduler.add_noise(latents, noise, timesteps)
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        return noisy, timesteps, scheduler.get_velocity(latents, noise, timesteps)
    return noisy, timesteps, latents if kind == "sample" else noise
