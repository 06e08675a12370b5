"""What it took to make a model: read from beside its weights, and kept for when they are gone."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from backends.checkpoints.identity import available, identity
from backends.errors import CheckpointError
from backends.files.disk import kept, write_whole
from backends.metrics.training_cost import training_costs
from backends.study import ModelSpec, Study
from backends.unlearning.run_log import read_json
from cache.store.reading import identity_to_read
from cache.store.store import Store

RECIPE = "recipe.json"


def keep_costs(study: Study, store: Store, names: Sequence[str]) -> None:
    """Keep what these models cost.

    Raises:
        StoreError: the cache folder cannot be written.
    """
    for spec in (study.model(name) for name in names):
        told = _beside(spec)
        if not told or not available(spec):
            continue
        path = _path(store, identity(spec).fingerprint)
        content = json.dumps(told).encode()
        with kept("what a model cost", path.parent, len(content)):
            write_whole(path, content)


def costs(study: Study, store: Store) -> dict[str, dict[str, float]]:
    """Cost metrics by key, for every model of which they are known."""
    found: dict[str, dict[str, float]] = {}
    for spec in study.models:
        if spec.part != "unlearned" or spec.strength != 1.0:
            continue
        told = _beside(spec) or _kept(store, spec)
        if told:
            found[spec.name] = training_costs(told, study.modality)
    return found


def _beside(spec: ModelSpec) -> dict[str, float]:
    made = spec.adapter or (str(Path(spec.weights).parent) if spec.weights else "")
    return _numbers(read_json(Path(made) / RECIPE).get("cost")) if made else {}


def _kept(store: Store, spec: ModelSpec) -> dict[str, float]:
    folder = store.path.parent / "costs"
    if not folder.is_dir():
        return {}
    try:
        return _numbers(read_json(_path(store, identity_to_read(spec).fingerprint)))
    except CheckpointError:
        return {}


def _numbers(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    return {
        str(key): float(number)
        for key, number in value.items()
        if isinstance(number, int | float) and math.isfinite(number) and number >= 0
    }


def _path(store: Store, fingerprint: str) -> Path:
    return store.path.parent / "costs" / f"{fingerprint}.json"
