"""Unlearned weights beside the original's: only what differs takes memory, and a file that does not fit is refused.

Knows modules and tensors; nothing about pipelines or sampling.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from backends.errors import CheckpointError
from backends.tensors import read_header

PREFIXES = ("unet.", "transformer.")


def read_changes(path: Path, module: nn.Module) -> dict[str, Tensor]:
    """Tensors of a full or partial state dict that differ from the module's, in its type and on its device.

    Raises:
        CheckpointError: no name or no shape fits, or nothing differs: shown, it would be the original under another
            name.
    """
    read_header(path)  # refuses pickles and truncated files in plain words
    base = module.state_dict()
    try:
        found = {_bare(name): tensor for name, tensor in load_file(path).items()}
    except SafetensorError as error:
        raise CheckpointError(
            f"this is no sound safetensors file ({error})", where=str(path), how="Copy or download it again"
        ) from error
    unknown = sorted(found.keys() - base.keys())
    if unknown:
        raise CheckpointError(
            f"{len(unknown)} of its {len(found)} tensors have no counterpart in the base model, such as {unknown[0]}",
            where=str(path),
            how="Name the base that these weights were made from as the model's source",
        )
    for name, tensor in found.items():
        if tensor.shape != base[name].shape:
            raise CheckpointError(
                f"{name} has the shape {tuple(tensor.shape)}, but {tuple(base[name].shape)} in the base model",
                where=str(path),
                how="Name the base that these weights were made from as the model's source",
            )
    changed = {name: tensor.to(base[name]) for name, tensor in found.items()}
    changed = {name: tensor for name, tensor in changed.items() if not torch.equal(tensor, base[name])}
    if not changed:
        raise CheckpointError(
            f"0 % changed: all of its {len(found)} tensors equal the base model's",
            where=str(path),
            how="Check that the unlearned weights were saved, not the original's",
        )
    return changed


def with_changes(module: nn.Module, changes: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the module with these tensors in it; all others are the very tensors of the module."""
    shared: dict[int, object] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    result: nn.Module = copy.deepcopy(module, shared)
    for name, tensor in changes.items():
        _put(result, name, tensor)
    return result


def share_equal(module: nn.Module, base: nn.Module) -> int:
    """Let the module use the base's tensors wherever they are equal, bit for bit; returns how many differ."""
    known = {**dict(base.named_parameters()), **dict(base.named_buffers())}
    differing = 0
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        other = known.get(name)
        if other is not None and other.dtype == tensor.dtype and torch.equal(other, tensor):
            _put(module, name, other)
        else:
            differing += 1
    return differing


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if leaf in owner._parameters:
        tensor = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)
        owner._parameters[leaf] = tensor
    else:
        owner._buffers[leaf] = tensor
