"""The clean picture that one step of a scheduler predicts: told by the scheduler, or worked out from what it was given.

Knows schedulers' conventions; nothing about pipelines or pictures.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class StepInput(NamedTuple):
    """What a scheduler's step was given.

    Attributes:
        said: the model's output, shape as `noisy`.
        timestep: of this step.
        noisy: x_t.
        place: index in the scheduler's `sigmas`; None where it keeps none.
    """

    said: Tensor
    timestep: Any
    noisy: Tensor
    place: int | None


def given(scheduler: Any, step: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What the step is about to be given; None where it takes something else than output, timestep and sample."""
    names = list(inspect.signature(step).parameters)
    held = {**dict(zip(names, args, strict=False)), **kwargs}
    said, noisy = held.get("model_output"), held.get("sample")
    if not isinstance(said, Tensor) or not isinstance(noisy, Tensor) or said.shape != noisy.shape:
        return None
    timestep = held.get("timestep", held.get("timesteps"))
    return StepInput(said, timestep, noisy, _index(scheduler, timestep))


def clean_of(scheduler: Any, output: Any, before: StepInput | None) -> Tensor | None:
    """The clean latents predicted by a step; x_t where neither the scheduler nor its formula tells them.

    Args:
        scheduler: after the step.
        output: what the step returned, with or without `return_dict`.
        before: what it was given.
    """
    parts = tuple(output.values()) if isinstance(output, dict) else tuple(output)
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if len(tensors) > 1 or before is None:
        return tensors[-1] if tensors else None
    signal = _alpha_sigma(scheduler, before)
    kind = _kind(scheduler)
    if signal is None or kind is None:
        return tensors[-1] if tensors else None
    if hasattr(
        scheduler, "precondition_outputs"
    ):  # EDM (Karras et al. 2022): the model says neither of the below
        preconditioned: Tensor = scheduler.precondition_outputs(before.noisy, before.said, signal[1])
        return preconditioned
    alpha, sigma = (value.to(before.noisy.device, torch.float32) for value in signal)
    noisy, said = before.noisy.float(), before.said.float()
    if kind == "sample":
        clean = said
    elif kind == "epsilon":
        clean = (noisy - sigma * said) / alpha
    elif kind == "v_prediction":
        clean = alpha * noisy - sigma * said
    else:  # flow: noise - clean is what the model says (Lipman et al. 2023, with x_t = (1 - t) x_0 + t noise)
        clean = noisy - sigma * said
    return clean.to(before.noisy.dtype)


def said_for(scheduler: Any, clean: Tensor, before: StepInput) -> Tensor | None:
    """What a model would say that knows the clean latents: `clean_of` the other way round; None where neither is known.

    Args:
        scheduler: before the step.
        clean: shape as `before.noisy`.
        before: what the step is about to be given.
    """
    signal, kind = _alpha_sigma(scheduler, before), _kind(scheduler)
    if signal is None or kind is None or hasattr(scheduler, "precondition_outputs"):
        return None
    alpha, sigma = (value.to(before.noisy.device, torch.float32) for value in signal)
    noisy, known = before.noisy.float(), clean.float()
    if kind == "sample":
        said = known
    elif kind == "epsilon":
        said = (noisy - alpha * known) / sigma
    elif kind == "v_prediction":
        said = alpha * (noisy - alpha * known) / sigma - sigma * known
    else:
        said = (noisy - known) / sigma
    return said.to(before.said.dtype)


def is_flow(scheduler: Any) -> bool:
    """Whether x_t is a straight line from the picture to the noise, and the model says its direction."""
    return _kind(scheduler) == "flow_prediction"


def _kind(scheduler: Any) -> str | None:
    if type(scheduler).__name__.startswith("FlowMatch"):
        return "flow_prediction"
    kind: str | None = scheduler.config.get("prediction_type")
    return kind if kind in ("sample", "epsilon", "v_prediction", "flow_prediction") else None


def _index(scheduler: Any, timestep: Any) -> int | None:
    """Place of this step in `sigmas`, which the first step only finds while it runs."""
    index = getattr(scheduler, "step_index", None)
    if index is not None or not hasattr(scheduler, "sigmas"):
        return index
    begin: int | None = getattr(scheduler, "begin_index", None)
    if begin is not None:
        return begin
    if not hasattr(scheduler, "index_for_timestep"):
        return None
    if isinstance(timestep, Tensor):
        timestep = timestep.to(scheduler.timesteps.device)
    return int(scheduler.index_for_timestep(timestep))


def _alpha_sigma(scheduler: Any, before: StepInput) -> tuple[Tensor, Tensor] | None:
    """Alpha and sigma of x_t = alpha x_0 + sigma noise, before the step."""
    if before.place is not None and hasattr(scheduler, "sigmas"):
        sigma = torch.as_tensor(scheduler.sigmas[before.place])
        if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):
            alpha, sigma = scheduler._sigma_to_alpha_sigma_t(sigma)
            return torch.as_tensor(alpha), torch.as_tensor(sigma)
        return (1 - sigma if is_flow(scheduler) else torch.ones_like(sigma)), sigma
    if not hasattr(scheduler, "alphas_cumprod") or before.timestep is None:
        return None
    timestep = int(before.timestep)
    kept = scheduler.alphas_cumprod[min(max(timestep, 0), len(scheduler.alphas_cumprod) - 1)]
    return kept.sqrt(), (1 - kept).sqrt()
