"""Per-probe values of all metrics of one model, from stored evidence; kept in the store until the evidence changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backends.checkpoints.identity import ModelIdentity
from backends.errors import CheckpointError, StoreError
from backends.evidence import ANSWER, FloatArray, ImageEvidence, TextEvidence, TokenScores
from backends.metrics import METRICS, METRICS_VERSION, ImageMetric, Pictures, StudyMetric
from backends.metrics.distributions import BY_NETWORK, FID, KID, drawn_kernel_distance, frechet_distance
from backends.metrics.protocols import attacks_of, values_of
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
from backends.metrics.truth_ratio import log_ratio_of
from backends.study import ModelSpec, Probe, Study
from cache.store import Store, keys, reading
from cache.store.arrow import packed, unpacked
from cache.store.features import features_of, networks_of, real_vectors
from cache.store.image_files import read_pixels
from cache.store.keys import Context

KID_RESAMPLES = 200
SEED = 0
NOTHING: FloatArray = np.zeros(0, np.float32)

Values = dict[str, NDArray[np.float64]]
"""role/metric -> one value for each probe of the role, in the order of `role_probes`; NaN where there is none."""

LOG_TRUTH_RATIO = "forget/log_truth_ratio"
"""Kept beside the metrics for forget quality; no metric of its own."""


def attack_key(role: str, attack: str) -> str:
    """Where the per-probe scores of a membership attack are kept; its metric is made of two roles' scores."""
    return f"{role}/score:{attack}"


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of one model: its contexts of one arithmetic, and a stamp of the evidence in them."""

    spec: ModelSpec
    stamp: str


def role_probes(study: Study) -> dict[str, list[Probe]]:
    """Probes of each role over all probe sets, each id once, in the order of the study."""
    roles: dict[str, dict[str, Probe]] = {}
    for probe_set in study.probe_sets:
        for probe in probe_set.probes:
            roles.setdefault(probe_set.role, {}).setdefault(probe.id, probe)
    return {role: list(probes.values()) for role, probes in roles.items()}


def contexts_of(study: Study, store: Store, spec: ModelSpec) -> list[Context]:
    """All contexts that hold evidence of the model under the study's settings; none where it cannot be identified."""
    try:
        model = reading.identity_to_read(spec, study)
    except CheckpointError:
        return []  # the page that opens the study says why; here it only has no evidence
    return (
        _image_contexts(study, store, model)
        if study.modality == "image"
        else _text_contexts(study, store, model)
    )


def stamps(store: Store, contexts: Mapping[str, Sequence[Context]], digests: Iterable[str]) -> dict[str, str]:
    """Model name -> stamp of its evidence on these probes; "" where it has none."""
    wanted = set(digests)
    cells = store.stamps([context.key for several in contexts.values() for context in several])
    found: dict[str, str] = {}
    for name, several in contexts.items():
        held = [
            [context.key, sorted(item for item in cells[context.key].items() if item[0] in wanted)]
            for context in several
        ]
        found[name] = keys.digest(held) if any(rows for _, rows in held) else ""
    return found


def model_values(study: Study, store: Store, spec: ModelSpec, numerics: str, stamp: str) -> Values:
    """Per-probe values of one model, out of the store where they were kept for this stamp, else computed and kept."""
    rows = [
        [role, probe.id, probe.digest(), probe.key_fact, *([list(probe.accepted)] if probe.accepted else [])]
        for role, probes in role_probes(study).items()
        for probe in probes
    ]
    concepts = sorted(study.forget_concepts.items())
    key = keys.digest(["values", METRICS_VERSION, stamp, rows, concepts, study.protocol])
    kept = store.memo(key)
    if kept is not None:
        return _unpack(kept)
    compute = _image_values if study.modality == "image" else _text_values
    values = {
        key: row for key, row in compute(study, store, spec, numerics).items() if not np.isnan(row).all()
    }
    store.put_memo(key, _pack(values))
    return values


