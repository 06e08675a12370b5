"""What follows from denoising losses of real pictures: rows of a scoreboard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backends.metrics.denoising import loss_difference, mean_losses
from backends.metrics.key import MetricKey
from backends.metrics.privacy import auc
from backends.study import Study
from cache.analysis.probe_draws import bounds_of
from cache.analysis.resampling import bootstrap_areas, bootstrap_interval, interval_of
from cache.store import Store
from cache.store.denoising import denoising_of


def denoising_rows(study: Study, store: Store, name: str) -> list[tuple[object, ...]]:
    """metric, role, key, value, low, high, n of a model whose losses and the original's are kept."""
    if study.denoising is None:
        return []
    ours, base = denoising_of(study, store, name), denoising_of(study, store, study.original.name)
    rows: list[tuple[object, ...]] = []
    for role in ours:
        both = [picture for picture in ours[role] if picture in base.get(role, {})]
        if both:
            change = loss_difference(_array(ours[role], both), _array(base[role], both))
            low, high = bootstrap_interval(change, bounds=bounds_of("denoising_difference"))
            key = str(MetricKey(role, "denoising_difference"))
            rows.append(
                ("denoising_difference", role, key, float(change.mean()), float(low), float(high), len(both))
            )
    if ours.get("forget") and ours.get("holdout"):
        members, unseen = (
            mean_losses(_array(ours[role], list(ours[role]))) for role in ("forget", "holdout")
        )
        value = auc(members, unseen)
        low, high = map(float, interval_of(np.append(value, bootstrap_areas(members, unseen))))
        n, key = len(members) + len(unseen), "forget/denoising_auc"
        rows.append(("denoising_auc", "forget", key, value, low, high, n))
    return rows


def _array(losses: dict[str, list[float]], names: list[str]) -> NDArray[np.float64]:
    return np.array([losses[name] for name in names], np.float64)
