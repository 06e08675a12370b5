"""Modules that share tensors: copies that differ in a few, and mixtures of two modules. No names of models or files."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from backends.errors import CheckpointError


def with_changes(module: nn.Module, changes: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the module with these tensors in it; all others are the module's own tensors."""
    shared: dict[int, object] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    result: nn.Module = copy.deepcopy(module, shared)
    for name, tensor in changes.items():
        put(result, name, tensor)
    return result


def mixed(start: nn.Module, end: nn.Module, share: float, *, where: str) -> dict[str, Tensor]:
    """Start + share (end - start) of the tensors in which the two differ, in the type of `start`.

    Tied tensors appear under each of their names.

    Raises:
        CheckpointError: the two do not have the same tensors, or nothing differs.
    """
    ours, theirs = start.state_dict(), end.state_dict()
    shapes = [{name: tensor.shape for name, tensor in held.items()} for held in (ours, theirs)]
    other = sorted(name for name in ours.keys() | theirs.keys() if shapes[0].get(name) != shapes[1].get(name))
    if other:
        raise CheckpointError(
            f"the two models do not have the same tensors ({other[0][:120]})",
            where=where,
            how="Interpolate between checkpoints of one architecture",
        )
    changes: dict[str, Tensor] = {}
    for name, tensor in ours.items():
        if tensor.is_floating_point() and not torch.equal(tensor, theirs[name].to(tensor)):
            changes[name] = between(tensor, theirs[name], share)
    return changes


def between(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Start + share (end - start), computed in float32 at least."""
    wide = torch.promote_types(start.dtype, torch.float32)
    origin = start.to(wide)
    return (origin + share * (end.to(origin) - origin)).to(start.dtype)


def put(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Set a parameter or buffer by its dotted name."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if leaf in owner._parameters:
        tensor = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)
        owner._parameters[leaf] = tensor
    else:
        owner._buffers[leaf] = tensor
