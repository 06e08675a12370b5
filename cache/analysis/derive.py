"""Per-probe values of all metrics of one model, from stored evidence; kept in the store until the evidence changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from backends.checkpoints.identity import ModelIdentity
from backends.checkpoints.resolved import ResolvedModels
from backends.errors import CheckpointError, StoreError
from backends.evidence import ANSWER, ImageEvidence, TextEvidence, TokenScores
from backends.metrics import DRAFT, METRICS, ImageMetric, Pictures
from backends.metrics.key import MetricKey
from backends.metrics.protocols import attacks_of, values_of
from backends.metrics.truth_ratio import log_ratio_of
from backends.study import ModelSpec, Probe, Study
from cache.analysis import kept_values
from cache.analysis.kept_values import KeptValues
from cache.analysis.set_distances import set_distances, set_metrics, whole_key
from cache.store import Store, keys, reading
from cache.store.features import features_of
from cache.store.image_files import read_pixels
from cache.store.keys import Context

C = TypeVar("C", bound="Column")


Values = dict[str, NDArray[np.float64]]
"""role/metric -> one value for each probe of the role, in the order of `role_probes`; NaN if there is none."""

STAMP_PREFIX = "stamp/"
"""Of the keys under which stamps of evidence are kept."""

LOG_TRUTH_RATIO = "forget/log_truth_ratio"
"""Kept beside the metrics for forget quality; no metric of its own."""


def attack_key(role: str, attack: str) -> str:
    """Where the per-probe scores of a membership attack are kept; its metric is made of two roles' scores."""
    return str(MetricKey(role, attack, kind="score"))


def role_probes(study: Study) -> dict[str, list[Probe]]:
    """Probes of each role over all probe sets, each id once, in the order of the study."""
    roles: dict[str, dict[str, Probe]] = {}
    for probe_set in study.probe_sets:
        for probe in probe_set.probes:
            roles.setdefault(probe_set.role, {}).setdefault(probe.id, probe)
    return {role: list(probes.values()) for role, probes in roles.items()}


def contexts_of(
    study: Study, store: Store, spec: ModelSpec, models: ResolvedModels | None = None
) -> list[Context]:
    """All contexts that hold evidence of the model under the study's settings; none where it cannot be identified."""
    try:
        model = reading.identity_to_read(spec, study, models)
    except CheckpointError:
        return []  # the page that opens the study says why; here it only has no evidence
    return (
        _image_contexts(study, store, model)
        if study.modality == "image"
        else _text_contexts(study, store, model)
    )


def stamps(store: Store, contexts: Mapping[str, Sequence[Context]], digests: Iterable[str]) -> dict[str, str]:
    """Model name -> stamp of its evidence on these probes; "" where it has none.

    A stamp looks at every probe, so it is kept for as long as nothing is new in the model's contexts.
    """
    wanted = set(digests)
    states = store.states([context.key for several in contexts.values() for context in several])
    asked = keys.digest(sorted(wanted))
    kept_as = {
        name: STAMP_PREFIX + keys.digest([asked, [[each.key, states[each.key]] for each in several]])
        for name, several in contexts.items()
    }
    kept = store.memos(list(kept_as.values()))
    unknown = {name: several for name, several in contexts.items() if kept_as[name] not in kept}
    made = _stamps(store, unknown, wanted)
    if made:
        store.put_memos({kept_as[name]: stamp.encode() for name, stamp in made.items()})
    return {name: made[name] if name in made else kept[kept_as[name]].decode() for name in contexts}


def _stamps(store: Store, contexts: Mapping[str, Sequence[Context]], wanted: set[str]) -> dict[str, str]:
    cells = store.stamps([context.key for several in contexts.values() for context in several])
    result: dict[str, str] = {}
    for name, several in contexts.items():
        held = [
            [context.key, sorted(item for item in cells[context.key].items() if item[0] in wanted)]
            for context in several
        ]
        result[name] = keys.digest(held) if any(rows for _, rows in held) else ""
    return result


@dataclass(frozen=True, slots=True)
class Asked:
    """What a study asks each of its models, made once for all of them.

    Attributes:
        study: as it is to the model.
        columns: what is kept of a model.
        said: probes, concepts and protocol, as keys take them.
    """

    study: Study
    columns: Sequence[Column]
    said: tuple[keys.Said, ...]

    @classmethod
    def of(cls, study: Study) -> Asked:
        """Of a study as it is to a model."""
        rows = [
            [
                role,
                probe.id,
                probe.digest(),
                probe.key_fact,
                *([list(probe.accepted)] if probe.accepted else []),
            ]
            for role, probes in role_probes(study).items()
            for probe in probes
        ]
        columns = image_columns(study) if study.modality == "image" else text_columns(study)
        said = (rows, sorted(study.forget_concepts.items()), study.protocol)
        return cls(study, columns, tuple(map(keys.Said.of, said)))

    def made_of(self, stamp: str) -> list[object]:
        """What the values of a model are made of whose evidence has this stamp."""
        return [stamp, *self.said]


def model_values(asked: Asked, store: Store, spec: ModelSpec, numerics: str, stamp: str) -> Values:
    """Per-probe values of one model for this stamp: those that are kept, and the others computed and kept too.

    Only metrics that nothing is kept of are computed: new ones, and those whose definition has another version.
    """
    made_of, study = asked.made_of(stamp), asked.study
    if study.modality == "image":
        values = _completed(
            store, made_of, asked.columns, partial(_image_values, study, store, spec, numerics)
        )
    else:
        columns = [column for column in asked.columns if isinstance(column, TextColumn)]
        values = _completed(store, made_of, columns, partial(_text_values, study, store, spec, numerics))
    return {key: row for key, row in values.items() if len(row)}


