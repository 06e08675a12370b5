"""In which number format the language models of a study run: one for all of them, so that differences are the models'.

On CUDA, models that are stored in half precision run in bfloat16, as they were trained; everything else is float32,
which devices agree in and CPUs are quickest in. `UNLEARNBOARD_DTYPE` overrides. Does not import torch.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from backends.checkpoints.identity import available, resolve
from backends.checkpoints.sources import kind_of
from backends.checkpoints.tensors import read_header, weight_files
from backends.errors import CheckpointError
from backends.study import ModelSpec, Study

HALVES = frozenset({"BF16", "F16"})
"""Names of the half-precision formats in safetensors files."""


def dtype_for(study: Study, device: str, otherwise: str = "float32") -> str:
    """Name in torch of the number format for a study's models on a device.

    Args:
        study: whose models are to be compared.
        device: "cpu", "cuda" or "mps".
        otherwise: where nothing speaks for half precision.
    """
    chosen = os.environ.get("UNLEARNBOARD_DTYPE", "")
    if chosen or study.modality != "text" or not device.startswith("cuda"):
        return chosen or otherwise
    return "bfloat16" if stored_in_halves(study) else otherwise


def stored_in_halves(study: Study) -> bool:
    """Whether every language model whose weights are on this machine is stored in half precision."""
    found = False
    for spec in study.models:
        if available(spec):
            if not _in_halves(spec):
                return False  # the others need not be looked at
            found = True
    return found


def _in_halves(spec: ModelSpec) -> bool:
    if kind_of(spec.source).stored_packed:
        return False
    try:
        files = weight_files(resolve(spec.source, revision=spec.revision) / spec.subfolder)
        return all(_file_in_halves(path, path.stat().st_mtime_ns) for path in files)
    except (CheckpointError, OSError):
        return False  # loading the model says what is wrong with it


@lru_cache(maxsize=1024)
def _file_in_halves(path: Path, changed: int) -> bool:
    """Whether most of a file's numbers are in half precision: routers and norms are often kept in float32."""
    sizes = [(info.end - info.start, info.dtype in HALVES) for info in read_header(path).values()]
    return 2 * sum(size for size, half in sizes if half) > sum(size for size, _ in sizes)
