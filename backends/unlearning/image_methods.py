"""The image methods with the settings of their papers: losses, which weights they train, sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from torch import Tensor

from backends.unlearning import image_losses as losses
from backends.unlearning.image_losses import Batch, Denoiser
from backends.unlearning.settings import Setting, Settings

Loss = Callable[[Denoiser, Denoiser, Batch, Settings], Tensor]
"""Of the edited denoiser, the frozen original, a batch and the settings: what is minimised, without the retain term."""
Need = Literal["anchor", "uniform", "fisher", "mask"]
"""anchor: pictures of the other concept; uniform: uniform noise; fisher: how much each weight matters to the retain
pictures; mask: the saliency of each weight for the forget pictures."""


@dataclass(frozen=True, slots=True)
class ImageMethod:
    """A method as people choose it.

    Attributes:
        name: as on every page.
        about: one sentence.
        source: paper.
        loss: of the forget pictures; None where the weights are solved for.
        trains: parts of weights' names, any of which a weight's name has; "" has all.
        spares: part of a name that keeps a weight from being trained.
        needs: what the loss uses beside pictures, prompts and their noise.
        component: what of the pipeline is trained.
        balanced: the weight of the retain gradient's counterpart is found at each step (EraseDiff).
        usual: settings whose value differs from the common one.
        own: further settings, in the order they are shown.
    """

    name: str
    about: str
    source: str
    loss: Loss | None
    trains: tuple[str, ...] = ("",)
    spares: str = ""
    needs: tuple[Need, ...] = ()
    component: Literal["unet", "text_encoder"] = "unet"
    balanced: bool = False
    usual: Settings = field(default_factory=lambda: MappingProxyType({}))
    own: Mapping[str, Setting] = field(default_factory=lambda: MappingProxyType({}))

    def trained(self, name: str) -> bool:
        """Whether a weight of the component is trained."""
        return any(part in name for part in self.trains) and not (self.spares and self.spares in name)


def _esd(edited: Denoiser, original: Denoiser, batch: Batch, use: Settings) -> Tensor:
    return losses.esd_loss(edited, original, batch, use["eta"])


def _plain(loss: Callable[[Denoiser, Denoiser, Batch], Tensor]) -> Loss:
    return lambda edited, original, batch, _: loss(edited, original, batch)


def _adversarial(edited: Denoiser, original: Denoiser, batch: Batch, use: Settings) -> Tensor:
    return losses.adversarial_loss(original, batch, use["eta"], use["radius"], int(use["pushes"]))


ETA = MappingProxyType(
    {"eta": Setting(0.0, 100.0, "How far past the empty prompt the concept is pushed; 1: just there.", 2.0)}
)
_ESD = "Gandikota et al. 2023"
_ATTENTION = ("transformer_blocks",)


def _listed(*methods: ImageMethod) -> Mapping[str, ImageMethod]:
    return MappingProxyType({each.name: each for each in methods})


METHODS = _listed(
    ImageMethod(
        "ESD", "Trains all cross-attention away from the concept (ESD-x).", _ESD, _esd, ("attn2",), own=ETA,
    ),
    ImageMethod(
        "ESDu", "The same on everything but cross-attention (ESD-u).", _ESD, _esd, spares="attn2", own=ETA,
        usual={"lr": 1e-4},
    ),
    ImageMethod(
        "ESDstrict", "The same on keys and values of cross-attention alone (ESD-x-strict).", _ESD, _esd,
        ("attn2.to_k", "attn2.to_v"), own=ETA,
    ),
    ImageMethod(
        "UCE", "Solves for keys and values that take the concept for another.", "Gandikota et al. 2024", None,
        ("attn2.to_k", "attn2.to_v"), usual={"steps": 100, "alpha": 1.0},
        own={"damping": Setting(1e-6, 1e6, "How much any change costs.", 0.5)},
    ),
    ImageMethod(
        "SalUn", "Relabels the concept, in the weights that matter to it most.", "Fan et al. 2024",
        _plain(losses.relabelling_loss), _ATTENTION, needs=("mask",), usual={"alpha": 1.0},
        own={"share": Setting(0.01, 1.0, "Share of the weights that are trained.", 0.5)},
    ),
    ImageMethod(
        "ConceptAblation", "Makes the concept's prompt do what another's does.", "Kumari et al. 2023",
        _plain(losses.concept_ablation_loss), ("attn2",), needs=("anchor",), usual={"alpha": 1.0},
    ),
    ImageMethod(
        "SelectiveAmnesia", "Trains the concept on other pictures, with weights held that matter elsewhere.",
        "Heng and Soh 2023", _plain(losses.amnesia_loss), _ATTENTION, needs=("anchor", "fisher"),
        usual={"alpha": 1.0},
        own={"ewc": Setting(0.0, 1e9, "Price of moving a weight, times its Fisher information.", 50.0)},
    ),
    ImageMethod(
        "EraseDiff", "Trains the concept to noise, only as far as the rest allows.", "Wu et al. 2024",
        _plain(losses.erase_diff_loss), _ATTENTION, needs=("uniform",), balanced=True, usual={"alpha": 1.0},
        own={"push": Setting(0.0, 100.0, "How firmly the forgetting gradient is followed.", 0.1)},
    ),
    ImageMethod(
        "GradAscent", "Makes pictures of the concept unlikely, without end: it collapses.", "Thudi et al. 2022",
        _plain(losses.gradient_ascent_loss), _ATTENTION, usual={"lr": 3e-4},
    ),
    ImageMethod(
        "AdvText", "ESD on the text encoder, under attack while it learns (AdvUnlearn-like).", "Zhang et al. 2024",
        _adversarial, component="text_encoder", usual={"alpha": 1.0},
        own={
            **ETA,
            "radius": Setting(0.0, 10.0, "Most that the attack changes a text state; 0: no attack.", 0.1),
            "pushes": Setting(1, 100, "Steps of the attack.", 3, whole=True),
        },
    ),
)  # fmt: skip
"""By name."""
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "lr": Setting(1e-8, 1.0, "Learning rate of Adam.", 4e-4),
        "steps": Setting(
            1, 100_000, "Optimiser steps; of a solved method, per cent of the way.", 80, whole=True
        ),
        "batch": Setting(1, 256, "Pictures to forget a step, and as many to keep.", 32, whole=True),
        "alpha": Setting(0.0, 1000.0, "Weight of the pictures to keep.", 0.0),
        "seed": Setting(
            0, 2**31 - 1, "The same recipe with the same seed gives the same weights.", 0, whole=True
        ),
        "pictures": Setting(
            1, 64, "Pictures drawn of each prompt where no real ones are named.", 2, whole=True
        ),
        "stop_below": Setting(
            0.0,
            1.0,
            "Stop at the first checkpoint with less than this share of the utility; 0.95: down 5 %.",
            0.0,
        ),
    }
)
"""Settings that every image method has."""
