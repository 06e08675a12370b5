"""Reads a file or folder of unlearned weights into plain tensors: safetensors, or a pickle that holds nothing else.

Pickles are read by torch's restricted unpickler, which knows tensors and plain containers and runs nothing. What the
tensors are is decided in `version_shapes.py`.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from backends.checkpoints.tensors import PICKLES, read_header, weight_files
from backends.errors import CheckpointError

ERASERS = "eraser_weights.pt"
"""What Receler saves beside `eraser_config.json`."""

_REFUSED = re.compile(r"GLOBAL ([\w.]+\w)")


def read_tensors(path: Path) -> Any:
    """What a file or folder of weights holds: a mapping of names to tensors, or containers around such mappings.

    Raises:
        CheckpointError: nothing there, a damaged file, or a pickle with anything but tensors and plain containers.
    """
    if path.is_dir():
        if (path / ERASERS).is_file():
            return _unpickled(path / ERASERS)
        return {name: tensor for file in _files(path) for name, tensor in _safe(file).items()}
    if path.suffix.lower() in PICKLES:
        return _unpickled(path)
    return _safe(path)


def _files(folder: Path) -> list[Path]:
    """Its safetensors files; where there are only pickles, one of them can be read, but not be guessed."""
    try:
        return weight_files(folder)
    except CheckpointError as error:
        pickles = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICKLES)
        if not pickles or any(folder.glob("*.safetensors")):
            raise
        raise CheckpointError(
            f"this folder holds no *.safetensors, but {pickles[0].name}",
            where=str(folder),
            how=f"Name the file itself, {pickles[0]}: a file that is named is read as tensors only",
        ) from error


def _safe(path: Path) -> dict[str, Tensor]:
    read_header(path)  # names truncated files in plain words
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"this safetensors file is damaged ({error})", where=str(path), how="Copy or download it again"
        ) from error


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # about the pickle's protocol; a file that cannot be read is refused below
            return _restricted(path)
    except pickle.UnpicklingError as error:
        match = _REFUSED.search(str(error))
        named = f" ({match[1]})" if match else ""
        raise CheckpointError(
            f"it holds more than tensors and plain containers{named}, and reading that could run code, so it is "
            "refused",
            where=str(path),
            how="Save its tensors as .safetensors with the tool that made it",
        ) from error
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, AttributeError, IndexError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].partition(". ")[0][:160]
        raise CheckpointError(
            f"this checkpoint file is incomplete or damaged ({first})",
            where=str(path),
            how="Copy or download it again",
        ) from error


def _restricted(path: Path) -> Any:
    try:
        # Mapped, so that a checkpoint of which a part is used does not take memory whole.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # files in the format before torch 1.6 cannot be mapped
        return torch.load(path, map_location="cpu", weights_only=True)


def tensors_in(value: Any) -> dict[str, Tensor]:
    """The tensors of a mapping by name; {} for anything else."""
    if not isinstance(value, Mapping):
        return {}
    return {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
