"""Seed variance of a metric: the original against itself (A/A)."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.evidence import TextEvidence
from backends.metrics import METRICS, ImageMetric, Pictures
from backends.metrics.key import MetricKey
from backends.metrics.protocols import values_of
from backends.study import Probe, Study
from backends.study.targets import targeted
from cache.analysis.derive import role_probes
from cache.analysis.resampling import bootstrap_means
from cache.store import Store
from cache.store.features import features_of
from cache.store.reading import evidence_for, images_for


class NoiseBand(NamedTuple):
    """Half the width of the band around no change, and how many pairs of seeds it was drawn from."""

    half: float
    pairs: int


def noise_band(study: Study, store: Store, key: str, numerics: str) -> NoiseBand | None:
    """95 % of the differences between two seeds of the original, over resamples of the probes and all pairs of seeds.

    The mean of a metric over seeds moves less than this; one seed against another is the cautious comparison.

    Args:
        study: the study.
        store: the cache.
        key: role/metric of a metric that has values on single probes.
        numerics: arithmetic of the evidence.

    Returns:
        None for fewer than two seeds (greedy decoding has one answer whatever the seed), and where the metric does
        not depend on the seed: its value is then the same every time.
    """
    asked = MetricKey.parse(key)
    role, metric = asked.role, asked.name
    study = targeted(study, study.original.name)
    probes = role_probes(study).get(role, [])
    by_seed = (
        _image_values(study, store, probes, metric, numerics)
        if study.modality == "image"
        else _text_values(study, store, probes, role, metric, numerics)
    )
    if len(by_seed) < 2:
        return None
    differences = [a - b for a, b in itertools.combinations(by_seed, 2)]
    if all(np.all(np.isnan(each) | (each == 0)) for each in differences):
        return None
    drawn = np.concatenate([bootstrap_means(each[:, None])[:, 0] for each in differences])
    return NoiseBand(float(np.nanquantile(np.abs(drawn), 0.95)), len(differences))


def _text_values(
    study: Study, store: Store, probes: list[Probe], role: str, metric: str, numerics: str
) -> list[NDArray[np.float64]]:
    value = values_of(study.protocol, role).get(metric)
    evidence = evidence_for(study, store, study.original.name, probes, numerics=numerics)
    count = min((len(each.answers) for each in evidence.values()), default=0)
    if value is None or count < 2:
        return []
    return [
        np.array(
            [
                value(probe, TextEvidence(evidence[probe.id].scores, (evidence[probe.id].answers[seed],)))
                if probe.id in evidence
                else np.nan
                for probe in probes
            ]
        )
        for seed in range(count)
    ]


def _image_values(
    study: Study, store: Store, probes: list[Probe], metric: str, numerics: str
) -> list[NDArray[np.float64]]:
    known = METRICS[metric]
    if not isinstance(known, ImageMetric):
        return []
    result = images_for(study, store, study.original.name, probes, numerics=numerics)
    seen = features_of(study, store, probes, result, result)
    rows = []
    for seed in study.sampling.seeds:
        pictures = [
            Pictures(
                probe,
                {s: image for s, image in result.get(probe.id, {}).items() if s == seed},
                result.get(probe.id, {}),
                study.forget_concepts,
                features=seen,
            )
            for probe in probes
        ]
        rows.append(np.array([known.value(each) for each in pictures], np.float64))
    return rows
