"""What the demo's image models are asked to forget and to keep: pictures with the text states of their prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from app.demo.image_data import FORGET_STYLE, OBJECTS, STYLES, Pictures, data_set, prompt
from backends.image.patch_pipeline import PatchDiffusionPipeline, to_latents
from backends.unlearning.image_batches import Concepts
from backends.unlearning.image_methods import METHODS
from backends.unlearning.image_training import Checkpoint, solved, trajectory

ANCHOR_STYLE = "sepia"
"""What the forgotten style is relabelled to (SalUn): the style after it."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """How a method is run for the demo.

    Attributes:
        trains: the weights it moves, part of their names; it goes into the recipe's identity.
        rate: Adam's learning rate.
        checkpoints: steps after which weights are kept.
        settings: of the method, beside rate, batch and seed.
    """

    trains: str
    rate: float
    checkpoints: tuple[int, ...]
    settings: Mapping[str, float] = field(default_factory=dict)


RUNS: Mapping[str, DemoRun] = {
    "ESD": DemoRun("attn2", 4e-4, (5, 10, 20, 40, 80), {"eta": 1.5}),
    "SalUn": DemoRun("transformer_blocks", 4e-4, (5, 10, 20, 40, 80, 160), {"alpha": 1.0, "share": 0.5}),
    "GradAscent": DemoRun("transformer_blocks", 3e-4, (5, 10, 20, 30, 50)),
    "UCE": DemoRun("attn2.to_", 0.0, (20, 40, 60, 80, 100), {"alpha": 1.0, "damping": 0.5}),
}
"""By the method's name. UCE is solved for: its checkpoints are per cent of the way."""


def checkpoints(name: str, pipe: PatchDiffusionPipeline, data: Concepts, seed: int) -> Iterator[Checkpoint]:
    """What a method makes of the demo's original on the way."""
    run, method = RUNS[name], METHODS[name]
    settings = {**run.settings, "lr": run.rate, "batch": 32, "seed": seed}
    if method.loss is None:
        for step in run.checkpoints:
            yield Checkpoint(step, solved(method, settings, pipe.unet, data, step / 100), 0.0)
    else:
        yield from trajectory(method, settings, run.checkpoints, pipe.unet, pipe.scheduler, data)


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
