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
PREFIXES = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")
"""Put before every name by DistributedDataParallel, torch.compile and FSDP."""
DEEPEST = 12
MOST_TENSORS = 200_000


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """Tensors by name, out of whatever was around them.

    Attributes:
        inside: the mapping that the tensors stand in, wrappers taken off; its values may be mappings.
        flat: the same as dotted names -> tensors.
        averaged: the averaged copy of the same tensors; {} where there is none.
        left_out: keys that are no weights.
        notes: what was taken off, in sentences.
    """

    inside: Mapping[Any, Any]
    flat: dict[str, Tensor]
    averaged: dict[str, Tensor]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def unwrapped(raw: Any, path: Path, parts: Collection[str]) -> Unwrapped:
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
            averaged = bare_names(_flat(average, path)) if average else {}
        key = _wrapper(inside, parts)
        if key is None:
            break
        left_out += [str(other) for other in inside if other != key]
        keys.append(key)
        inside = inside[key]
    training = {key: value for key, value in inside.items() if key not in (*TRAINING, *AVERAGES)}
    left_out += [str(key) for key in inside if key not in training]
    flat = _flat(training, path)
    names = bare_names(flat)
    notes = [f"read from {' / '.join(keys)} in the file"] if keys else []
    prefixes = [prefix for prefix in PREFIXES if any(prefix in _wrapping(name) for name in flat)]
    if prefixes:
        notes.append(f"{' and '.join(prefixes)} taken off its tensors' names")
    return Unwrapped(training, names, averaged, tuple(left_out), tuple(notes))


def _wrapper(inside: Mapping[Any, Any], parts: Collection[str]) -> str | None:
    """The key that the weights stand under, or None where they stand here."""
    if any(isinstance(value, Tensor) for value in inside.values()):
        return None
    if any(isinstance(inside.get(part), Mapping) for part in parts):
        return None
    return next((key for key in WRAPPERS if isinstance(inside.get(key), Mapping)), None)


def _flat(inside: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in _tensors(inside, "", 0, path):
        found[name] = tensor
        if len(found) > MOST_TENSORS:
            raise CheckpointError(f"it holds more than {MOST_TENSORS:,} tensors", where=str(path))
    return found


def _tensors(inside: Mapping[Any, Any], before: str, depth: int, path: Path) -> Iterator[tuple[str, Tensor]]:
    if depth > DEEPEST:
        raise CheckpointError(f"its mappings are nested more than {DEEPEST} deep", where=str(path))
    for key, value in inside.items():
        if isinstance(value, Tensor):
            yield f"{before}{key}", value
        elif isinstance(value, Mapping):
            yield from _tensors(value, f"{before}{key}.", depth + 1, path)


def _wrapping(name: str) -> str:
    """The prefixes of wrapped modules in a name, one after the other."""
    inner = "".join(prefix for prefix in PREFIXES[1:] if f".{prefix}" in f".{name}")
    return inner + (PREFIXES[0] if _unwrapped_inside(name).startswith(PREFIXES[0]) else "")


def _unwrapped_inside(name: str) -> str:
    for prefix in PREFIXES[1:]:
        name = f".{name}".replace(f".{prefix}", ".").removeprefix(".")
    return name


def bare_names(flat: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under their names without prefixes, wherever a wrapped module begins."""
    found = {}
    for name, tensor in flat.items():
        short = _unwrapped_inside(name)
        while short.startswith(PREFIXES[0]):
            short = short.removeprefix(PREFIXES[0])
        found[short] = tensor
    return found
