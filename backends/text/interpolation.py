"""Language models between an original and an unlearned one: mixed adapters, and mixed tensors of full models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from backends.checkpoints.language_weights import WHOLE_NUMBERS, head_is_the_embedding
from backends.checkpoints.load_lock import one_load_at_a_time
from backends.checkpoints.loader_report import LoadResult, refuse_incomplete
from backends.checkpoints.mixing import mixed, with_changes
from backends.checkpoints.tensors import read_header
from backends.checkpoints.wrapped_names import unwrapped
from backends.errors import CheckpointError
from backends.text.families import Family, attach


@one_load_at_a_time
def attach_between(
    family: Family, name: str, origin: Path | None, end: Path, strength: float, device: str
) -> None:
    """Put base + (1 - a) origin + a end on a loaded base, as one adapter.

    LoRA changes are sums of products, so putting their factors side by side ("cat" of PEFT) is exact; its rank is the
    sum of the two.

    Args:
        family: the base.
        name: of the new model.
        origin: the original's adapter; None where the original is the base itself.
        end: the unlearned model's adapter.
        strength: a.
        device: where the base is.

    Raises:
        CheckpointError: an adapter does not fit, or the two are of kinds that PEFT does not mix.
    """
    parts = {_attached(family, end, device): strength}
    if origin is not None:
        start = _attached(family, origin, device)
        parts[start] = parts.get(start, 0.0) + 1 - strength
    adapter = f"a{len(family.adapters)}"
    try:
        family.module.add_weighted_adapter(
            list(parts), list(parts.values()), adapter_name=adapter, combination_type="cat"
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"PEFT cannot combine these adapters ({str(error)[:200]})",
            where=name,
            how="Merge each into a folder, and interpolate between those",
        ) from error
    family.module.eval().requires_grad_(False)
    family.adapters[name] = adapter


@one_load_at_a_time
def between(origin: Family, end: Family, strength: float, *, where: str) -> Family:
    """A model between two full ones, with the origin's tokenizer; only tensors in which they differ are its own.

    Raises:
        CheckpointError: the two do not have the same tensors.
    """
    changes = mixed(origin.module, end.module, strength, where=where)
    module = _tied_as(origin.module, with_changes(origin.module, changes))
    return Family(module.eval().requires_grad_(False), origin.tokenizer, origin.context, end.loaded)


@one_load_at_a_time
def with_tensors(base: Family, file: Path, name: str, device: str) -> Family:
    """A base with the tensors of a file in the place of its own; all others are shared.

    Raises:
        CheckpointError: a tensor has no place on the base, or another shape there.
    """
    ours, header = base.module.state_dict(), read_header(file)
    where = f"{name}: {file}"
    names = unwrapped(header, where)
    shapes = {plain: header[stored] for stored, plain in names.names.items()}
    other = {
        key: f"{key} ({_told(info.shape, info.dtype)}, the model {_told(tuple(ours[key].shape), '')})"
        for key, info in shapes.items()
        if key in ours
        and (tuple(ours[key].shape) != info.shape or (info.dtype in WHOLE_NUMBERS) != _whole(ours[key]))
    }
    unexpected = tuple(sorted(shapes.keys() - ours.keys()))
    count = len(shapes) - len(other) - len(unexpected)
    loaded = LoadResult(
        f"{count} changed tensors on the base",
        count,
        unexpected=unexpected,
        other_shape=tuple(sorted(other.values())),
        wrappers=names.wrappers,
    )
    refuse_incomplete(loaded, where, "Use the base that the file was made from as `source`")
    changes = {
        names.names[stored]: tensor.to(device).to(ours[names.names[stored]])
        for stored, tensor in load_file(file).items()
    }
    tied = _head_and_embedding(base.module)
    given = [changes[name] for name in tied & changes.keys()]
    if apart := not all(torch.equal(given[0], other) for other in given):
        note = "the base's output head is its embedding, but the file has two that differ: both are used as stored"
        loaded = replace(loaded, notes=(note,))
    elif given:
        changes |= dict.fromkeys(
            tied, given[0]
        )  # as transformers does, one that is given alone stands for both
    module = with_changes(base.module, changes)
    module = module if apart else _tied_as(base.module, module)
    return Family(
        module.eval().requires_grad_(False), base.tokenizer, base.context, base.loaded, parts={name: loaded}
    )


def _head_and_embedding(module: Any) -> set[str]:
    """Names of the one tensor that is both output head and embedding; none where they are two."""
    if not head_is_the_embedding(module):
        return set()
    weight = module.get_input_embeddings().weight
    return {name for name, tensor in module.named_parameters(remove_duplicate=False) if tensor is weight}


def _tied_as(base: Any, module: Any) -> Any:
    """The changed copy, its output head tied to its embedding where the base's is; config.json may say otherwise."""
    if hasattr(module, "tie_weights") and head_is_the_embedding(base):
        module.tie_weights()
    return module


def _whole(tensor: Any) -> bool:
    return not tensor.is_floating_point()


def _told(shape: tuple[int, ...], dtype: str) -> str:
    return f"{' x '.join(map(str, shape))} {dtype}".rstrip()


def _attached(family: Family, folder: Path, device: str) -> str:
    """Name of the adapter in PEFT, put there once for all strengths."""
    key = f"\0{folder.resolve()}"
    if key not in family.adapters:
        attach(family, key, folder, device)
    return family.adapters[key]
