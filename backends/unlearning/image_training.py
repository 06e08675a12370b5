"""Runs an unlearning method on a diffusion model and hands out its checkpoints along the way. Seeded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from backends.checkpoints.mixing import with_changes
from backends.unlearning.image_batches import Batch, Concepts
from backends.unlearning.image_losses import forget_loss, predict, retain_loss
from backends.unlearning.image_method import Balance, ImageMethod
from backends.unlearning.resuming import kept_weights, restore_weights
from backends.unlearning.settings import Settings, Values

FISHER_PICTURES = 32
"""Retain pictures whose gradients make up the Fisher information."""


class ImageTraining:
    """A run of one method that trains.

    Args:
        method: its loss, and which weights it moves.
        settings: values of its settings by name.
        unet: the original's denoiser; it is not changed.
        encoder: the original's text encoder, where that is trained.
        scheduler: of the pipeline.
        concepts: pictures and text states.
    """

    def __init__(
        self,
        method: ImageMethod,
        settings: Settings,
        unet: nn.Module,
        encoder: nn.Module | None,
        scheduler: Any,
        concepts: Concepts,
    ) -> None:
        if method.loss is None:
            raise ValueError(f"{method.name} is a closed-form method, which is not trained")
        self.method, self.settings, self.concepts = method, Values(settings), concepts
        self._loss = method.loss
        self._scheduler = scheduler
        self._generator = torch.Generator().manual_seed(int(settings["seed"]))
        self._original = unet.requires_grad_(False).eval()
        trained = unet if encoder is None else encoder.requires_grad_(False).eval()
        started = {name: p for name, p in trained.named_parameters() if method.trained(name)}
        copies = {name: nn.Parameter(p.detach().clone()) for name, p in started.items()}
        self._module = with_changes(trained, copies)
        self._whole = encoder is not None
        self.parameters: dict[str, nn.Parameter] = copies
        # A CPU crash of torch 2.13: the backward pass of a group norm that is trained and whose input is not.
        self._through_norms = not self._whole and any(
            "norm" in name and "transformer" not in name for name in copies
        )
        self.done = 0
        self._mask = method.mask(self._gradients(), self.settings) if method.mask is not None else {}
        self._fisher, self._first = self._information() if method.penalty is not None else ({}, {})
        self._optimiser = torch.optim.Adam(copies.values(), lr=settings["lr"])

    @property
    def unet(self) -> nn.Module:
        """The denoiser as it is now."""
        return self._original if self._whole else self._module

    def states(self, tokens: Tensor, states: Tensor) -> Tensor:
        """Text states as the pipeline has them now: the encoder's of the tokens, where it is trained."""
        return self._module(tokens).last_hidden_state if self._whole else states

    def step(self) -> float:
        """One step of the optimiser; returns the loss."""
        batch = self._batch()
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._loss(self.unet, self._original, batch, self.settings)
        alpha = self.settings.get("alpha", 0.0)
        if self.method.balance is not None:
            value = self._balanced(self.method.balance, loss, alpha * self._retained(batch))
        else:
            total = loss + alpha * self._retained(batch) if alpha > 0 else loss
            if self.method.penalty is not None:
                total = total + self.method.penalty(self.parameters, self._first, self._fisher, self.settings)
            value = float(total.detach())
            total.backward()
        for name, weight in self.parameters.items():
            if name in self._mask and weight.grad is not None:
                weight.grad *= self._mask[name]
        if value == value and abs(value) != float("inf"):
            self._optimiser.step()
            self.done += 1
        return value

    def state(self) -> dict[str, Tensor]:
        """Everything that `restore` needs, as tensors."""
        result = {"steps": torch.tensor(self.done), "random": self._generator.get_state()}
        result |= kept_weights(self.parameters, self._optimiser)
        return result

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Resume from there: the next step is the one that would have followed."""
        self.done = int(state["steps"])
        self._generator.set_state(state["random"])
        restore_weights(state, self.parameters, self._optimiser)

    def _batch(self) -> Batch:
        size, data = int(self.settings["batch"]), self.concepts
        batch, rows, kept = data.batch(
            size, self._scheduler, self._generator, uniform="uniform" in self.method.needs
        )
        if self._whole:
            batch = replace(
                batch,
                first=batch.states,
                first_retain=batch.retain,
                states=self.states(data.tokens[rows], batch.states),
                retain=self.states(data.retain_tokens[kept], batch.retain),
            )
        if self._through_norms:
            batch.noisy.requires_grad_(True)
            batch.noisy_retain.requires_grad_(True)
        return batch

    def _retained(self, batch: Batch) -> Tensor:
        """The ordinary loss on retain pictures; of a text encoder, how far it takes the frozen denoiser's answers."""
        if not self._whole:
            return retain_loss(self.unet, batch)
        inputs = self._original, batch.noisy_retain, batch.timesteps_retain
        with torch.no_grad():
            target = predict(*inputs, batch.first_retain)
        return (predict(*inputs, batch.retain) - target).square().mean()

    def _balanced(self, balance: Balance, forget: Tensor, retain: Tensor) -> float:
        weights = list(self.parameters.values())
        grads = [torch.autograd.grad(loss, weights, allow_unused=True) for loss in (forget, retain)]
        named = [
            {
                name: torch.zeros_like(w) if g is None else g
                for name, w, g in zip(self.parameters, weights, gradient, strict=True)
            }
            for gradient in grads
        ]
        share = balance(named[0], named[1], self.settings)
        for name, weight in self.parameters.items():
            weight.grad = named[1][name] + share * named[0][name]
        return float(retain.detach() + share * forget.detach())

    def _gradients(self) -> dict[str, Tensor]:
        """Gradient of the ordinary loss on a batch of pictures to forget, by each weight."""
        batch, _, _ = self.concepts.batch(int(self.settings["batch"]), self._scheduler, self._generator)
        forget_loss(self.unet, batch).backward()
        return {name: w.grad for name, w in self.parameters.items() if w.grad is not None}

    def _information(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Fisher information of each weight (mean squared gradient, a picture at a time), and the first weights."""
        generator = torch.Generator().manual_seed(int(self.settings["seed"]) + 1)
        fisher = {name: torch.zeros_like(weight) for name, weight in self.parameters.items()}
        for _ in range(FISHER_PICTURES):
            batch, _, _ = self.concepts.batch(1, self._scheduler, generator)
            gradients = torch.autograd.grad(
                retain_loss(self.unet, batch), list(self.parameters.values()), allow_unused=True
            )
            for name, gradient in zip(fisher, gradients, strict=True):
                if gradient is not None:
                    fisher[name] += gradient.square() / FISHER_PICTURES
        return fisher, {name: weight.detach().clone() for name, weight in self.parameters.items()}


def solved(
    method: ImageMethod, settings: Settings, unet: nn.Module, concepts: Concepts, share: float
) -> dict[str, Tensor]:
    """The weights of a method that solves for them, `share` of the way from the original's."""
    if method.solve is None:
        raise ValueError(f"{method.name} is trained, not solved for")
    weights = {name: w.detach() for name, w in unet.named_parameters() if method.trained(name)}
    whole = method.solve(weights, concepts, Values(settings))
    return {name: weight + share * (whole[name] - weight) for name, weight in weights.items()}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors that were trained, after `step` optimiser steps, and the loss then."""

    step: int
    changes: dict[str, Tensor]
    loss: float


def trajectory(
    method: ImageMethod,
    settings: Settings,
    checkpoints: tuple[int, ...],
    original: nn.Module,
    scheduler: Any,
    concepts: Concepts,
) -> Iterator[Checkpoint]:
    """The checkpoints of a method that trains the denoiser, from the original on. The original is not changed."""
    run = ImageTraining(method, settings, original, None, scheduler, concepts)
    for step in range(1, max(checkpoints) + 1):
        loss = run.step()
        if step in checkpoints:
            changes = {name: weight.detach().clone() for name, weight in run.parameters.items()}
            yield Checkpoint(step, changes, loss)
