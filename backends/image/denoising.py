"""How well a model predicts the noise in real pictures: the loss it was trained with, picture by picture.

Lower on pictures it was trained on, so that forgetting shows even where nothing is drawn, and members can be told from
pictures it never saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from backends.errors import ModelError
from backends.image.patch_pipeline import to_latents
from backends.interfaces import Stop
from backends.real_pictures import RealPicture
from backends.tensors import file_digest


@torch.inference_mode()
def denoising_losses(
    pipe: Any, pictures: Sequence[RealPicture], timesteps: Sequence[int], stop: Stop
) -> Iterator[tuple[RealPicture, list[float]]]:
    """Mean squared error of the predicted noise at each timestep, one list a picture; ends early when stopped.

    The noise of a picture comes from the processor, seeded by what the file holds, so it is the same for every model
    and in every order. Without guidance, as in training (Ho et al. 2020, eq. 14); the target is what the scheduler's
    prediction_type says.

    Raises:
        ModelError: a pipeline whose latents are not known here, a picture that cannot be read, or a loss that is no
            number.
    """
    training = pipe.scheduler
    steps = torch.tensor(list(timesteps), dtype=torch.long)
    if int(steps.max()) >= training.config.num_train_timesteps:
        raise ModelError(
            f"timestep {int(steps.max())} is beyond the model's {training.config.num_train_timesteps}",
            how="Choose smaller `timesteps`",
        )
    for picture in pictures:
        if stop():
            return
        latents = picture_latents(pipe, picture)
        generator = torch.Generator().manual_seed(int(file_digest(picture.path)[:12], 16))
        noise = torch.randn((len(steps), *latents.shape[1:]), generator=generator)
        device, dtype = pipe.unet.device, pipe.unet.dtype
        clean = latents.cpu().float().expand_as(noise)
        noisy = training.add_noise(clean, noise, steps)
        states = _states(pipe, picture.prompt)
        predicted = pipe.unet(
            noisy.to(device, dtype),
            steps.to(device),
            encoder_hidden_states=states.expand(len(steps), *states.shape[1:]),
        ).sample
        target = _target(training, clean, noise, steps)
        losses = (predicted.float().cpu() - target).square().flatten(1).mean(1)
        if not losses.isfinite().all():
            raise ModelError("the loss of a picture is no number", where=picture.name)
        yield picture, losses.tolist()


def _target(scheduler: Any, clean: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
    """What the UNet was trained to say: the noise, the clean picture or the velocity, shape (T, C, h, w)."""
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return clean
    velocity: Tensor = scheduler.get_velocity(clean, noise, steps)
    return velocity


def picture_latents(pipe: Any, picture: RealPicture) -> Tensor:
    """What the UNet sees of a clean picture, shape (1, C, h, w)."""
    patch: int | None = getattr(pipe, "patch", None)
    vae: Any = getattr(pipe, "vae", None)
    if not hasattr(pipe, "unet") or (patch is None and vae is None) or hasattr(pipe, "text_encoder_2"):
        raise ModelError(
            f"denoising losses of a {type(pipe).__name__} are not known here", how="Leave out [denoising]"
        )
    side = int(pipe.unet.config.sample_size) * (patch or 2 ** (len(vae.config.block_out_channels) - 1))
    try:
        with Image.open(picture.path) as image:
            small = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    except (OSError, SyntaxError, ValueError) as error:
        raise ModelError("this picture cannot be read", where=str(picture.path)) from error
    return pixel_latents(pipe, torch.from_numpy(np.asarray(small).copy())[None])


def pixel_latents(pipe: Any, pixels: Tensor) -> Tensor:
    """Pictures uint8 (B, H, W, 3) of the pipeline's own size as what its UNet sees, shape (B, C, h, w)."""
    patch: int | None = getattr(pipe, "patch", None)
    if patch is not None:
        return to_latents(pixels, patch)
    vae: Any = pipe.vae
    scaled = (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).to(vae.device, vae.dtype)
    latents: Tensor = vae.encode(scaled).latent_dist.mode() * vae.config.scaling_factor
    return latents


def _states(pipe: Any, prompt: str) -> Tensor:
    """Text states of one prompt, shape (1, T, D)."""
    if hasattr(pipe, "encode"):
        states: Tensor = pipe.encode([prompt])
        return states
    found: Tensor = pipe.encode_prompt(prompt, pipe.unet.device, 1, False)[0]
    return found
