"""Which schedulers the models of a study can draw with, from their files; nothing is loaded."""

from __future__ import annotations

from pathlib import Path

from backends.checkpoints.identity import available, resolve
from backends.checkpoints.tensors import read_json
from backends.errors import CheckpointError
from backends.study import ModelSpec
from backends.study.inference import SCHEDULERS, fitting_schedulers

CONFIG = Path("scheduler") / "scheduler_config.json"


def schedulers_for(original: ModelSpec) -> tuple[str, ...]:
    """Names that can take the place of a model's own scheduler; all where its files are not here to tell."""
    if not available(original):
        return tuple(SCHEDULERS)
    try:
        folder = resolve(original.source, revision=original.revision) / original.subfolder
        return fitting_schedulers(read_json(folder / CONFIG)) if (folder / CONFIG).is_file() else ()
    except CheckpointError:
        return tuple(SCHEDULERS)
