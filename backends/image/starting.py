"""Pictures of which some is given: they begin from a real one, or from what another model drew in its first steps.

A model that knew the real picture x_0 would say, at a step, what leads there from x_t. That is what the scheduler is
given in the place of the model's output: for the first steps, which leaves x_t = alpha x_0 + sigma e with the seed's
noise e (SDEdit, Meng et al. 2022), or outside of a square at every step, as inpainting without a trained mask does
(RePaint, Lugmayr et al. 2022, without its resampling). So it works for every scheduler and both kinds of guidance, and
where nothing is given the drawing is the plain one, bit for bit.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from backends.checkpoints.tensors import file_digest
from backends.errors import ModelError
from backends.image.clean_prediction import StepInput, said_for
from backends.image.denoiser_calls import packed, vae_factor
from backends.image.denoising import pixel_latents
from backends.image.steps import run_in_steps
from backends.interfaces import Stop
from backends.study import Start


class GivenPictures:
    """What the steps of one call are given of real pictures; called once for every step of the scheduler.

    Args:
        clean: latents of the real pictures, shape (B, C, h, w).
        start: what of them is given, the same for all.
    """

    def __init__(self, clean: Tensor, start: Start) -> None:
        self._clean, self._start = clean, start
        self._kept = None if start.kind == "noised" else _outside(clean, start.share)
        self._done = 0

    def whole(self, scheduler: Any) -> bool:
        """Whether all of the pictures is given at the step that is next; some schedulers take two steps for one."""
        return self._done < self._start.steps_given(len(scheduler.timesteps))

    def __call__(self, scheduler: Any, before: StepInput | None) -> Tensor | None:
        """What the step is given in the place of the model's output; None leaves it."""
        whole = self.whole(scheduler)
        self._done += 1
        if not whole and self._kept is None:
            return None
        clean, kept = self._clean, self._kept
        if before is not None and before.noisy.ndim == 3:  # Flux's tokens of 2 x 2 latents
            clean, kept = packed(clean), None if kept is None else packed(kept)
        known = _known(scheduler, clean, before)
        if whole or kept is None or before is None:
            return known
        return torch.where(_like(kept, before.noisy).bool(), known, before.said)


def _known(scheduler: Any, clean: Tensor, before: StepInput | None) -> Tensor:
    said = None
    if before is not None and before.noisy.shape[1:] == clean.shape[1:]:
        said = said_for(scheduler, _like(clean, before.noisy), before)
    if said is None:
        raise ModelError(
            f"with a {type(scheduler).__name__} a picture of this model cannot begin from a real one",
            how="Choose another scheduler, or leave this attack out",
        )
    return said


def _like(rows: Tensor, noisy: Tensor) -> Tensor:
    """A row for each picture as often as there are of `noisy`: some pipelines step the unguided half, too."""
    times = max(1, len(noisy) // len(rows))
    return rows.to(noisy.device).repeat(times, *[1] * (rows.ndim - 1))


def _outside(clean: Tensor, share: float) -> Tensor:
    """1 outside of the square in the middle, 0 in it, shape as the latents."""
    height, width = clean.shape[-2:]
    tall, wide = round(share * height), round(share * width)
    top, left = (height - tall) // 2, (width - wide) // 2
    kept = torch.ones_like(clean)
    kept[..., top : top + tall, left : left + wide] = 0
    return kept


def given_pictures(pipe: Any, starts: Sequence[Start], size: tuple[int, int] | None) -> GivenPictures:
    """Reads the pictures of one call, all given in the same way.

    Args:
        pipe: that will draw.
        starts: one a picture, of one kind and share.
        size: width and height of the drawing, None for the model's own.

    Raises:
        ModelError: a picture cannot be read or is another one by now, or the pipeline's latents are not supported.
    """
    clean = torch.cat([_latents(pipe, start, size) for start in starts])
    return GivenPictures(clean.float(), starts[0])


@torch.no_grad()
def _latents(pipe: Any, start: Start, size: tuple[int, int] | None) -> Tensor:
    path = Path(start.picture)
    module = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    vae = getattr(pipe, "vae", None)
    if module is None or (vae is not None and not hasattr(vae.config, "scaling_factor")):
        raise ModelError(f"a picture of a {type(pipe).__name__} cannot begin from a real one")
    factor = vae_factor(pipe) if hasattr(pipe, "patch") or vae is not None else 1
    width, height = size or (int(module.config.sample_size) * factor,) * 2
    try:
        with Image.open(path) as image:
            small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    except (OSError, SyntaxError, ValueError) as error:
        raise ModelError("this picture cannot be read", where=str(path)) from error
    if file_digest(path) != start.content:
        raise ModelError("this picture was changed meanwhile", where=str(path), how="Start again")
    pixels = torch.from_numpy(np.asarray(small).copy())[None]
    if factor == 1 and vae is None:  # diffusion on pixels
        return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixel_latents(pipe, pixels).cpu()


def idle_at_first(pipe: Any, given: GivenPictures | BegunPictures) -> Any:
    """The pipeline for one call, its denoiser not asked at the steps whose output is given anyway.

    Its weights are the pipeline's.
    """
    name = "unet" if getattr(pipe, "unet", None) is not None else "transformer"
    module = getattr(pipe, name)
    config = module.config
    if config.get("out_channels", 0) not in (None, config.get("in_channels")):
        return pipe
    ask = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not given.whole(pipe.scheduler):
            return ask(*args, **kwargs)
        noisy = args[0] if args else kwargs.get("sample", kwargs.get("hidden_states"))
        nothing = torch.zeros_like(noisy)
        return (nothing,) if kwargs.get("return_dict") is False else SimpleNamespace(sample=nothing)

    idle, other = copy.copy(module), copy.copy(pipe)
    idle.forward = forward
    setattr(other, name, idle)
    return other


class BegunPictures:
    """What the first steps of one call are given: what another model said there.

    Args:
        said: one for each step, shape as that model's latents.
    """

    def __init__(self, said: Sequence[Tensor]) -> None:
        self._said = said
        self._done = 0

    def whole(self, _: Any) -> bool:
        """Whether the step that is next is given."""
        return self._done < len(self._said)

    def __call__(self, scheduler: Any, before: StepInput | None) -> Tensor | None:
        """What the step is given in the place of the model's output; None leaves it."""
        if not self.whole(scheduler):
            return None
        said = self._said[self._done]
        self._done += 1
        if before is None or before.said.shape != said.shape:
            raise ModelError("the original draws in other latents, so it cannot begin this model's pictures")
        return said.to(before.said)


def first_steps(
    pipe: Any, arguments: Mapping[str, Any], steps: int, of: int, stop: Stop
) -> BegunPictures | None:
    """What a pipeline says in its first steps, guidance and all; None where there are none.

    With the same noise another pipeline that is given this is where this one was: same latents, same scheduler.

    Args:
        pipe: that begins.
        arguments: of its call.
        steps: that it draws.
        of: so many in all.
        stop: asked after every step.
    """
    said: list[Tensor] = []

    def keep(scheduler: Any, before: StepInput | None) -> Tensor | None:
        if before is None:
            raise ModelError(f"with a {type(scheduler).__name__} the original cannot begin pictures")
        said.append(before.said)
        return None

    def enough() -> bool:
        return stop() or len(said) >= round(steps * len(pipe.scheduler.timesteps) / of)

    if steps:
        for _ in run_in_steps(pipe, arguments, enough, keep):
            pass
    return BegunPictures(said) if said else None
