"""The small text-to-image pipeline of the demo: diffusion on patches of pixels, in diffusers' own parts.

A picture of side S is cut into patches of p x p pixels; the 3 p^2 values of a patch are the channels of one position
(space to depth: nothing is lost, and a UNet at side S / p costs p^2 times less). A folder of it is read like any
diffusers folder; this class is taken from here by its name, never from the folder.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from diffusers.loaders import TextualInversionLoaderMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle
from transformers import CLIPTextModel, PreTrainedTokenizerFast

OnStep = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


class PatchDiffusionPipeline(DiffusionPipeline, TextualInversionLoaderMixin):
    """Called like diffusers' StableDiffusionPipeline, for the arguments it has.

    Args:
        unet: in and out channels 3 p^2, sample_size S / p.
        scheduler: any diffusers scheduler.
        text_encoder: gives one vector for each token.
        tokenizer: of a fixed, small vocabulary.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerFast,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler, text_encoder=text_encoder, tokenizer=tokenizer)

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return math.isqrt(self.unet.config.in_channels // 3)

    @property
    def default_sample_size(self) -> int:
        """Side of a picture in pixels."""
        return int(self.unet.config.sample_size) * self.patch

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        """Token ids, padded to the tokenizer's longest prompt, shape (B, T)."""
        texts = self.maybe_convert_prompt(list(prompts), self.tokenizer)
        batch = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        ids: Tensor = batch["input_ids"]
        return ids

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """One vector for each token, shape (B, T, D)."""
        states: Tensor = self.text_encoder(self.tokens(prompts).to(self.device)).last_hidden_state
        return states

    @torch.no_grad()
    def __call__(
        self,
        prompt: Sequence[str],
        *,
        num_inference_steps: int = 25,
        guidance_scale: float = 4.0,
        generator: Sequence[torch.Generator] | None = None,
        height: int | None = None,
        width: int | None = None,
        callback_on_step_end: OnStep | None = None,
        output_type: str = "np",
        negative_prompt: Sequence[str] | None = None,
    ) -> Any:
        """Pictures as floats in 0..1, shape (B, H, W, 3), as `.images` of the output."""
        from diffusers.pipelines.pipeline_utils import ImagePipelineOutput

        height, width = height or self.default_sample_size, width or self.default_sample_size
        if height % self.patch or width % self.patch:
            raise ValueError(f"{width} x {height} pixels; sides must be multiples of {self.patch}")
        guided = guidance_scale != 1.0
        others = negative_prompt or [""] * len(prompt)
        states = self.encode([*prompt, *others] if guided else prompt)
        shape = (len(prompt), self.unet.config.in_channels, height // self.patch, width // self.patch)
        latents = randn_tensor(shape, list(generator) if generator else None, self.device, states.dtype)
        latents = latents * self.scheduler.init_noise_sigma
        self.scheduler.set_timesteps(num_inference_steps, device=self.device)
        # Schedulers that add noise on the way draw it from the pictures' own generators.
        takes = "generator" in inspect.signature(self.scheduler.step).parameters
        noise = {"generator": list(generator)} if takes and generator else {}
        for index, t in enumerate(self.scheduler.timesteps):
            inputs = self.scheduler.scale_model_input(torch.cat([latents, latents]) if guided else latents, t)
            prediction = self.unet(inputs, t, encoder_hidden_states=states).sample
            if guided:
                conditional, empty = prediction.chunk(2)
                prediction = empty + guidance_scale * (conditional - empty)
            latents = self.scheduler.step(prediction, t, latents, **noise, return_dict=False)[0]
            if callback_on_step_end is not None:
                callback_on_step_end(self, index, t, {"latents": latents})
        return ImagePipelineOutput(images=self.pictures(latents))

    def pictures(self, latents: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Latents (B, 3 p^2, h, w) as pictures in 0..1, shape (B, H, W, 3)."""
        pixels = pixel_shuffle(latents.float(), self.patch)
        result: np.ndarray[Any, np.dtype[np.float32]] = (
            (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        )
        return result


def to_latents(pixels: Tensor, patch: int) -> Tensor:
    """Pictures uint8 (B, H, W, 3) as latents in -1..1, shape (B, 3 p^2, H / p, W / p)."""
    return pixel_unshuffle(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1, patch)
