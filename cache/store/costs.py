"""The cost of making a model: read from beside its weights, and kept after they are gone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from backends.checkpoints.resolved import ResolvedModels
from backends.errors import CheckpointError
from backends.metrics.training_cost import training_costs
from backends.study import ModelSpec, Study
from backends.unlearning.run_log import read_json
from cache.store import values
from cache.store.interface import Store
from cache.store.reading import identity_to_read

RECIPE = "recipe.json"


def keep_costs(
    study: Study, store: Store, names: Sequence[str], resolved: ResolvedModels | None = None
) -> None:
    """Keep what these models cost.

    Raises:
        StoreError: the store cannot be written.
    """
    resolved = ResolvedModels(study) if resolved is None else resolved
    for spec in (study.model(name) for name in names):
        told = _beside(spec)
        if not told or not resolved[spec.name].here:
            continue
        context = store.register(values.costs_context(resolved[spec.name].identity.fingerprint))
        store.put_values(context, {values.ONLY: told})


def costs(study: Study, store: Store) -> dict[str, dict[str, float]]:
    """Cost metrics by key, for every model of which they are known."""
    made = [spec for spec in study.models if spec.part == "unlearned" and spec.strength == 1.0]
    told = {spec.name: _beside(spec) for spec in made}
    told |= _kept(store, [spec for spec in made if not told[spec.name]])
    return {name: training_costs(cost, study.modality) for name, cost in told.items() if cost}


def _beside(spec: ModelSpec) -> dict[str, float]:
    made = spec.adapter or (str(Path(spec.weights).parent) if spec.weights else "")
    return _numbers(read_json(Path(made) / RECIPE).get("cost")) if made else {}


def _kept(store: Store, specs: Sequence[ModelSpec]) -> dict[str, dict[str, float]]:
    contexts = {}
    for spec in specs:
        try:
            contexts[spec.name] = values.costs_context(identity_to_read(spec).fingerprint)
        except CheckpointError:
            continue
    found = values.kept(store, contexts.values())
    return {name: _numbers(found[context].get(values.ONLY)) for name, context in contexts.items()}


def _numbers(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    return {
        str(key): float(number)
        for key, number in value.items()
        if isinstance(number, int | float) and math.isfinite(number) and number >= 0
    }
