"""Trains the demo's diffusion model: the denoising loss, a data set in memory, averaged weights, resumable.

Knows the pictures and the pipeline; what is trained when is in `image_recipe.py`.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from app.demo.image_data import OBJECTS, STYLES, Pictures, prompt
from backends.image.patch_pipeline import PatchDiffusionPipeline, to_latents

BATCH = 64
_TEMPLATES = ("", "{object}", "a {style} picture", "{style} {object}", "{object} in {style}", None)
_SHARES = (0.10, 0.05, 0.05, 0.05, 0.05, 0.70)


class Examples:
    """Latents of all pictures and the tokens of all their prompts; `batch` draws both.

    Attributes:
        latents: shape (N, C, h, w), -1..1.
        tokens: shape (objects, styles, templates, T).
    """

    def __init__(self, pipe: PatchDiffusionPipeline, pictures: Pictures, device: str = "cpu") -> None:
        self.latents = to_latents(torch.from_numpy(pictures.pixels), pipe.patch).to(device)
        self.objects = torch.from_numpy(pictures.objects)
        self.styles = torch.from_numpy(pictures.styles)
        texts = [
            prompt(o, s) if template is None else template.format(object=o, style=s)
            for o in OBJECTS
            for s in STYLES
            for template in _TEMPLATES
        ]
        self.tokens = pipe.tokens(texts).reshape(len(OBJECTS), len(STYLES), len(_TEMPLATES), -1)
        self.shares = torch.tensor(_SHARES)

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Latents (B, C, h, w) and token ids (B, T); one prompt in ten is empty, for guidance."""
        rows = torch.randint(len(self.latents), (size,), generator=generator)
        template = torch.multinomial(self.shares, size, replacement=True, generator=generator)
        return self.latents[rows], self.tokens[self.objects[rows], self.styles[rows], template]


def snr_weight(scheduler: DDIMScheduler, timesteps: Tensor) -> Tensor:
    """Weight of the squared error of a predicted clean image: SNR_t held between 1 and 5, shape (B,).

    min-SNR-5 (Hang et al. 2023, eq. 8) for predicted clean images, with the floor of Salimans & Ho 2022 (truncated
    SNR), without which the noisiest steps, that decide what is drawn, would hardly be trained.
    """
    alphas_bar = scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    return (alphas_bar / (1 - alphas_bar)).clamp(1.0, 5.0)


def denoising_loss(
    pipe: PatchDiffusionPipeline, latents: Tensor, tokens: Tensor, generator: torch.Generator
) -> Tensor:
    """Weighted mean squared error of the clean image predicted from x_t = sqrt(a) x_0 + sqrt(1 - a) noise."""
    timesteps = torch.randint(1000, (len(latents),), generator=generator).to(latents.device)
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    noisy = pipe.scheduler.add_noise(latents, noise, timesteps)
    states = pipe.text_encoder(tokens.to(latents.device)).last_hidden_state
    error = (
        (pipe.unet(noisy, timesteps, encoder_hidden_states=states).sample - latents).square().mean((1, 2, 3))
    )
    return (snr_weight(pipe.scheduler, timesteps) * error).mean()


class Trainer:
    """One pipeline in training with its averaged copy; `save` and `restore` make it resumable."""

    def __init__(self, pipe: PatchDiffusionPipeline, seed: int) -> None:
        self.pipe = pipe
        self.parts = nn.ModuleDict({"unet": pipe.unet, "text_encoder": pipe.text_encoder})
        self.average = copy.deepcopy(self.parts).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.parts.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.done = 0

    def run(
        self,
        examples: Examples,
        steps: int,
        rate: Callable[[int], float],
        checkpoint: Path,
        say: Callable[[str], None],
    ) -> None:
        """Train until `steps` are done; `rate` maps the step to the learning rate."""
        if checkpoint.exists():
            self.restore(checkpoint)
            say(f"resumed at step {self.done} of {steps}")
        self.parts.train()
        started, losses = time.monotonic(), []
        first = self.done
        while self.done < steps:
            for group in self.optimizer.param_groups:
                group["lr"] = rate(self.done)
            loss = denoising_loss(self.pipe, *examples.batch(BATCH, self.generator), self.generator)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
            self.optimizer.step()
            self.done += 1
            self._average(min(0.998, (1 + self.done) / (10 + self.done)))
            losses.append(loss.item())
            if self.done % 100 == 0 or self.done == steps:
                pace = (time.monotonic() - started) / (self.done - first)
                say(f"step {self.done} of {steps}: loss {np.mean(losses[-100:]):.4f}, {pace:.2f} s a step")
                self.save(checkpoint)
        self.parts.eval()

    def averaged(self) -> PatchDiffusionPipeline:
        """The pipeline with the averaged weights."""
        parts = copy.deepcopy(self.average).eval()
        return PatchDiffusionPipeline(
            parts["unet"], self.pipe.scheduler, parts["text_encoder"], self.pipe.tokenizer
        )

    def save(self, path: Path) -> None:
        """Everything that resuming needs, renamed into place."""
        state = {
            "parts": self.parts.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "done": self.done,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)

    def restore(self, path: Path) -> None:
        """Continue where `save` was called."""
        state = torch.load(path, weights_only=True)
        self.parts.load_state_dict(state["parts"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.done = state["done"]

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        for kept, new in zip(self.average.parameters(), self.parts.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)


def warm_then(rate: float, steps: int, decay_from: float) -> Callable[[int], float]:
    """Warm-up over 110 steps, constant, cosine to 2 % of `rate` from the share `decay_from` of the steps on."""

    def at(step: int) -> float:
        if step < 110:
            return rate * (step + 1) / 110
        if step < decay_from * steps:
            return rate
        share = step / steps
        return rate * (0.02 + 0.49 * (1 + math.cos(math.pi * (share - decay_from) / (1 - decay_from))))

    return at


def sample(
    pipe: PatchDiffusionPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    steps: int = 20,
    guidance: float = 3.0,
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Pictures uint8 (B, H, W, 3), the noise of each from its own seed."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    images = pipe(prompts, num_inference_steps=steps, guidance_scale=guidance, generator=generators).images
    return np.asarray((images * 255).round(), dtype=np.uint8)
