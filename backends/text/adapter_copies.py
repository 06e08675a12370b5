"""Adapters that change more than plain LoRA does, each on a copy of the base: retrained layers, DoRA, IA3, biases,
trainable tokens, resized embeddings.

The copy shares every tensor with the base but for those that the adapter's file replaces, so the base stays the
original, and the copy is loaded by PEFT as it would be anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from backends.checkpoints.adapters import PREFIX, embeddings_in
from backends.checkpoints.language_weights import head_is_the_embedding
from backends.checkpoints.load_lock import one_load_at_a_time
from backends.checkpoints.loader_report import named
from backends.checkpoints.mixing import with_changes
from backends.checkpoints.tensors import adapter_file, read_header, read_json
from backends.checkpoints.wrapped_names import unwrapped
from backends.errors import CheckpointError
from backends.text.families import Family, with_adapter

ONLY = "a0"
"""PEFT's name of the only adapter on a copy."""


@one_load_at_a_time
def with_own_adapter(base: Family, folder: Path, name: str, device: str) -> Family:
    """A model of a base and an adapter of any kind that PEFT loads exactly.

    Args:
        base: stays as it is; no adapter is on it.
        folder: of the adapter.
        name: of the model.
        device: where the base is.

    Raises:
        CheckpointError: the adapter does not fit.
    """
    shapes = _replaced(folder)
    retrained = tuple(read_json(folder / "adapter_config.json").get("modules_to_save") or ())
    ours = dict(base.module.named_parameters(remove_duplicate=False)) | dict(base.module.named_buffers())
    # PEFT reads retrained layers into copies of its own, everything else that a file replaces into the base itself.
    written = {
        key for key in shapes if key in ours and not key.rpartition(".")[0].endswith(retrained or ("\0",))
    }
    resized = {
        key: shapes[key][0]
        for key in embeddings_in(shapes)
        if key in ours and shapes[key] != tuple(ours[key].shape)
    }
    if resized:  # which writes into the tensors that it is given
        written |= _embeddings_of(base.module)
        _check_resized(base.module, resized, shapes, f"{name}: {folder}")
    module: Any = with_changes(base.module, _clones(ours, written))
    if resized:
        module.resize_token_embeddings(max(resized.values()), mean_resizing=False)
    module, loaded = with_adapter(module, ONLY, folder, name, device)
    return Family(module, base.tokenizer, base.context, base.loaded, parts={name: loaded})


def _replaced(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of an adapter's tensors by the names that they would have in the base, if it had them."""
    header = read_header(adapter_file(folder))
    names = unwrapped(header, str(folder)).names
    return {
        names[key].removeprefix(PREFIX).replace(".base_layer.", "."): info.shape
        for key, info in header.items()
    }


def _embeddings_of(module: Any) -> set[str]:
    """Names of the embedding and of the output head, tied or not."""
    parts = (module.get_input_embeddings(), module.get_output_embeddings())
    own = {id(parameter) for part in parts if part is not None for parameter in part.parameters()}
    return {name for name, tensor in module.named_parameters(remove_duplicate=False) if id(tensor) in own}


def _check_resized(
    module: Any, resized: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]], where: str
) -> None:
    """Raises CheckpointError where an embedding of a resized vocabulary is not stored: its rows would be random."""
    lacking = {name for name in _embeddings_of(module) if name.endswith(".weight")} - shapes.keys()
    lacking = set() if head_is_the_embedding(module) else lacking
    if lacking or len(set(resized.values())) > 1:
        told = f"{named(tuple(sorted(lacking)))} is not stored" if lacking else f"the sizes differ: {resized}"
        raise CheckpointError(
            f"the adapter was trained with another vocabulary size than its base's, and {told}",
            where=where,
            how="Save the adapter again with save_embedding_layers=True, or merge it into its base",
        )


def _clones(ours: Mapping[str, torch.Tensor], names: set[str]) -> dict[str, torch.Tensor]:
    """Copies of these tensors; one that is tied to another stays tied to it."""
    copies = {
        id(ours[name]): torch.nn.Parameter(ours[name].detach().clone(), requires_grad=False) for name in names
    }
    return {name: copies[id(tensor)] for name, tensor in ours.items() if id(tensor) in copies}