def _text_values(study: Study, store: Store, spec: ModelSpec, numerics: str) -> Values:
    values: Values = {}
    for role, probes in role_probes(study).items():
        # Other protocols' definitions look at the tokens as text; the default's do not.
        pieces = study.protocol != "corrected"
        found = reading.evidence_for(study, store, spec.name, probes, numerics=numerics, pieces=pieces)
        metrics = values_of(study.protocol, role)
        # All metrics of one probe together: several compare the same two texts, which is done once.
        rows = np.array(
            [
                [value(p, found[p.id]) if p.id in found else math.nan for value in metrics.values()]
                for p in probes
            ]
        )
        values |= {f"{role}/{name}": rows[:, column] for column, name in enumerate(metrics)}
        if role == "forget":
            ratios = [log_ratio_of(found[p.id]) if p.id in found else math.nan for p in probes]
            values[LOG_TRUTH_RATIO] = np.array(ratios)
        if role in ("forget", "holdout"):
            for attack, score in attacks_of(study.protocol).items():
                values[attack_key(role, attack)] = np.array(
                    [_attacked(score, p, found.get(p.id)) for p in probes]
                )
            norms = [found[p.id].gradient_norm if p.id in found else math.nan for p in probes]
            values[attack_key(role, "mia_gradnorm")] = np.array(norms)
    return values


def _attacked(
    score: Callable[[TokenScores, str], float], probe: Probe, evidence: TextEvidence | None
) -> float:
    """Score of one probe under one attack; NaN where its answer was not scored."""
    scores = evidence.scores.get(ANSWER) if evidence is not None else None
    return math.nan if scores is None else score(scores, probe.answer)


def _image_values(study: Study, store: Store, spec: ModelSpec, numerics: str) -> Values:
    values: Values = {}
    for role, probes in role_probes(study).items():
        ours = reading.images_for(study, store, spec.name, probes, numerics=numerics)
        originals = reading.images_for(study, store, study.original.name, probes, numerics=numerics)
        read = _pixel_reader(store)
        seen = features_of(study, store, probes, ours, originals)
        pictures = [
            Pictures(
                probe, ours.get(probe.id, {}), originals.get(probe.id, {}), study.forget_concepts, read, seen
            )
            for probe in probes
        ]
        values |= _distributions(role, pictures)
        values |= _to_real(study, store, role, pictures)
        for name, metric in METRICS.items():
            if isinstance(metric, ImageMetric) and metric.card.reported_for(role):
                values[f"{role}/{name}"] = np.array([metric.value(each) for each in pictures])
    return values


def whole_key(role: str, metric: str) -> str:
    """Where a number of a whole role is kept, with what its resamples give; no per-probe values."""
    return f"{role}/whole:{metric}"


def _distributions(role: str, pictures: Sequence[Pictures]) -> Values:
    """FID and KID between a model's and the original's images of the same prompts and noise, by each network."""
    if not FID.card.reported_for(role):
        return {}
    pairs = [
        (each, image, each.originals[seed])
        for each in pictures
        for seed, image in each.images.items()
        if seed in each.originals
    ]
    values = _distances(role, FID, KID, [(ours.features, theirs.features) for _, ours, theirs in pairs])
    for kind, (fid, kid) in BY_NETWORK.items():
        known = [
            (each.features.get((kind, ours.image), NOTHING), each.features.get((kind, theirs.image), NOTHING))
            for each, ours, theirs in pairs
        ]
        values |= _distances(role, fid, kid, known)
        values |= _standard_kid(role, SUBSETS_BY_NETWORK[kind], known)
    return values


def _standard_kid(role: str, kid: StudyMetric, pairs: Sequence[tuple[FloatArray, FloatArray]]) -> Values:
    """KID to the original's images as other tools compute it, which know of no pairs."""
    found = _sides(pairs)
    if found is None:
        return {}
    return _whole(role, kid, len(found[0]), float(subset_kernel_distances(*found).mean()))


def _to_real(study: Study, store: Store, role: str, pictures: Sequence[Pictures]) -> Values:
    """FID and KID between a model's images and the study's real pictures, by each network."""
    values: Values = {}
    for network in networks_of(study, store) if study.features.real_for(role) else ():
        reference = real_vectors(study, store, network, role)
        if network.kind not in REAL_BY_NETWORK or not len(reference):
            continue
        held = [
            each.features.get((network.kind, image.image), NOTHING)
            for each in pictures
            for image in each.images.values()
        ]
        held = [vector for vector in held if vector.shape == reference.shape[1:]]
        if len(held) < 2:
            continue
        ours, theirs = np.stack(held).astype(np.float64), reference.astype(np.float64)
        fid, kid = REAL_BY_NETWORK[network.kind]
        real = _Whole(reference)
        distances = subset_kernel_distances(ours, theirs, within=partial(_within, real))
        values |= _whole(role, fid, len(ours), frechet(gaussian_of(ours), _real_gaussian(real)))
        values |= _whole(role, kid, len(ours), float(distances.mean()))
    return values


