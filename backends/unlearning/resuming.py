"""Weights under training with their optimiser's moments and what dropout draws from, as tensors and back; and the most
memory a run took.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from backends.device import device_kind

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def kept_weights(
    parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Copies of weights and of Adam's moments, on the CPU."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        tensors[f"weight:{name}"] = parameter.detach().cpu().clone()
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"{key}:{name}"] = torch.as_tensor(value).cpu().clone()
    return tensors


@torch.no_grad()
def restore_weights(
    state: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> None:
    """Undo what happened since `kept_weights`."""
    for name, parameter in parameters.items():
        parameter.copy_(state[f"weight:{name}"].to(parameter))
        moments = {
            key: state[f"{key}:{name}"].to("cpu" if key == "step" else parameter.device)
            for key in _MOMENTS
            if f"{key}:{name}" in state
        }
        if moments:
            optimiser.state[parameter] = moments


def random_state(device: str) -> dict[str, Tensor]:
    """States of the generators that dropout draws from: the CPU's, and the device's own."""
    states = {"random": torch.get_rng_state()}
    if device_kind(device) == "cuda":
        states["random:device"] = torch.cuda.get_rng_state(device)
    elif device_kind(device) == "mps":
        states["random:device"] = torch.mps.get_rng_state()
    return states


def restore_random(state: Mapping[str, Tensor], device: str) -> None:
    """Draw from here on what was drawn after `random_state`."""
    torch.set_rng_state(state["random"])
    own = state.get("random:device")  # runs that were stopped by earlier versions have none
    if own is not None and device_kind(device) == "cuda":
        torch.cuda.set_rng_state(own, device)
    elif own is not None and device_kind(device) == "mps":
        torch.mps.set_rng_state(own)


def count_memory(device: str) -> None:
    """Count the device's peak from here on, where that is possible."""
    if device_kind(device) == "cuda":
        torch.cuda.init()  # for a device with a number, the line below does not
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: str) -> int:
    """Most memory so far: of the device where that can be told, else of the process."""
    if device_kind(device) == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
