"""Pipelines that sample differently with the same weights: Safe Latent Diffusion, SAFREE's projection, negative
prompts.

A pipeline makes its guided prediction as u + g (c - u), of an unconditional prediction u and a conditional one c. What
is steered here is c, seen from outside of the pipeline's loop: its schedulers, previews and noise stay as they are.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from backends.errors import CheckpointError
from backends.image.conditions import is_guided, joined, noise_per_prediction, text_states
from backends.image.safree import Projection, projection
from backends.study.inference import Inference, described


@dataclass(frozen=True, slots=True)
class SafetySettings:
    """Numbers of Safe Latent Diffusion.

    Attributes:
        warmup: calls of the denoiser before the first that is steered (delta).
        scale: of the guidance (s_S).
        threshold: difference of a prediction from the concept's below which it is steered (lambda).
        momentum: scale of what earlier steps add (s_m).
        beta: how much of the earlier momentum is kept (beta_m).
    """

    warmup: int
    scale: float
    threshold: float
    momentum: float
    beta: float


SLD: Mapping[str, SafetySettings] = MappingProxyType(
    {
        "weak": SafetySettings(15, 20, 0.0, 0.0, 0.0),
        "medium": SafetySettings(10, 1000, 0.01, 0.3, 0.4),
        "strong": SafetySettings(7, 2000, 0.025, 0.5, 0.7),
        "max": SafetySettings(0, 5000, 1.0, 0.5, 0.7),
    }
)
"""Hyp-Weak to Hyp-Max of Schramowski et al. 2023 as in diffusers' `SafetyConfig`; other code has 200 for weak's 20."""


LEAST_NOISE = 1e-6


def sld_guidance(
    text: Tensor, empty: Tensor, concept: Tensor, momentum: Tensor, safety: SafetySettings
) -> tuple[Tensor, Tensor]:
    """What SLD takes away from the text's prediction, and the momentum afterwards (equations 4 to 8 of the paper).

    All are predictions of the noise, shape (B, C, h, w): of the prompt, of the empty (or negative) prompt, and of the
    concept.
    """
    apart = text - concept
    weight = torch.where(apart >= safety.threshold, 0.0, (apart.abs() * safety.scale).clamp(max=1.0))
    taken = (concept - empty) * weight + safety.momentum * momentum
    return taken, safety.beta * momentum + (1 - safety.beta) * taken


def check_inference(pipe: Any, inference: Inference, where: str) -> None:
    """Refuse a way of sampling that this pipeline does not have.

    Raises:
        CheckpointError: SLD or SAFREE for a pipeline that makes no guided prediction of the known form.
    """
    if inference.sld and not _steerable(pipe):
        raise CheckpointError(
            f"SLD supports Stable Diffusion 1, 2 and XL, and this is a {type(pipe).__name__}",
            where=where,
            how="Remove `sld`, or use a negative prompt if the pipeline has one",
        )
    if inference.safree and not _steerable(pipe):
        raise CheckpointError(
            f"SAFREE supports Stable Diffusion 1, 2 and XL, and this is a {type(pipe).__name__}",
            where=where,
            how="Leave out `safree`",
        )


def without_effect(pipe: Any, inference: Inference, negative: str, guidance: float, steps: int) -> str:
    """A sentence on what of these settings changes no picture; "" where all do."""
    sld = SLD[inference.sld] if inference.sld else None
    what = [f"the negative prompt ({negative[:60]})"] if negative else []
    what += ["SLD"] if sld is not None else []
    if not what:
        return ""
    together = " and ".join(what)
    has = "have" if len(what) > 1 else "has"
    if negative and not takes_negative(pipe):
        return f"{type(pipe).__name__} has no negative prompt, so {what[0]} has no effect"
    if not is_guided(pipe, guidance):
        return f"at guidance {guidance:g} there is no guidance, so {together} {has} no effect"
    if sld is not None and steps <= sld.warmup:
        return (
            f"SLD {inference.sld} begins after {sld.warmup} steps, and with {steps} steps it has no effect: use more "
            "steps (the authors use 50)"
        )
    return ""


def takes_negative(pipe: Any) -> bool:
    """Whether a pipeline guides away from a negative prompt by the scale that we give it (Flux has another for it)."""
    known = inspect.signature(pipe.__call__).parameters
    return "negative_prompt" in known and "true_cfg_scale" not in known


def guided(pipe: Any, inference: Inference, prompts: Sequence[str], guidance: float) -> Any:
    """The pipeline for one call with these prompts, steered as asked; the pipeline itself if there is nothing to do.

    Its weights are the pipeline's. It must not be called twice: SLD's momentum is one call's.
    """
    if not inference.sld and not inference.safree:
        return pipe
    steered = copy.copy(pipe.unet)
    steered.forward = _SteeredDenoiser(
        pipe.unet,
        pipe.scheduler,
        guided=is_guided(pipe, guidance),
        conditional_first=hasattr(pipe, "patch"),
        safety=SLD[inference.sld] if inference.sld else None,
        concept=text_states(pipe, [inference.concept]) if inference.sld else None,
        projections=[projection(pipe, prompt, inference.safree, inference.alpha) for prompt in prompts]
        if inference.safree
        else (),
    )
    other = copy.copy(pipe)
    other.unet = steered
    return other


class _SteeredDenoiser:
    """A denoiser's forward whose conditional half is steered; all else is as the denoiser says it."""

    def __init__(
        self,
        denoiser: Any,
        scheduler: Any,
        *,
        guided: bool,
        conditional_first: bool,
        safety: SafetySettings | None,
        concept: tuple[Tensor, Tensor | None] | None,
        projections: Sequence[Projection],
    ) -> None:
        self._denoiser, self._scheduler = denoiser, scheduler
        self._guided, self._first = guided, conditional_first
        self._safety, self._concept = safety, concept
        self._projections = projections
        self._momentum: Tensor | None = None
        self._calls = 0
        self._signature = inspect.signature(denoiser.forward)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = self._signature.bind(*args, **kwargs).arguments
        if self._projections:
            given["encoder_hidden_states"] = self._projected(given["encoder_hidden_states"])
        output = self._denoiser(**given)
        if self._safety is None or not self._guided:
            return output
        whole = output[0] if isinstance(output, tuple) else output.sample
        steered = self._away(whole, given)
        return (steered, *output[1:]) if isinstance(output, tuple) else type(output)(sample=steered)

    def _halves(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """The conditional half and the other."""
        first, last = both.chunk(2)
        return (first, last) if self._first else (last, first)

    def _projected(self, states: Tensor) -> Tensor:
        text, empty = self._halves(states) if self._guided else (states, None)
        changed = torch.stack([each.of(own) for each, own in zip(self._projections, text, strict=True)])
        return changed if empty is None else joined(changed, empty, conditional_first=self._first)

    def _away(self, whole: Tensor, given: Mapping[str, Any]) -> Tensor:
        assert self._safety is not None
        self._calls += 1
        text, empty = self._halves(whole)
        concept = self._of_concept(given)
        timestep = torch.as_tensor(given["timestep"]).flatten()[0]
        noise = noise_per_prediction(self._scheduler, timestep)
        if (
            abs(noise) < LEAST_NOISE
        ):  # pure noise: what is predicted says nothing of it, so nothing is steered
            return whole
        momentum = torch.zeros_like(text) if self._momentum is None else self._momentum
        taken, self._momentum = sld_guidance(
            text * noise, empty * noise, concept * noise, momentum, self._safety
        )
        if self._calls <= self._safety.warmup:
            return whole
        return joined(text - taken / noise, empty, conditional_first=self._first)

    def _of_concept(self, given: Mapping[str, Any]) -> Tensor:
        """The denoiser's prediction of the same latents for the concept."""
        assert self._concept is not None
        states, pooled = self._concept
        asked = {name: self._own(value) for name, value in given.items()}
        count = self._halves(given["encoder_hidden_states"])[0].shape[0]
        asked["encoder_hidden_states"] = states.to(given["encoder_hidden_states"]).expand(count, -1, -1)
        if pooled is not None and given.get("added_cond_kwargs"):
            added = {name: self._own(value) for name, value in given["added_cond_kwargs"].items()}
            added["text_embeds"] = pooled.to(added["text_embeds"]).expand(count, -1)
            asked["added_cond_kwargs"] = added
        said = self._denoiser(**asked)
        found: Tensor = said[0] if isinstance(said, tuple) else said.sample
        return found

    def _own(self, value: Any) -> Any:
        """The conditional half of what has a row for each picture; everything else as it stands."""
        return self._halves(value)[0] if isinstance(value, Tensor) and value.ndim else value


def _steerable(pipe: Any) -> bool:
    """Whether the pipeline asks its denoiser once a step, with both halves in one batch, as the known families do."""
    name = type(pipe).__name__
    return hasattr(pipe, "patch") or name in ("StableDiffusionPipeline", "StableDiffusionXLPipeline")


def report_line(inference: Inference, embeddings: Sequence[str], *, weights: bool) -> str:
    """What a model is beside its weights, a sentence for its report."""
    ways = [described(inference)] if inference.said else []
    whose = "the weights above" if weights else "same weights as the original"
    return "; ".join([whose, *ways, *embeddings])
