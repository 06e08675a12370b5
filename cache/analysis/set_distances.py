"""Distances between sets of pictures: a model's to the original's, and to real pictures, by every network.

They are of a role as a whole, with resamples in place of values of single probes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence, Set
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.evidence import FloatArray
from backends.metrics import Pictures, StudyMetric
from backends.metrics.distributions import BY_NETWORK, FID, KID, drawn_kernel_distance, frechet_distance
from backends.metrics.key import MetricKey
from backends.metrics.real_distributions import (
    REAL_BY_NETWORK,
    SUBSETS_BY_NETWORK,
    Gaussian,
    Indices,
    drawn_subsets,
    frechet,
    gaussian_of,
    subset_kernel_distances,
    within_subsets,
)
from backends.study import Study
from cache.store import Store
from cache.store.features import networks_of, real_vectors

KID_RESAMPLES = 200
SEED = 0
NOTHING: FloatArray = np.zeros(0, np.float32)

Distances = dict[str, NDArray[np.float64]]
"""role/whole:metric -> how many pictures of the model, the value, what each resample gives; NaN where it has none."""


def whole_key(role: str, metric: str) -> str:
    """Where a number of a whole role is kept, with its bootstrap replicates; no per-probe values."""
    return str(MetricKey(role, metric, kind="whole"))


def set_metrics(study: Study, role: str) -> Iterator[str]:
    """Keys of the distances that a role has in a study."""
    if FID.card.reported_for(role):
        yield from _TO_ORIGINAL
    if study.features.real_for(role):
        yield from _TO_REAL


def set_distances(
    study: Study, store: Store, role: str, pictures: Sequence[Pictures], wanted: Set[str]
) -> Distances:
    """Those of the wanted metrics that are defined."""
    found = {} if wanted.isdisjoint(_TO_ORIGINAL) else _to_original(role, pictures, wanted)
    return found | _to_real(study, store, role, pictures, wanted)


_TO_ORIGINAL = tuple(
    each.card.key
    for kind, pair in {"": (FID, KID), **BY_NETWORK}.items()
    for each in (*pair, *([SUBSETS_BY_NETWORK[kind]] if kind else []))
)
_TO_REAL = tuple(each.card.key for pair in REAL_BY_NETWORK.values() for each in pair)


def _to_original(role: str, pictures: Sequence[Pictures], wanted: Set[str]) -> Distances:
    """FID and KID between a model's and the original's images of the same prompts and noise, by each network."""
    pairs = [
        (each, image, each.originals[seed])
        for each in pictures
        for seed, image in each.images.items()
        if seed in each.originals
    ]
    prompts = [each.probe.subject or (each.probe.id,) for each, _, _ in pairs]
    judged = _sides([(ours.features, theirs.features) for _, ours, theirs in pairs], prompts)
    values = _distances(role, FID, KID, judged, wanted)
    for kind, (fid, kid) in BY_NETWORK.items():
        known = _sides(
            [
                (
                    each.features.get((kind, ours.image), NOTHING),
                    each.features.get((kind, theirs.image), NOTHING),
                )
                for each, ours, theirs in pairs
            ],
            prompts,
        )
        values |= _distances(role, fid, kid, known, wanted)
        values |= _standard_kid(role, SUBSETS_BY_NETWORK[kind], known, wanted)
    return values


class _Sides(NamedTuple):
    """A model's pictures and those that they are compared with.

    Attributes:
        ours, theirs: features, shape (N, D) each.
        prompts: what each row is of: its subject, where the study names one, else its probe.
    """

    ours: NDArray[np.float64]
    theirs: NDArray[np.float64]
    prompts: Sequence[Hashable]


def _standard_kid(role: str, kid: StudyMetric, sides: _Sides | None, wanted: Set[str]) -> Distances:
    """KID to the original's images as other tools compute it, without pairing."""
    if sides is None or kid.card.key not in wanted:
        return {}
    return _whole(role, kid, len(sides.ours), float(subset_kernel_distances(sides.ours, sides.theirs).mean()))


