"""Runs an unlearning method on a diffusion model and hands out its checkpoints along the way. Seeded."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from backends.unlearning.image_methods import Batch, Method, gradient_ascent_loss, saliency_mask


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
    """

    forget: Tensor
    states: Tensor
    relabelled: Tensor
    empty: Tensor
    retain: Tensor
    retain_states: Tensor

    def batch(self, size: int, scheduler: Any, generator: torch.Generator) -> Batch:
        """`size` pictures of each kind, noised to random timesteps."""
        rows = torch.randint(len(self.forget), (size,), generator=generator)
        kept = torch.randint(len(self.retain), (size,), generator=generator)
        noisy, timesteps, target = _noised(self.forget[rows], scheduler, generator)
        noisy_retain, timesteps_retain, target_retain = _noised(self.retain[kept], scheduler, generator)
        return Batch(
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


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors that were trained, after `step` optimiser steps, and the loss then."""

    step: int
    changes: dict[str, Tensor]
    loss: float


def trajectory(
    method: Method,
    original: nn.Module,
    scheduler: Any,
    concepts: Concepts,
    *,
    seed: int,
    batch_size: int = 32,
) -> Iterator[Checkpoint]:
    """The checkpoints of `method`, from the original on. The original is not changed."""
    generator = torch.Generator().manual_seed(seed)
    original = original.requires_grad_(False).eval()
    edited = copy.deepcopy(original)
    weights = {name: weight for name, weight in edited.named_parameters() if method.trains in name}
    for weight in weights.values():
        weight.requires_grad_(True)
    mask = _mask(edited, weights, concepts, scheduler, generator, batch_size) if method.masked else {}
    optimizer = torch.optim.Adam(weights.values(), lr=method.rate)
    for step in range(1, max(method.checkpoints) + 1):
        loss = method.loss(edited, original, concepts.batch(batch_size, scheduler, generator))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for name, weight in weights.items():
            if name in mask and weight.grad is not None:
                weight.grad *= mask[name]
        optimizer.step()
        if step in method.checkpoints:
            changes = {name: weight.detach().clone() for name, weight in weights.items()}
            yield Checkpoint(step, changes, loss.item())


def _mask(
    edited: nn.Module,
    weights: dict[str, nn.Parameter],
    concepts: Concepts,
    scheduler: Any,
    generator: torch.Generator,
    batch_size: int,
) -> dict[str, Tensor]:
    gradient_ascent_loss(edited, edited, concepts.batch(batch_size, scheduler, generator)).backward()
    return saliency_mask({name: weight.grad for name, weight in weights.items() if weight.grad is not None})


def _noised(latents: Tensor, scheduler: Any, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """x_t, t and what the denoiser is trained to predict of them."""
    timesteps = torch.randint(scheduler.config.num_train_timesteps, (len(latents),), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    noisy = scheduler.add_noise(latents, noise, timesteps)
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        return noisy, timesteps, scheduler.get_velocity(latents, noise, timesteps)
    return noisy, timesteps, latents if kind == "sample" else noise
