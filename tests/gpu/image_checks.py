"""Image models on a device against the CPU: from the same noise, in other number formats, alone and in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest
from backends.study import ModelSpec, Sampling
from tests.gpu.materials import TINY_PROMPTS, Materials
from tests.gpu.rows import Outcome, within

STEP = 1.0
"""Of 255: what rounding to whole numbers may make of two nearly equal pictures."""

Pictures = NDArray[np.int16]


def drawing(device: str, spec: ModelSpec, dtype: str = "float32") -> DiffusionModels:
    """The product's image models on a device."""
    models = DiffusionModels(device, dtype)
    models.add(spec)
    return models


def pictures(models: DiffusionModels, requests: Sequence[ImageRequest], sampling: Sampling) -> Pictures:
    """All pictures, drawn in one call, shape (N, height, width, 3), 0 to 255."""
    drawn = {
        part.index: part.pixels for part in models.sample(requests, sampling, lambda: False) if part.done
    }
    return np.stack([drawn[index] for index in range(len(requests))]).astype(np.int16)


def asked(name: str, prompts: Sequence[str] = TINY_PROMPTS) -> list[ImageRequest]:
    """A picture of each prompt, each from a noise of its own."""
    return [ImageRequest(name, prompt, seed) for seed, prompt in enumerate(prompts)]


def apart(one: Pictures, other: Pictures) -> float:
    """Largest difference of a colour value, of 255."""
    return float(np.abs(one - other).max())


def pictures_agree(given: Materials) -> Outcome:
    """The CPU and the device draw the same from the same noise."""
    requests = asked(given.pictures.name)
    found = [
        pictures(drawing(device, given.pictures), requests, given.sampling)
        for device in ("cpu", given.device)
    ]
    return within(
        apart(*found), STEP, " of 255", f" over {len(requests)} pictures of {given.sampling.steps} steps"
    )


def stable_diffusion_agrees(given: Materials) -> Outcome:
    """So does a pipeline of Stable Diffusion's shape: two steps, as the CPU takes long for one."""
    requests, few = asked(given.wide.name)[:1], Sampling(steps=2, guidance=7.5)
    found = [pictures(drawing(device, given.wide), requests, few) for device in ("cpu", given.device)]
    return within(apart(*found), STEP, " of 255", " after two steps")


def half_precision(given: Materials) -> Outcome:
    """What bfloat16 changes on the device; only measured, as it is never the product's own choice for pictures."""
    requests = asked(given.pictures.name)
    whole, half = (
        pictures(drawing(given.device, given.pictures, dtype), requests, given.sampling)
        for dtype in ("float32", "bfloat16")
    )
    return Outcome(f"mean {np.abs(whole - half).mean():.2g}, largest {apart(whole, half):.0f} of 255")


def judgements_agree(given: Materials) -> Outcome:
    """The CPU and the device judge alike, also where TF32 was on before."""
    from backends.pool import ModelPool

    drawn = pictures(drawing("cpu", given.pictures), asked(given.pictures.name), given.sampling)
    found = []
    for device in ("cpu", given.device):
        torch.backends.cudnn.allow_tf32 = True
        (judge,) = ModelPool(device).judges([given.judge])
        judged = judge.judge(list(drawn.astype(np.uint8)))
        known = [each.judgement.probabilities for each in judged if each is not None]
        found.append(np.array([list(each.values()) for each in known]))
    return within(float(np.abs(found[0] - found[1]).max()), 1e-4, "", " of a probability")


def batches_do_not_matter(given: Materials) -> Outcome:
    """A picture is the same alone and among others."""
    models, requests = drawing(given.device, given.pictures), asked(given.pictures.name)
    alone = np.concatenate([pictures(models, [request], given.sampling) for request in requests])
    return within(apart(pictures(models, requests, given.sampling), alone), STEP, " of 255")


def files_give_one_picture(given: Materials) -> Outcome:
    """Files that are loaded twice draw the same bit for bit: the check that every evaluation begins with."""
    models = drawing(given.device, given.pictures)
    said = models.identity_check(given.pictures.name, given.sampling)
    return Outcome(said or "equal bit for bit", "equal", "FAIL" if said else "pass")
