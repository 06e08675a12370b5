"""Unlearned weights beside the original's: only what differs takes memory, and a file that does not fit is refused.

Knows modules and tensors; nothing about pipelines or sampling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backends.checkpoints.mixing import between, put
from backends.errors import CheckpointError
from backends.image.checkpoints.version_files import read_tensors
from backends.image.checkpoints.version_shapes import States, VersionWeights, recognised


def read_version(
    path: Path,
    base: States,
    configs: Mapping[str, Mapping[str, Any]],
    *,
    ema: bool = False,
    stored: Mapping[str, torch.dtype] = MappingProxyType({}),
) -> VersionWeights:
    """What a file or folder of unlearned weights changes, in the base's type and on its device; the rest is dropped.

    A tensor that equals the base's in the narrower of the two files' types is unchanged: float16 weights beside a
    float32 base differ by rounding only.

    Args:
        path: file or folder.
        base: component -> name -> tensor of the original.
        configs: of the original's components.
        ema: take the averaged copy.
        stored: component -> type in which the original's files hold it; that of its tensors where nothing is said.

    Raises:
        CheckpointError: no name or no shape fits, a weight is no number, or nothing differs: shown, it would be the
            original under another name.
    """
    version = recognised(read_tensors(path), path, base, configs, ema=ema)
    changed: dict[str, dict[str, Tensor]] = {}
    rounded = 0
    for component, tensors in version.tensors.items():
        for name, tensor in tensors.items():
            own = base[component][name]
            if tensor is own:
                continue
            narrow = narrower(stored.get(component, own.dtype), tensor.dtype)
            if torch.equal(tensor.to(own.device, narrow), own.to(narrow)):
                rounded += not torch.equal(tensor.to(own), own)
                continue
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise CheckpointError(
                    f"{name} holds values that are NaN or infinite",
                    where=str(path),
                    how="Use an earlier checkpoint: training had diverged",
                )
            changed.setdefault(component, {})[name] = tensor.to(own)
    if not changed and not version.erasers:
        raise CheckpointError(
            f"0 % changed: all of its {sum(map(len, version.tensors.values()))} tensors equal the base model's",
            where=str(path),
            how=_why_nothing(version, ema),
        )
    matched = sum(map(len, version.tensors.values())) + sum(map(len, version.erasers.values()))
    return replace(version, tensors=changed, matched=matched, rounded=rounded)


def _why_nothing(version: VersionWeights, ema: bool) -> str:
    if version.averaged:
        return f"Set `ema = {'false' if ema else 'true'}` to take the other copy of the weights in this file"
    return "Check that the unlearned weights were saved, not the original's"


def part_of_the_way(version: VersionWeights, base: States, strength: float) -> VersionWeights:
    """The version at a strength: base + strength (version - base) of every tensor, and as much of what erasers add."""
    tensors = {
        component: {name: between(base[component][name], tensor, strength) for name, tensor in held.items()}
        for component, held in version.tensors.items()
    }
    erasers = {
        place: {
            name: tensor * strength if name.startswith("up.") else tensor for name, tensor in state.items()
        }
        for place, state in version.erasers.items()
    }
    return replace(version, tensors=tensors, erasers=erasers)


def narrower(one: torch.dtype, other: torch.dtype) -> torch.dtype:
    """The type of two in which what both hold can be compared: the one with fewer bytes, else the second."""
    if not (one.is_floating_point and other.is_floating_point):
        return other
    return one if one.itemsize < other.itemsize else other


def alike(one: Tensor, other: Tensor, stored: torch.dtype) -> bool:
    """Whether tensors are equal in the type that the narrower of their files has."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if torch.equal(one, other):
        return True
    return one.is_floating_point() and torch.equal(one.to(stored), other.to(stored))


class SharedTensors(NamedTuple):
    """How many tensors of a module differ from the base's, and how many of the shared ones by rounding."""

    differing: int
    rounded: int


def share_equal(module: nn.Module, base: nn.Module, stored: torch.dtype = torch.float64) -> SharedTensors:
    """Let the module use the base's tensors wherever they are equal in the type that the narrower file has."""
    known = {**dict(base.named_parameters()), **dict(base.named_buffers())}
    differing = rounded = 0
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        other = known.get(name)
        if other is not None and alike(other, tensor, stored):
            rounded += other is not tensor and not torch.equal(other, tensor)
            put(module, name, other)
        else:
            differing += 1
    return SharedTensors(differing, rounded)
