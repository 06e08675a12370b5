"""Two loaded language models side by side: which tensors differ, and by how much, adapters counted as what they change.

Nothing is read again: shared tensors are equal by being the same, and an adapter is put into one layer at a time, into
a copy of it. Knows nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from backends.checkpoints.loader_report import BlockChange, LoaderReport, LoadResult
from backends.text.families import Family
from backends.text.merged_weights import NotMerged, merged_weights

COMPONENT = "model"
_SIZES: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""Weight -> its sum of squares, for as long as the weight is in memory."""


@dataclass(slots=True)
class _Sums:
    """Of one block: numbers in it, numbers in tensors that differ, and squares of differences and of the original."""

    parameters: int = 0
    changed: int = 0
    difference: float = 0.0
    size: float = 0.0


def loader_report(base: Family, original: str, family: Family, name: str) -> LoaderReport:
    """What of a loaded model differs from the original; where that is not available, what loading it did.

    Args:
        base: with the original.
        original: its name.
        family: with the model.
        name: of the model.
    """
    loads = loads_of(family, name)
    if base.like is not None:
        base, original = base.like
    if family.like is not None:
        family, name = family.like
    notes = [f"its base: {said}" for loaded in loads[:-1] for said in loaded.sentences[1:]]
    notes += loads[-1].sentences[1:]
    quantized = any(not weight.is_floating_point() for each in (base, family) for weight in _plain(each))
    if quantized and (family is not base or name != original):
        return _uncompared(loads, (*notes, "quantised weights are not compared tensor by tensor"))
    try:
        return _compared(base, original, family, name, loads, notes)
    except NotMerged as error:
        return _uncompared(loads, (*notes, f"not compared tensor by tensor: {error}"))


def _compared(
    base: Family, original: str, family: Family, name: str, loads: tuple[LoadResult, ...], notes: list[str]
) -> LoaderReport:
    blocks: dict[str, _Sums] = {}
    changed = unchanged = added = 0
    seen: set[int] = set()
    tied: set[tuple[int, int]] = set()
    lasting = {id(weight) for weight in _plain(family)}  # others are made for the moment
    for (key, ours), (other, theirs) in zip(
        merged_weights(base, original), merged_weights(family, name), strict=False
    ):
        if key != other or (ours.shape != theirs.shape and ours.shape[1:] != theirs.shape[1:]):
            why = f"another architecture than the original's ({other}), so its tensors are not compared"
            return _uncompared(loads, notes, (why,))
        equal = theirs is ours or (ours.shape == theirs.shape and torch.equal(ours, theirs))
        if (id(ours), id(theirs)) in tied or (equal and id(ours) in seen):
            continue  # another name of a tensor that was counted
        seen.add(id(ours))
        if id(theirs) in lasting:
            tied.add((id(ours), id(theirs)))
        sums = blocks.setdefault(_block_of(key), _Sums())
        sums.parameters += ours.numel()
        sums.size += _size(ours)
        if equal:
            unchanged += 1
            continue
        changed += 1
        sums.changed += ours.numel()
        rows = min(len(ours), len(theirs))
        sums.difference += _squares(theirs[:rows].to(ours.device).float() - ours[:rows].float())
        if len(theirs) != len(ours):
            added += max(0, theirs.numel() - ours.numel())
            notes.append(f"its {key} has {len(theirs):,} rows, the original's {len(ours):,}")
    return LoaderReport(
        shape=loads[-1].form,
        matched=loads[-1].matched,
        missing=0,
        unchanged=unchanged,
        changed=changed,
        added=added,
        parameters=sum(sums.parameters for sums in blocks.values()),
        changed_parameters=sum(sums.changed for sums in blocks.values()),
        blocks=tuple(
            BlockChange(COMPONENT, block, sums.parameters, sums.changed, _ratio(sums))
            for block, sums in blocks.items()
            if sums.changed
        ),
        notes=tuple(notes),
        ignored=sum(len(loaded.ignored) for loaded in loads),
    )


def loads_of(family: Family, name: str) -> tuple[LoadResult, ...]:
    """What reading a model's weights did: its base, then its adapter or changed tensors where it has some."""
    part = family.parts.get(name)
    return (family.loaded,) if part is None else (family.loaded, part)


def _uncompared(
    loads: tuple[LoadResult, ...], notes: Sequence[str], differences: tuple[str, ...] = ()
) -> LoaderReport:
    return LoaderReport(
        loads[-1].form, loads[-1].matched, 0, 0, 0, 0, 0, 0, differences=differences, notes=tuple(notes)
    )


def _plain(family: Family) -> Iterator[Tensor]:
    yield from family.module.parameters()


def _size(tensor: Tensor) -> float:
    """Sum of squares, worked out once for a weight that stays: it is asked for with every model on one base."""
    if tensor not in _SIZES:
        _SIZES[tensor] = _squares(tensor)
    return float(_SIZES[tensor])


def _squares(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float32)) ** 2


def _block_of(key: str) -> str:
    """Block that a tensor belongs to: "layers.3", "embed_tokens", "lm_head"."""
    parts = key.split(".")
    for place, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[1 : place + 1]) if place > 1 else ".".join(parts[: place + 1])
    return parts[-2] if len(parts) > 1 else key


def _ratio(sums: _Sums) -> float:
    return math.sqrt(sums.difference / sums.size) if sums.size else (math.inf if sums.difference else 0.0)
