"""What the demo's image models are asked to forget and to keep: pictures with the text states of their prompts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from app.demo.image_data import FORGET_STYLE, OBJECTS, STYLES, Pictures, data_set, prompt
from backends.image.patch_pipeline import PatchDiffusionPipeline, to_latents
from backends.unlearning.image_training import Concepts

ANCHOR_STYLE = "sepia"
"""What the forgotten style is relabelled to (SalUn): the style after it."""


def concepts(pipe: PatchDiffusionPipeline, per_concept: int = 16) -> Concepts:
    """The forgotten style on all objects, relabelled to the anchor, and all other styles to retain."""
    pictures = data_set(per_concept)
    forgotten = pictures.styles == STYLES.index(FORGET_STYLE)
    forget, retain = pictures.keep(forgotten), pictures.keep(~forgotten)
    relabelled = [prompt(OBJECTS[index], ANCHOR_STYLE) for index in forget.objects]
    return Concepts(
        forget=_latents(pipe, forget),
        states=_states(pipe, _prompts(forget)),
        relabelled=_states(pipe, relabelled),
        empty=_states(pipe, [""]),
        retain=_latents(pipe, retain),
        retain_states=_states(pipe, _prompts(retain)),
    )


def _prompts(pictures: Pictures) -> list[str]:
    return [prompt(OBJECTS[o], STYLES[s]) for o, s in zip(pictures.objects, pictures.styles, strict=True)]


def _latents(pipe: PatchDiffusionPipeline, pictures: Pictures) -> Tensor:
    return to_latents(torch.from_numpy(pictures.pixels), pipe.patch)


@torch.no_grad()
def _states(pipe: PatchDiffusionPipeline, prompts: Sequence[str]) -> Tensor:
    return pipe.encode(prompts)