def _to_real(
    study: Study, store: Store, role: str, pictures: Sequence[Pictures], wanted: Set[str]
) -> Distances:
    """FID and KID between a model's images and the study's real pictures, by each network."""
    values: Distances = {}
    for network in networks_of(study, store) if study.features.real_for(role) else ():
        fid, kid = REAL_BY_NETWORK.get(network.kind, (None, None))
        if fid is None or kid is None or wanted.isdisjoint((fid.card.key, kid.card.key)):
            continue
        reference = real_vectors(study, store, network, role)
        held = [
            each.features.get((network.kind, image.image), NOTHING)
            for each in pictures
            for image in each.images.values()
        ]
        held = [vector for vector in held if len(reference) and vector.shape == reference.shape[1:]]
        if len(held) < 2:
            continue
        ours, theirs = np.stack(held).astype(np.float64), reference.astype(np.float64)
        real = _ArrayIdentity(reference)
        if fid.card.key in wanted:
            values |= _whole(role, fid, len(ours), frechet(gaussian_of(ours), _real_gaussian(real)))
        if kid.card.key in wanted:
            distances = subset_kernel_distances(ours, theirs, within=partial(_within, real))
            values |= _whole(role, kid, len(ours), float(distances.mean()))
    return values


class _ArrayIdentity:
    """An array that is told from others by identity: those of real pictures are large, and kept."""

    def __init__(self, array: FloatArray) -> None:
        self.array = array

    def __hash__(self) -> int:
        return id(self.array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ArrayIdentity) and other.array is self.array


@lru_cache(maxsize=4)
def _real_gaussian(of: _ArrayIdentity) -> Gaussian:
    """Mean and covariance of real pictures, which is worked out once for all models."""
    return gaussian_of(of.array.astype(np.float64))


def _within(of: _ArrayIdentity, chosen: Sequence[Indices]) -> NDArray[np.float64]:
    """Of subsets of real pictures, which are the same for all models with as many pictures."""
    return _real_within(of, len(chosen[0]), len(chosen))


@lru_cache(maxsize=8)
def _real_within(of: _ArrayIdentity, size: int, subsets: int) -> NDArray[np.float64]:
    chosen = drawn_subsets(len(of.array), size, subsets, 1)
    return within_subsets(of.array.astype(np.float64), chosen)


def _whole(role: str, metric: StudyMetric, n: int, value: float) -> Distances:
    """A number of a whole role without resamples."""
    unknown = np.full(KID_RESAMPLES, np.nan)
    return {whole_key(role, metric.card.key): np.array([n, float(value), *unknown])}


def _sides(pairs: Sequence[tuple[FloatArray, FloatArray]], prompts: Sequence[Hashable]) -> _Sides | None:
    """Both sides of the pairs as arrays; None below two pairs, or where they are not of one length."""
    known = [place for place, (ours, theirs) in enumerate(pairs) if ours.size and ours.shape == theirs.shape]
    if len(known) < 2 or len({pairs[place][0].shape for place in known}) > 1:
        return None
    ours, theirs = (np.stack([pairs[place][side] for place in known]).astype(np.float64) for side in (0, 1))
    return _Sides(ours, theirs, [prompts[place] for place in known])


def _distances(
    role: str, fid: StudyMetric, kid: StudyMetric, sides: _Sides | None, wanted: Set[str]
) -> Distances:
    values: Distances = {}
    if sides is not None and fid.card.key in wanted:
        values |= _whole(role, fid, len(sides.ours), frechet_distance(sides.ours, sides.theirs))
    if sides is not None and kid.card.key in wanted:
        drawn = drawn_kernel_distance(*sides, KID_RESAMPLES, SEED)
        values[whole_key(role, kid.card.key)] = np.array([len(sides.ours), *drawn])
    return values
