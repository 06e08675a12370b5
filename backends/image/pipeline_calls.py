"""How a pipeline is called: the arguments it knows, in its own words; and what it gives, as pictures."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from backends.errors import ModelError
from backends.image.guidance import takes_negative
from backends.image.prompts import short
from backends.image.steps import SamplingStep, preview
from backends.interfaces import ImageRequest
from backends.study import Sampling, StartKind


class CallSettings(NamedTuple):
    """What all pictures of one call have in common: a pipeline takes one guidance scale and one negative prompt."""

    guidance: float
    negative_prompt: str
    start: tuple[StartKind, float] | None


def in_calls(
    requests: Sequence[ImageRequest], sampling: Sampling
) -> dict[str, dict[CallSettings, list[int]]]:
    """Model -> settings of a call -> places of the requests that can be drawn in it."""
    by_model: dict[str, dict[CallSettings, list[int]]] = {}
    for index, request in enumerate(requests):
        settings = CallSettings(
            sampling.guidance if request.guidance is None else request.guidance,
            sampling.negative_prompt if request.negative_prompt is None else request.negative_prompt,
            None if request.start is None else (request.start.kind, request.start.share),
        )
        by_model.setdefault(request.model, {}).setdefault(settings, []).append(index)
    return by_model


def arguments_for(pipe: Any, requests: Sequence[ImageRequest], sampling: Sampling) -> dict[str, Any]:
    """What the pipeline is called with; settings it does not know are left out."""
    wanted: dict[str, Any] = {
        "num_inference_steps": sampling.steps,
        "guidance_scale": sampling.guidance,
        "height": sampling.width_height[1] if sampling.width_height else None,
        "width": sampling.width_height[0] if sampling.width_height else None,
        "output_type": "np",
        # On the processor, whatever the device: a seed gives the same noise everywhere and in every batch.
        "generator": [torch.Generator().manual_seed(request.seed) for request in requests],
    }
    if not takes_generators(pipe):
        (wanted["generator"],) = wanted["generator"]
    if sampling.negative_prompt and takes_negative(pipe):
        wanted["negative_prompt"] = [sampling.negative_prompt] * len(requests)
    known = inspect.signature(pipe.__call__).parameters
    arguments = {key: value for key, value in wanted.items() if key in known and value is not None}
    prompts = [request.prompt for request in requests]
    if "prompt" in known:
        return {"prompt": prompts, **arguments}
    if "class_labels" in known:
        return {"class_labels": [_class_label(pipe, prompt) for prompt in prompts], **arguments}
    return {"batch_size": len(requests), **arguments}  # from noise alone, whatever the prompt says


def takes_generators(pipe: Any) -> bool:
    """Whether a pipeline takes one generator for each picture; aMUSEd, for one, takes one for all."""
    wanted = inspect.signature(pipe.__call__).parameters.get("generator")
    said = str(wanted.annotation).lower() if wanted is not None else ""
    return "generator" not in said or "list" in said or "sequence" in said


def _class_label(pipe: Any, prompt: str) -> int:
    """Number of the class that a prompt names, by its number or by its name."""
    names: Mapping[str, int] = getattr(pipe, "labels", None) or {}
    word = prompt.strip()
    if word in names:
        return int(names[word])
    if word.isdecimal():
        return int(word)
    some = f", such as {', '.join(list(names)[:3])}" if names else ""
    raise ModelError(
        f"{short(word, 60)!r} is not a class of this model{some}",
        how="Name a class by its number or name",
    )


def pixels_so_far(
    pipe: Any, step: SamplingStep, count: int, size: tuple[int, int] | None
) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    """The clean pictures predicted by a step, `count` of them; None where the latents cannot be decoded."""
    # Some pipelines (DiT) step the guided and the unguided half together.
    pictures = preview(pipe, step.clean[:count] if step.clean is not None else None, size)
    return None if pictures is None else as_uint8(pictures)


def as_uint8(images: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Floats in 0..1, shape (B, H, W, 3), as uint8; what is no number is black."""
    numbers = np.nan_to_num(np.asarray(images, dtype=np.float32))
    return np.asarray((numbers.clip(0, 1) * 255).round(), dtype=np.uint8)