class _Whole:
    """An array that is told from others by being the very one: those of real pictures are large, and kept."""

    def __init__(self, array: FloatArray) -> None:
        self.array = array

    def __hash__(self) -> int:
        return id(self.array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Whole) and other.array is self.array


@lru_cache(maxsize=4)
def _real_gaussian(of: _Whole) -> Gaussian:
    """Mean and covariance of real pictures, which is worked out once for all models."""
    return gaussian_of(of.array.astype(np.float64))


def _within(of: _Whole, chosen: Sequence[Indices]) -> NDArray[np.float64]:
    """Of subsets of real pictures, which are the same for all models with as many pictures."""
    return _real_within(of, len(chosen[0]), len(chosen))


@lru_cache(maxsize=8)
def _real_within(of: _Whole, size: int, subsets: int) -> NDArray[np.float64]:
    chosen = drawn_subsets(len(of.array), size, subsets, 1)
    return within_subsets(of.array.astype(np.float64), chosen)


def _whole(role: str, metric: StudyMetric, n: int, value: float) -> Values:
    """A number of a whole role without resamples."""
    unknown = np.full(KID_RESAMPLES, np.nan)
    return {whole_key(role, metric.card.key): np.array([n, float(value), *unknown])}


def _sides(
    pairs: Sequence[tuple[FloatArray, FloatArray]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Both sides of the pairs as arrays; None below two pairs, or where they are not of one length."""
    pairs = [(ours, theirs) for ours, theirs in pairs if ours.size and ours.shape == theirs.shape]
    if len(pairs) < 2 or len({ours.shape for ours, _ in pairs}) > 1:
        return None
    ours, theirs = (np.stack(side).astype(np.float64) for side in zip(*pairs, strict=True))
    return ours, theirs


def _distances(
    role: str, fid: StudyMetric, kid: StudyMetric, pairs: Sequence[tuple[FloatArray, FloatArray]]
) -> Values:
    found = _sides(pairs)
    if found is None:
        return {}
    ours, theirs = found
    drawn = drawn_kernel_distance(ours, theirs, KID_RESAMPLES, SEED)
    return _whole(role, fid, len(ours), frechet_distance(ours, theirs)) | {
        whole_key(role, kid.card.key): np.array([len(ours), *drawn])
    }


def _pixel_reader(store: Store) -> Callable[[ImageEvidence], NDArray[np.uint8] | None]:
    """Reads image files, each once: every metric of pixels looks at the same ones."""

    @lru_cache(maxsize=256)
    def read(image: str) -> NDArray[np.uint8] | None:
        try:
            return read_pixels(store.image_path(image))
        except StoreError:
            return None  # gone: its metrics are not defined

    return lambda evidence: read(evidence.image)


def _text_contexts(study: Study, store: Store, model: ModelIdentity) -> list[Context]:
    found = reading.score_contexts(store, model, study.protocol, study.date)
    found += reading.gradient_contexts(store, model, study.protocol, study.date)
    for seed in keys.decoding_seeds(study.decoding):
        found += reading.answer_contexts(store, model, study.decoding, seed, study.protocol, study.date)
    return found


def _image_contexts(study: Study, store: Store, model: ModelIdentity) -> list[Context]:
    judges = reading.judges_digest(study.judges)
    return [
        context
        for way in keys.image_ways(study.sampling, [probe for s in study.probe_sets for probe in s.probes])
        for context in reading.image_contexts(store, model, study.sampling, way, judges)
    ]


def _pack(values: Values) -> bytes:
    columns = {"key": pa.array(list(values), pa.string())}
    columns["values"] = pa.array([row.tolist() for row in values.values()], pa.list_(pa.float64()))
    table = pa.table(columns)
    return packed(table)


def _unpack(payload: bytes) -> Values:
    table = unpacked(payload)
    rows = table.column("values").to_pylist()
    return {
        key: np.array(row, np.float64) for key, row in zip(table.column("key").to_pylist(), rows, strict=True)
    }
