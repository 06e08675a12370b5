"""What an unlearning run of a diffusion model sees: prompts, pictures of them, their latents and text states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backends.errors import Cancelled
from backends.image.denoising import picture_latents, pixel_latents
from backends.image.real_pictures import RealPicture, real_pictures
from backends.interfaces import Stop
from backends.study import Sampling, Study
from backends.unlearning.image_batches import EMPTY, Concepts
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.image_prompts import prompts_of, relabelled


@torch.no_grad()
def gather(
    pipe: Any, study: Study, chosen: ImageMethod, settings: Mapping[str, float], anchor: str, stop: Stop
) -> Concepts:
    """Latents and text states of everything that the run sees.

    Raises:
        Cancelled: it was stopped while pictures were drawn.
    """
    prompts = prompts_of(study, anchor)
    shown, kept = named_pictures(study)
    count = int(settings.get("pictures", 1))
    forget_prompts = [p.prompt for p in shown] or [each for each in prompts.forget for _ in range(count)]
    retain_prompts = [p.prompt for p in kept] or [each for each in prompts.retain for _ in range(count)]
    others = [relabelled(study, prompt, anchor) for prompt in forget_prompts]
    latents = [
        torch.cat([picture_latents(pipe, picture) for picture in real])
        if real
        else _drawn(pipe, study.sampling, int(settings["seed"]), texts, stop)
        for real, texts in ((shown, forget_prompts), (kept, retain_prompts))
    ]
    drawn = (
        _drawn(pipe, study.sampling, int(settings["seed"]), others, stop)
        if "anchor" in chosen.needs
        else EMPTY
    )
    whole = chosen.component == "text_encoder"
    return Concepts(
        forget=latents[0],
        states=_states(pipe, forget_prompts),
        relabelled=_states(pipe, others),
        empty=_states(pipe, [""]),
        retain=latents[1],
        retain_states=_states(pipe, retain_prompts),
        anchor=drawn,
        tokens=_tokens(pipe, forget_prompts) if whole else EMPTY,
        retain_tokens=_tokens(pipe, retain_prompts) if whole else EMPTY,
    )


def named_pictures(study: Study) -> tuple[list[RealPicture], list[RealPicture]]:
    """Real pictures to forget and to keep, where the study names both."""
    named = study.denoising
    if named is None or not named.forget or not named.retain:
        return [], []
    return real_pictures(Path(named.forget)), real_pictures(Path(named.retain))


def _tokens(pipe: Any, prompts: Sequence[str]) -> Tensor:
    batch = pipe.tokenizer(
        list(prompts),
        padding="max_length",
        max_length=pipe.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    ids: Tensor = batch["input_ids"].to(pipe.text_encoder.device)
    return ids


def _states(pipe: Any, prompts: Sequence[str]) -> Tensor:
    """Text states, shape (B, T, D); each prompt through the encoder once."""
    unique = list(dict.fromkeys(prompts))
    parts = [
        pipe.text_encoder(_tokens(pipe, unique[i : i + 16])).last_hidden_state
        for i in range(0, len(unique), 16)
    ]
    states = torch.cat(parts)
    return states[[unique.index(prompt) for prompt in prompts]]


def _drawn(pipe: Any, sampling: Sampling, seed: int, prompts: Sequence[str], stop: Stop) -> Tensor:
    """Latents of pictures that the original draws, one a prompt, each from a seed of its own."""
    tensors: list[Tensor] = []
    pipe.set_progress_bar_config(disable=True)
    for i in range(0, len(prompts), 8):
        if stop():
            raise Cancelled
        texts = list(prompts[i : i + 8])
        generators = [torch.Generator().manual_seed(1000 * seed + i + j) for j in range(len(texts))]
        images = pipe(
            texts,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance,
            generator=generators,
            output_type="np",
        ).images
        pixels = torch.from_numpy((np.asarray(images) * 255).round().astype(np.uint8))
        tensors.append(pixel_latents(pipe, pixels))
    return torch.cat(tensors)
