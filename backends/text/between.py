"""Language models between an original and an unlearned one: mixed adapters, and mixed tensors of full models."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from backends.errors import CheckpointError
from backends.mixing import mixed, with_changes
from backends.text.families import Family, attach


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
            f"PEFT cannot mix these adapters ({str(error)[:200]})",
            where=name,
            how="Merge them into folders of their own, and dial between those",
        ) from error
    family.module.eval().requires_grad_(False)
    family.adapters[name] = adapter


def between(origin: Family, end: Family, strength: float, *, where: str) -> Family:
    """A model between two full ones, with the origin's tokenizer; only tensors in which they differ are its own.

    Raises:
        CheckpointError: the two have not the same tensors.
    """
    changes = mixed(origin.module, end.module, strength, where=where)
    module = with_changes(origin.module, changes)
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    return Family(module.eval().requires_grad_(False), origin.tokenizer, origin.context)


def with_tensors(base: Family, file: Path, name: str) -> Family:
    """A base with the tensors of a file in the place of its own; all others are shared.

    Raises:
        CheckpointError: a tensor has no place on the base, or another shape there.
    """
    ours, changes = base.module.state_dict(), load_file(file)
    for key, tensor in changes.items():
        if key not in ours or ours[key].shape != tensor.shape:
            told = "has no place on the base" if key not in ours else "has another shape on the base"
            raise CheckpointError(f"the tensor {key[:120]} {told}", where=f"{name}: {file}")
    module = with_changes(base.module, {key: tensor.to(ours[key]) for key, tensor in changes.items()})
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    return Family(module.eval().requires_grad_(False), base.tokenizer, base.context)


def _attached(family: Family, folder: Path, device: str) -> str:
    """Name of the adapter in PEFT, put there once for all strengths."""
    key = f"\0{folder.resolve()}"
    if key not in family.adapters:
        attach(family, key, folder, device)
    return family.adapters[key]
