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

from backends.checkpoints.tensors import file_digest
from backends.errors import ModelError
from backends.image.clean_prediction import is_flow
from backends.image.denoiser_calls import denoiser, predictor, vae_factor
from backends.image.patch_pipeline import to_latents
from backends.image.real_pictures import RealPicture
from backends.interfaces import Stop


@torch.inference_mode()
def denoising_losses(
    pipe: Any, pictures: Sequence[RealPicture], timesteps: Sequence[int], stop: Stop
) -> Iterator[tuple[RealPicture, list[float]]]:
    """Mean squared error of the predicted noise at each timestep, one list per picture; ends early when stopped.

    The noise of a picture comes from the processor, seeded by what the file holds, so it is the same for every model
    and in every order. Without guidance, as in training (Ho et al. 2020, eq. 14); the target is what the scheduler's
    prediction_type says, and noise - picture for flow matching (Lipman et al. 2023), where timestep t of T means a
    share t / T of noise.

    Raises:
        ModelError: a pipeline whose latents are not supported, a picture that cannot be read, or a loss that is no
            number.
    """
    training, predict, model = pipe.scheduler, predictor(pipe), denoiser(pipe)
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
        noise = torch.randn((len(steps), *latents.shape[1:]), generator=generator, dtype=torch.float32)
        clean = latents.cpu().float().expand_as(noise)
        noisy, target = _noisy_and_target(training, clean, noise, steps)
        predicted = predict(pipe, noisy.to(model.device, model.dtype), steps.to(model.device), picture.prompt)
        losses = (predicted.float().cpu() - target).square().flatten(1).mean(1)
        if not losses.isfinite().all():
            raise ModelError("the loss of a picture is NaN or infinite", where=picture.name)
        yield picture, losses.tolist()


def _noisy_and_target(scheduler: Any, clean: Tensor, noise: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """x_t, and what the denoiser was trained to say of it, both of shape (T, C, h, w).

    Written out, because `add_noise` of some schedulers depends on the steps they were last set to.
    """
    shape = (-1, 1, 1, 1)
    if is_flow(scheduler):
        share = (steps / scheduler.config.num_train_timesteps).view(shape)
        return (1 - share) * clean + share * noise, noise - clean
    kind = scheduler.config.get("prediction_type")
    if not hasattr(scheduler, "alphas_cumprod") or kind not in ("epsilon", "sample", "v_prediction"):
        raise ModelError(
            f"denoising losses with a {type(scheduler).__name__} are not supported",
            how="Leave out [denoising]",
        )
    kept = scheduler.alphas_cumprod.cpu().float()[steps].view(shape)
    alpha, sigma = kept**0.5, (1 - kept) ** 0.5
    targets = {"epsilon": noise, "sample": clean, "v_prediction": alpha * noise - sigma * clean}
    return alpha * clean + sigma * noise, targets[kind]


def picture_latents(pipe: Any, picture: RealPicture) -> Tensor:
    """What the denoiser sees of a clean picture, shape (1, C, h, w)."""
    predictor(pipe)
    size = denoiser(pipe).config.get("sample_size") or getattr(pipe, "default_sample_size", 128)
    side = int(size) * vae_factor(pipe)
    try:
        with Image.open(picture.path) as image:
            small = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    except (OSError, SyntaxError, ValueError) as error:
        raise ModelError("this picture cannot be read", where=str(picture.path)) from error
    return pixel_latents(pipe, torch.from_numpy(np.asarray(small).copy())[None])


def pixel_latents(pipe: Any, pixels: Tensor) -> Tensor:
    """Pictures uint8 (B, H, W, 3) of the pipeline's own size as what its denoiser sees, shape (B, C, h, w)."""
    patch: int | None = getattr(pipe, "patch", None)
    if patch is not None:
        return to_latents(pixels, patch)
    vae: Any = pipe.vae
    scaled = (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).to(vae.device, vae.dtype)
    latents: Tensor = vae.encode(scaled).latent_dist.mode() - (vae.config.get("shift_factor") or 0.0)
    return latents * vae.config.scaling_factor
