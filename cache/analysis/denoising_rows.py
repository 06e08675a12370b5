"""What follows from denoising losses of real pictures: rows of a scoreboard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backends.metrics.denoising import loss_difference, membership_wins
from backends.metrics.key import MetricKey
from backends.study import Study
from cache.analysis.statistics import bootstrap_means, bootstrap_pairs, percentile_interval
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
            low, high = percentile_interval(bootstrap_means(change[:, None])[:, 0])
            key = str(MetricKey(role, "denoising_difference"))
            rows.append(
                ("denoising_difference", role, key, float(change.mean()), float(low), float(high), len(both))
            )
    if ours.get("forget") and ours.get("holdout"):
        wins = membership_wins(*(_array(ours[role], list(ours[role])) for role in ("forget", "holdout")))
        low, high = percentile_interval(bootstrap_pairs(wins))
        n = sum(wins.shape)
        key = "forget/denoising_auc"
        rows.append(("denoising_auc", "forget", key, float(wins.mean()), float(low), float(high), n))
    return rows


def _array(losses: dict[str, list[float]], names: list[str]) -> NDArray[np.float64]:
    return np.array([losses[name] for name in names], np.float64)