def _completed(
    store: Store, made_of: Sequence[object], columns: Sequence[C], compute: Callable[[Sequence[C]], Values]
) -> Values:
    """Every column, those without any value empty: the kept ones of the same version, the others computed."""
    versions = {column.key: METRICS[column.metric].version for column in columns}
    kept = kept_values.read(store, made_of, columns)
    values = {key: held.values for key, held in kept.items() if versions.get(key) == held.version}
    missing = [column for column in columns if column.key not in values]
    computed = compute(missing) if missing else {}
    values |= {column.key: _defined(computed.get(column.key)) for column in missing}
    if any(versions[column.key] != DRAFT for column in missing):
        done = {key: version for key, version in versions.items() if version != DRAFT}
        kept_values.write(
            store, made_of, {key: KeptValues(version, values[key]) for key, version in done.items()}
        )
    return {key: values[key] for key in versions}


def _defined(row: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """No values at all where none is defined."""
    return np.zeros(0) if row is None or np.isnan(row).all() else row


@dataclass(frozen=True, slots=True)
class Column:
    """Values that are kept together, and are computed again together.

    Attributes:
        role: of the probes that they are of.
        key: where they are among the values of a model.
        metric: whose definition they are of.
    """

    role: str
    key: str
    metric: str


@dataclass(frozen=True, slots=True)
class TextColumn(Column):
    """Values of single probes, each from the text evidence of one."""

    value: Callable[[Probe, TextEvidence], float]


def text_columns(study: Study) -> list[TextColumn]:
    """What is kept of a language model: the metrics of single probes, and what those of whole models are made of."""
    columns: list[TextColumn] = []
    for role in role_probes(study):
        columns += [
            TextColumn(role, str(MetricKey(role, metric)), metric, value)
            for metric, value in values_of(study.protocol, role).items()
        ]
        if role == "forget":
            columns.append(
                TextColumn(role, LOG_TRUTH_RATIO, "truth_ratio", lambda _, held: log_ratio_of(held))
            )
        if role in ("forget", "holdout"):
            columns += [
                TextColumn(role, attack_key(role, attack), attack, partial(_attacked, score))
                for attack, score in attacks_of(study.protocol).items()
            ]
            gradient = "mia_gradnorm"
            columns.append(
                TextColumn(role, attack_key(role, gradient), gradient, lambda _, held: held.gradient_norm)
            )
    return [column for column in columns if column.metric in METRICS]


def _attacked(score: Callable[[TokenScores, str], float], probe: Probe, evidence: TextEvidence) -> float:
    """Score of one probe under one attack; NaN where its answer was not scored."""
    scores = evidence.scores.get(ANSWER)
    return math.nan if scores is None else score(scores, probe.answer)


def _text_values(
    study: Study, store: Store, spec: ModelSpec, numerics: str, columns: Sequence[TextColumn]
) -> Values:
    values: Values = {}
    roles = role_probes(study)
    asked = dict.fromkeys(p.digest() for column in columns for p in roles[column.role])
    evidence = reading.text_evidence(study, store, spec.name, list(asked), numerics=numerics)
    for role, probes in roles.items():
        wanted = [column for column in columns if column.role == role]
        if not wanted:
            continue
        # All metrics of one probe together: several compare the same two texts, which is done once.
        rows = np.full((len(probes), len(wanted)), math.nan)
        for place, probe in enumerate(probes):
            if (held := evidence.get(probe.digest())) is not None:
                rows[place] = [column.value(probe, held) for column in wanted]
        values |= {column.key: rows[:, place] for place, column in enumerate(wanted)}
    return values


def image_columns(study: Study) -> list[Column]:
    """What is kept of an image model: distances between sets of pictures, and values of single probes."""
    columns: list[Column] = []
    for role in role_probes(study):
        columns += [
            Column(role, whole_key(role, metric), metric)
            for metric in set_metrics(study, role)
            if metric in METRICS
        ]
        columns += [
            Column(role, str(MetricKey(role, name)), name)
            for name, metric in METRICS.items()
            if isinstance(metric, ImageMetric) and metric.card.reported_for(role)
        ]
    return columns


def _image_values(
    study: Study, store: Store, spec: ModelSpec, numerics: str, columns: Sequence[Column]
) -> Values:
    values: Values = {}
    for role, probes in role_probes(study).items():
        wanted = {column.metric for column in columns if column.role == role}
        if not wanted:
            continue
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
        values |= set_distances(study, store, role, pictures, wanted)
        for name, metric in METRICS.items():
            if isinstance(metric, ImageMetric) and name in wanted:
                values[str(MetricKey(role, name))] = np.array([metric.value(each) for each in pictures])
    return values


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
    contexts = reading.score_contexts(store, model, study.protocol, study.date)
    contexts += reading.gradient_contexts(store, model, study.protocol, study.date)
    for seed in keys.decoding_seeds(study.decoding):
        contexts += reading.answer_contexts(store, model, study.decoding, seed, study.protocol, study.date)
    return contexts


def _image_contexts(study: Study, store: Store, model: ModelIdentity) -> list[Context]:
    judges = reading.judges_digest(study.judges)
    return [
        context
        for way in keys.image_seed_settings(
            study.sampling, [probe for s in study.probe_sets for probe in s.probes]
        )
        for context in reading.image_contexts(store, model, study.sampling, way, judges)
    ]
