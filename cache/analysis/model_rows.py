"""Rows of the scoreboard model by model, kept until its evidence, or that of what it is measured against, changes.

An evaluation of one model more costs one model more, and not all of them again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.study import Study
from cache.analysis import kept_values
from cache.analysis.model_values import ModelValues, drafts
from cache.analysis.statistics import percentile_interval
from cache.analysis.study_rows import Baselines, ModelRows, Row, baselines, mean_replicates
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
    shared = keys.Said.of([kept_values.definitions(), against, parts, sets])
    kept_as = {name: keys.digest_of(["rows", shared, of_models.made_of(name)]) for name in known}
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
    return baselines(study, parts, of_models.of(study.original.name), theirs)


def is_metric(key: str) -> bool:
    """Whether it is a number that is shown, and not one that others are made of."""
    return MetricKey.parse(key).name in METRICS


def _rows(
    study: Study, of_models: ModelValues, name: str, parts: tuple[str, ...], against: Baselines
) -> list[Row]:
    values = of_models.of(name)
    rows = [_row(key, row) for key, row in values.items() if is_metric(key)]
    return [*rows, *ModelRows(study, values, parts, against).rows()]


def _row(key: str, values: NDArray[np.float64]) -> Row:
    read = MetricKey.parse(key)
    drawn = mean_replicates(values, read.role)
    low, high = percentile_interval(drawn[1:])
    return read.name, read.role, key, float(drawn[0]), float(low), float(high), int(np.sum(~np.isnan(values)))


def _written(rows: Sequence[Row]) -> bytes:
    return json.dumps(rows, default=lambda number: number.item()).encode()


def _read(payload: bytes) -> list[Row]:
    return [tuple(row) for row in json.loads(payload)]
