"""Versions that share one set of modules: their changes lie on disk, and are swapped in while they sample.

A file holds, bit by bit, where the version's tensors differ from the original's (exclusive or). Applied once, in place,
it makes the original the version; applied again, the version the original, both exactly. Knows modules and tensors;
nothing about pipelines.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backends.files.places import cache_folder
from backends.image.checkpoints.version_shapes import States
from backends.image.checkpoints.weights import alike

SHARE = 0.25
"""How much of an original's bytes all the tensors that versions change may take; further versions take turns."""

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """Where the bits of one tensor differ: its place in the file, and the tensor that it is applied to."""

    component: str
    name: str
    start: int
    tensor: Tensor


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version on disk.

    Attributes:
        file: mapped; without a name in its folder, so that it is gone however the process ends.
        parts: of the file.
    """

    file: mmap.mmap
    parts: tuple[TensorDifference, ...]


def keep(modules: Mapping[str, nn.Module], changes: States) -> StoredVersion | None:
    """Write what a version changes of an original's modules; None where it cannot take turns.

    That is where the disk does not take it, or where it gives one tensor with two names two values.
    """
    pairs: dict[int, tuple[str, str, Tensor, Tensor]] = {}
    for component, tensors in changes.items():
        state = modules[component].state_dict()
        for name, changed in tensors.items():
            pair = pairs.setdefault(state[name].data_ptr(), (component, name, state[name], changed))
            if pair[3] is not changed and not torch.equal(pair[3], changed):
                return None
    parts = []
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache_folder()) as file:
            for component, name, tensor, changed in pairs.values():
                parts.append(TensorDifference(component, name, file.tell(), tensor))
                file.write(memoryview((_bits(tensor) ^ _bits(changed)).cpu().contiguous().numpy()))
            file.flush()
            return StoredVersion(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), tuple(parts))
    except OSError:
        return None


class TensorChanges(NamedTuple):
    """The tensors in which modules differ from a base's, and how many more differ by rounding only."""

    tensors: dict[str, dict[str, Tensor]]
    rounded: int


def changes_between(
    base: Mapping[str, nn.Module],
    other: Mapping[str, nn.Module],
    stored: Mapping[str, torch.dtype] = MappingProxyType({}),
) -> TensorChanges | None:
    """What of modules differs from the base's in its tensors; None where anything else differs, too.

    Args:
        base: modules by component.
        other: the same of the version.
        stored: component -> the narrower of the types that the two files have.
    """
    if base.keys() != other.keys():
        return None
    changes: dict[str, dict[str, Tensor]] = {}
    rounded = 0
    for component, module in base.items():
        ours, theirs = module.state_dict(), other[component].state_dict()
        same = type(module) is type(other[component]) and _settings(module) == _settings(other[component])
        if not same or _layout(ours) != _layout(theirs):
            return None
        for name, tensor in ours.items():
            if not alike(tensor, theirs[name], stored.get(component, tensor.dtype)):
                changes.setdefault(component, {})[name] = theirs[name]
            elif not torch.equal(tensor, theirs[name]):
                rounded += 1
    return TensorChanges(changes, rounded)


def tensors_of(kept: StoredVersion) -> dict[str, dict[str, Tensor]]:
    """The version's changed tensors, as new ones; the modules stay the original's."""
    states: dict[str, dict[str, Tensor]] = {}
    for part in kept.parts:
        bits = _bits(part.tensor) ^ _read(kept, part)
        states.setdefault(part.component, {})[part.name] = bits.view(part.tensor.dtype)
    return states


@contextmanager
def inside(kept: StoredVersion) -> Iterator[None]:
    """The modules are the version's meanwhile, and the original's afterwards, to the bit."""
    applied: list[TensorDifference] = []
    try:
        for part in kept.parts:
            difference = _read(kept, part)
            applied.append(part)
            _bits(part.tensor).bitwise_xor_(difference)
        yield
    finally:
        for part in applied:
            _bits(part.tensor).bitwise_xor_(_read(kept, part))


def _layout(state: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}


def _settings(module: nn.Module) -> dict[str, Any]:
    """What a module was made with, without where it was read from."""
    config: Any = getattr(module, "config", {})
    found = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    no_part = ("transformers_version", "architectures", "dtype", "torch_dtype")
    return {key: value for key, value in found.items() if not key.startswith("_") and key not in no_part}


def _bits(tensor: Tensor) -> Tensor:
    """The tensor's own memory as whole numbers."""
    return tensor.detach().view(_BITS[tensor.element_size()])


def _read(kept: StoredVersion, part: TensorDifference) -> Tensor:
    tensor = part.tensor
    end = part.start + tensor.numel() * tensor.element_size()
    bits = torch.frombuffer(bytearray(kept.file[part.start : end]), dtype=_BITS[tensor.element_size()])
    return bits.view(tensor.shape).to(tensor.device)
