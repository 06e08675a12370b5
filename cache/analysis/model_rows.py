"""Rows of the scoreboard model by model, kept until its evidence, or that of what it is measured against, changes.

An evaluation of one model more costs one model more, and not all of them again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.study import Study
from backends.study.targets import has_targets
from cache.analysis import kept_values
from cache.analysis.model_values import ModelValues, drafts
from cache.analysis.study_rows import Baselines, ModelRows, Row, baselines, mean_rows
from cache.store import Store, keys


def model_rows(
    study: Study, store: Store, of_models: ModelValues, parts: tuple[str, ...], names: Sequence[str]
) -> dict[str, list[Row]]:
    """Rows of those of the models that have evidence, by name.

    Args:
        study: the study.
        store: the cache.
        of_models: values of the study's models.
        parts: what model utility is made of.
        names: models.

    Raises:
        StoreError: the store cannot be written.
    """
    known = [name for name in names if of_models.stamps.get(name)]
    retained = study.retained.name if study.retained is not None else ""
    sets = [[each.name, each.role, [probe.id for probe in each.probes]] for each in study.probe_sets]
    against = [of_models.made_of(name) for name in (study.original.name, retained)]
    shared = keys.Said.of([kept_values.definitions(), against, parts, sets, has_targets(study)])
    kept_as = {
        name: keys.digest_of(
            ["rows", shared, of_models.made_of(name), sorted(of_models.groups(name).items())]
        )
        for name in known
    }
    kept = {} if drafts() else store.memos(list(kept_as.values()))
    result = {name: _read(kept[key]) for name, key in kept_as.items() if key in kept}
    missing = [name for name in known if name not in result]
    if missing:
        yardstick = baselines_of(study, of_models, parts)
        made = {name: _rows(study, of_models, name, parts, yardstick) for name in missing}
        result |= made
        if not drafts():
            store.put_memos({kept_as[name]: _written(rows) for name, rows in made.items()})
    return result


def baselines_of(study: Study, of_models: ModelValues, parts: tuple[str, ...]) -> Baselines:
    """What the study's models are measured against."""
    retained = study.retained
    theirs = of_models.of(retained.name) if retained is not None else {}
    original = study.original.name
    return baselines(study, parts, of_models.of(original), theirs, of_models.groups(original))


def rows_of(
    study: Study,
    of_models: ModelValues,
    name: str,
    parts: tuple[str, ...],
    against: Baselines,
    under: str = "",
) -> ModelRows:
    """Metrics of a whole model; `under` is the model whose target says what the prompts are, "" the model itself."""
    return ModelRows(study, of_models.of(name, under), parts, against, of_models.groups(under or name))


def is_metric(key: str) -> bool:
    """Whether it is a number that is shown, and not one that others are made of."""
    return MetricKey.parse(key).name in METRICS


def _rows(
    study: Study, of_models: ModelValues, name: str, parts: tuple[str, ...], against: Baselines
) -> list[Row]:
    means = {key: row for key, row in of_models.of(name).items() if is_metric(key)}
    whole = rows_of(study, of_models, name, parts, against)
    return [*mean_rows(means, of_models.groups(name)), *whole.rows()]


def _written(rows: Sequence[Row]) -> bytes:
    return json.dumps(rows, default=lambda number: number.item()).encode()


def _read(payload: bytes) -> list[Row]:
    return [tuple(row) for row in json.loads(payload)]
