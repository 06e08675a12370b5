"""One call of a pipeline's denoiser, as the pipeline itself calls it: with its prompt's states and other conditions.

Knows Stable Diffusion 1 to 3, SDXL, Flux and the demo's pipeline; nothing about pictures or losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backends.errors import ModelError

Predict = Callable[[Any, Tensor, Tensor, str], Tensor]
"""(pipeline, noisy latents (T, C, h, w), timesteps (T,), prompt) -> what the denoiser says, shape as the latents."""


def predictor(pipe: Any) -> Predict:
    """How this pipeline's denoiser is asked.

    Raises:
        ModelError: a pipeline whose conditions are not supported.
    """
    unet, transformer = getattr(pipe, "unet", None), getattr(pipe, "transformer", None)
    has_latents = hasattr(pipe, "patch") or getattr(pipe, "vae", None) is not None
    if has_latents and unet is not None and hasattr(pipe, "tokenizer"):
        config = unet.config
        if config.get("encoder_hid_dim_type") is None and config.get("class_embed_type") is None:
            asked = {None: _by_text, "text_time": _by_text_and_size}.get(config.get("addition_embed_type"))
            if asked is not None:
                return asked
    known = {"SD3Transformer2DModel": _by_pooled_text, "FluxTransformer2DModel": _by_tokens}
    asked = known.get(type(transformer).__name__)
    if has_latents and asked is not None:
        return asked
    raise ModelError(
        f"denoising losses of a {type(pipe).__name__} are not supported", how="Leave out [denoising]"
    )


def denoiser(pipe: Any) -> Any:
    """The part of a pipeline that predicts."""
    return getattr(pipe, "unet", None) or pipe.transformer


def _by_text(pipe: Any, noisy: Tensor, steps: Tensor, prompt: str) -> Tensor:
    if hasattr(pipe, "encode"):
        states = pipe.encode([prompt])
    else:
        states = pipe.encode_prompt(prompt, pipe.unet.device, 1, False)[0]
    said: Tensor = pipe.unet(noisy, steps, encoder_hidden_states=_each(states, steps)).sample
    return said


def _by_text_and_size(pipe: Any, noisy: Tensor, steps: Tensor, prompt: str) -> Tensor:
    """SDXL: the pooled text and the picture's size too (Podell et al. 2023, section 2.2); nothing is cropped."""
    states, _, pooled, _ = pipe.encode_prompt(
        prompt=prompt, device=pipe.unet.device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    side = noisy.shape[-1] * vae_factor(pipe)
    sizes = torch.tensor([[side, side, 0, 0, side, side]], dtype=states.dtype, device=noisy.device)
    conditions = {"text_embeds": _each(pooled, steps), "time_ids": _each(sizes, steps)}
    said: Tensor = pipe.unet(
        noisy, steps, encoder_hidden_states=_each(states, steps), added_cond_kwargs=conditions
    ).sample
    return said


def _by_pooled_text(pipe: Any, noisy: Tensor, steps: Tensor, prompt: str) -> Tensor:
    states, _, pooled, _ = pipe.encode_prompt(
        prompt, None, None, device=noisy.device, do_classifier_free_guidance=False
    )
    said: Tensor = pipe.transformer(
        noisy,
        timestep=steps,
        encoder_hidden_states=_each(states, steps),
        pooled_projections=_each(pooled, steps),
    ).sample
    return said


def _by_tokens(pipe: Any, noisy: Tensor, steps: Tensor, prompt: str) -> Tensor:
    """Flux: 2 x 2 latents are a token with a place; guidance, where it is an input, is 1, as in training."""
    states, pooled, text_places = pipe.encode_prompt(prompt, None, device=noisy.device)
    height, width = noisy.shape[2] // 2, noisy.shape[3] // 2
    rows = torch.arange(height, device=noisy.device).repeat_interleave(width)
    columns = torch.arange(width, device=noisy.device).repeat(height)
    places = torch.stack([torch.zeros_like(rows), rows, columns], 1).to(noisy.dtype)
    guided = bool(pipe.transformer.config.guidance_embeds)
    said: Tensor = pipe.transformer(
        hidden_states=packed(noisy),
        timestep=(steps / 1000).to(noisy.dtype),
        guidance=torch.ones(len(steps), device=noisy.device) if guided else None,
        encoder_hidden_states=_each(states, steps),
        pooled_projections=_each(pooled, steps),
        txt_ids=text_places,
        img_ids=places,
    ).sample
    return unpacked(said)


def packed(latents: Tensor) -> Tensor:
    """(B, C, h, w) as Flux's tokens of 2 x 2 latents, shape (B, h w / 4, 4 C)."""
    batch, channels, height, width = latents.shape
    tiles = latents.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return tiles.reshape(batch, height * width // 4, 4 * channels)


def unpacked(latents: Tensor, ratio: float = 1.0) -> Tensor:
    """Tokens of 2 x 2 latents, shape (B, h w / 4, 4 C), as (B, C, h, w); others as they stand.

    Args:
        latents: tokens, row by row.
        ratio: width over height of the picture.
    """
    rows = max(1, round(math.sqrt(latents.shape[1] / ratio)))
    columns = latents.shape[1] // rows
    if latents.ndim != 3 or rows * columns != latents.shape[1] or latents.shape[2] % 4:
        return latents
    if round(columns / ratio) != rows:  # no picture of that form
        return latents
    batch, _, width = latents.shape
    tiles = latents.view(batch, rows, columns, width // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return tiles.reshape(batch, width // 4, 2 * rows, 2 * columns)


def vae_factor(pipe: Any) -> int:
    """Pixels of a side for each latent."""
    patch: int | None = getattr(pipe, "patch", None)
    return patch or 2 ** (len(pipe.vae.config.block_out_channels) - 1)


def _each(states: Tensor, steps: Tensor) -> Tensor:
    return states.expand(len(steps), *states.shape[1:])
