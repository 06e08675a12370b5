"""What training code puts around a state dict: wrappers ({"model": ..., "step": ...}), prefixes of compiled modules.

Mappings inside mappings become dotted names, as ESD's {module: {weight, bias}}. What is no weight of the model (an
optimiser's state, a step) is left out by name; an averaged copy of the weights is kept apart. Pure functions; nothing
here reads files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from backends.checkpoints.wrapped_names import unwrapped
from backends.errors import CheckpointError

WRAPPERS = (
    *(
        "state_dict",
        "model_state_dict",
        "unet_state_dict",
        "model",
        "module",
        "weights",
        "params",
        "net",
        "network",
    ),
    *("checkpoint", "ckpt", "generator", "trainable", "diffusion_model"),
)
"""Keys under which a state dict is kept, the likeliest first."""
AVERAGES = ("ema", "ema_state_dict", "model_ema", "ema_model", "unet_ema", "ema_unet")
TRAINING = (
    *(
        "optimizer",
        "optimizer_state_dict",
        "optim",
        "opt",
        "lr_scheduler",
        "lr_schedulers",
        "scheduler",
        "scaler",
    ),
    *("optimizer_states", "callbacks", "loops", "hyper_parameters", "args", "config", "rng_state"),
)
"""Keys of what only training needs."""
DEEPEST = 12
MOST_TENSORS = 200_000


@dataclass(frozen=True, slots=True)
class StateDict:
    """Tensors by name, out of whatever was around them.

    Attributes:
        inside: the mapping that the tensors stand in, wrappers taken off; its values may be mappings.
        flat: the same as dotted names -> tensors.
        averaged: the averaged copy of the same tensors; {} if there is none.
        left_out: keys that are no weights.
        notes: what was taken off, in sentences.
    """

    inside: Mapping[Any, Any]
    flat: dict[str, Tensor]
    averaged: dict[str, Tensor]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def state_dict_in(raw: Any, path: Path, parts: Collection[str]) -> StateDict:
    """Take off wrappers and prefixes.

    Args:
        raw: what a file holds.
        path: named in errors.
        parts: names of the base's components, which are no wrappers.

    Raises:
        CheckpointError: mappings deeper than `DEEPEST`, or more than `MOST_TENSORS` tensors.
    """
    inside: Mapping[Any, Any] = raw if isinstance(raw, Mapping) else {}
    averaged: dict[str, Tensor] = {}
    left_out: list[str] = []
    keys: list[str] = []
    for _ in range(DEEPEST):
        if not averaged:
            average: Mapping[Any, Any] = next(
                (inside[key] for key in AVERAGES if isinstance(inside.get(key), Mapping)), {}
            )
            averaged = unwrapped_tensors(_flat(average, path), path)[0]
        key = _wrapper(inside, parts)
        if key is None:
            break
        left_out += [str(other) for other in inside if other != key]
        keys.append(key)
        inside = inside[key]
    training = {key: value for key, value in inside.items() if key not in (*TRAINING, *AVERAGES)}
    left_out += [str(key) for key in inside if key not in training]
    flat, wrappers = unwrapped_tensors(_flat(training, path), path)
    notes = [f"read from {' / '.join(keys)} in the file"] if keys else []
    notes += [f"{' and '.join(wrappers)} removed from its tensors' names"] if wrappers else []
    return StateDict(training, flat, averaged, tuple(left_out), tuple(notes))


def unwrapped_tensors(flat: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tensors under their names without what wrapped modules put around them, and what that was.

    Raises:
        CheckpointError: two tensors would have one name.
    """
    unwrapped_names = unwrapped(flat, str(path))
    return {unwrapped_names.names[name]: tensor for name, tensor in flat.items()}, unwrapped_names.wrappers


def _wrapper(inside: Mapping[Any, Any], parts: Collection[str]) -> str | None:
    """The key that the weights stand under, or None where they stand here."""
    if any(isinstance(value, Tensor) for value in inside.values()):
        return None
    if any(isinstance(inside.get(part), Mapping) for part in parts):
        return None
    return next((key for key in WRAPPERS if isinstance(inside.get(key), Mapping)), None)


def _flat(inside: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, tensor in _tensors(inside, "", 0, path):
        tensors[name] = tensor
        if len(tensors) > MOST_TENSORS:
            raise CheckpointError(f"it holds more than {MOST_TENSORS:,} tensors", where=str(path))
    return tensors


def _tensors(inside: Mapping[Any, Any], before: str, depth: int, path: Path) -> Iterator[tuple[str, Tensor]]:
    if depth > DEEPEST:
        raise CheckpointError(f"its mappings are nested more than {DEEPEST} deep", where=str(path))
    for key, value in inside.items():
        if isinstance(value, Tensor):
            yield f"{before}{key}", value
        elif isinstance(value, Mapping):
            yield from _tensors(value, f"{before}{key}.", depth + 1, path)
