"""Runs a diffusers pipeline step by step: what it makes of the picture so far, and a way to stop it.

A pipeline is one blocking call; here it runs in a thread of its own, so that its steps can be iterated
over. It knows nothing of requests or studies.
"""

from __future__ import annotations

import functools
import inspect
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backends.errors import BoardError, ModelError
from backends.image.clean_prediction import StepInput, clean_of, given
from backends.image.denoiser_calls import unpacked
from backends.interfaces import Stop

Instead = Callable[[Any, StepInput | None], Tensor | None]
"""(scheduler, what its step is about to be given) -> what it is given in the place of the model's output, or None."""

REFUSALS = (ValueError, TypeError, AttributeError, KeyError, IndexError, RuntimeError)
"""What pipelines raise where they are asked for what they cannot do; few check it and say so."""


@dataclass(frozen=True, slots=True)
class SamplingStep:
    """One step of a batch.

    Attributes:
        number: 1 for the first.
        clean: the clean latents predicted so far, as the scheduler has them; None at the end.
        images: floats in 0..1, shape (B, H, W, 3), at the end; None before.
        done: True at the end.
    """

    number: int
    clean: Tensor | None
    images: Any
    done: bool


class _Stopped(Exception):
    """Leaves the pipeline's loop."""


def run_in_steps(
    pipe: Any, arguments: Mapping[str, Any], stop: Stop, instead: Instead | None = None
) -> Iterator[SamplingStep]:
    """Call the pipeline and yield its steps; nothing more is yielded after `stop` says so.

    Args:
        pipe: the pipeline.
        arguments: of the call.
        stop: asked once after every step.
        instead: says what a step is given in the place of the model's output; None leaves all as it is.

    Raises:
        ModelError: the pipeline refuses the arguments (a size it cannot draw), or the device's memory is full.
    """
    steps: queue.SimpleQueue[SamplingStep | BaseException | None] = queue.SimpleQueue()
    left = threading.Event()
    worker = threading.Thread(target=_work, args=(pipe, arguments, stop, instead, left, steps), daemon=True)
    worker.start()
    try:
        while (item := steps.get()) is not None:
            if isinstance(item, torch.OutOfMemoryError):
                raise ModelError(
                    "the device's memory is full", how="Use smaller pictures, or select fewer models"
                ) from item
            if isinstance(item, REFUSALS) and not isinstance(item, BoardError):
                said = (str(item).strip().splitlines() or [type(item).__name__])[0]
                raise ModelError(f"the pipeline rejects this request ({said[:300]})") from item
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        worker.join()


def preview(pipe: Any, clean: Tensor | None, size: tuple[int, int] | None = None) -> Any:
    """The clean picture predicted so far, floats, shape (B, H, W, 3); None where the latents cannot be decoded.

    Args:
        pipe: the pipeline.
        clean: latents, shape (B, C, h, w), or tokens of them.
        size: width and height that the pipeline was asked for, in pixels; None for its own square. PixArt and Sana draw
            at a size they know and scale at the end.
    """
    if clean is None:
        return None
    if hasattr(pipe, "pictures"):
        return pipe.pictures(clean)
    vae = getattr(pipe, "vae", None)
    if vae is None and clean.ndim == 4 and clean.shape[1] == 3:  # diffusion on pixels
        return (clean.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
    if vae is None:
        return None
    if vae.dtype == torch.float16 and hasattr(pipe, "upcast_vae"):
        # SDXL's VAE overflows in float16; at the end its pipeline widens it, and two threads must not do that at once.
        return None
    latents = unpacked(clean, size[0] / size[1] if size else 1.0)
    if latents.ndim != 4 or latents.shape[1] != getattr(vae.config, "latent_channels", None):
        return None
    with torch.no_grad():
        pixels = vae.decode(_unscaled(vae, latents).to(vae.dtype), return_dict=False)[0]
    scale = getattr(getattr(pipe, "image_processor", None), "resize_and_crop_tensor", None)
    if scale is not None and size is not None:
        pixels = scale(pixels, *size)
    return (pixels.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()


def _unscaled(vae: Any, latents: Tensor) -> Tensor:
    """Latents as the VAE made them; pipelines work with ones of mean 0 and deviation 1."""
    mean, deviation = (getattr(vae.config, key, None) for key in ("latents_mean", "latents_std"))
    scaled = latents / (getattr(vae.config, "scaling_factor", None) or 1.0)
    if mean is not None and deviation is not None:
        shape = (1, -1, 1, 1)
        return scaled * torch.tensor(deviation).view(shape).to(scaled) + torch.tensor(mean).view(shape).to(
            scaled
        )
    return scaled + (getattr(vae.config, "shift_factor", None) or 0.0)


def _work(
    pipe: Any,
    arguments: Mapping[str, Any],
    stop: Stop,
    instead: Instead | None,
    left: threading.Event,
    steps: queue.SimpleQueue[SamplingStep | BaseException | None],
) -> None:
    number = 0

    def on_step(clean: Tensor | None) -> None:
        nonlocal number
        number += 1
        if left.is_set() or stop():
            raise _Stopped
        steps.put(SamplingStep(number, clean, None, False))

    try:
        with _watched(pipe.scheduler, on_step, instead):
            images = pipe(**arguments).images
        if not left.is_set():
            steps.put(SamplingStep(number, None, images, True))
        steps.put(None)
    except _Stopped:
        steps.put(None)
    except BaseException as error:  # handed over, and raised where the steps are iterated over
        steps.put(error)


@contextmanager
def _watched(
    scheduler: Any, on_step: Callable[[Tensor | None], None], instead: Instead | None
) -> Iterator[None]:
    """Tells the clean prediction after every `scheduler.step`, and gives it what `instead` says.

    Every pipeline steps its scheduler; not every one has a callback.
    """
    original = scheduler.step

    @functools.wraps(original)  # pipelines read its signature
    def step(*args: Any, **kwargs: Any) -> Any:
        before = given(scheduler, original, args, kwargs)
        said = instead(scheduler, before) if instead is not None else None
        if said is not None and before is not None:
            before = before._replace(said=said)
            bound = inspect.signature(original).bind(*args, **kwargs)
            bound.arguments["model_output"] = said
            args, kwargs = bound.args, bound.kwargs
        output = original(*args, **kwargs)
        on_step(clean_of(scheduler, output, before))
        return output

    scheduler.step = step
    try:
        yield
    finally:
        del scheduler.step
