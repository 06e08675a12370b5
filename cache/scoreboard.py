"""All metrics of all models of a study, with intervals, from stored evidence alone: no weights, no torch.

The frame has one row for each model, role and metric. What it was computed from is stamped, so an unchanged store gives
the kept numbers back in milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from backends.metrics import METRICS, METRICS_VERSION
from backends.metrics.privacy import ATTACKS, pair_wins, privacy_match
from backends.metrics.study_level import (
    FORGETTING_PARTS,
    UTILITY_PARTS,
    forget_quality,
    harmonic_mean,
    memorisation_parts,
    part_applies,
)
from backends.study import Study
from cache import derive, keys
from cache.derive import LOG_TRUTH_RATIO, Values
from cache.reading import evidence_for, images_for
from cache.statistics import bootstrap_means, bootstrap_pairs, percentile_interval
from cache.store import Store

COLUMNS = ("model", "part", "method", "step", "metric", "role", "key", "value", "low", "high", "n")

MODEL_UTILITY = "all/model_utility"
FORGET_QUALITY = "forget/forget_quality"


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """Numbers of a study.

    Attributes:
        frame: columns model, part, method, step (Int64, may be missing), metric, role, key (= role/metric), value, low,
            high (95 % percentile bootstrap over probes; NaN for forget quality), n (probes with a value).
        numerics: arithmetic of all the evidence used; "" without any.
        utility_parts: keys that model utility is the harmonic mean of.
    """

    frame: pd.DataFrame
    numerics: str
    utility_parts: tuple[str, ...]
    _study: Study
    _store: Store
    _stamps: Mapping[str, str]

    def per_probe(self, model: str, key: str) -> pd.Series[float]:
        """Values of one metric ("forget/probability") by probe id; empty where the model has none."""
        role = key.partition("/")[0]
        probes = derive.role_probes(self._study).get(role, [])
        values = self._values(model).get(key)
        index = pd.Index(
            [probe.id for probe in probes] if values is not None else [], name="probe", dtype=object
        )
        return pd.Series([] if values is None else values, index=index, name=key, dtype=float)

    def most_changed(self, model: str, key: str, count: int = 5) -> pd.DataFrame:
        """The probes whose value moved most from the original's: columns probe, prompt, original, value, change."""
        role = key.partition("/")[0]
        prompts = {probe.id: probe.prompt for probe in derive.role_probes(self._study).get(role, [])}
        frame = pd.DataFrame(
            {"original": self.per_probe(self._study.original.name, key), "value": self.per_probe(model, key)}
        ).dropna()
        frame["change"] = frame["value"] - frame["original"]
        frame = frame.rename_axis("probe").reset_index()
        frame.insert(1, "prompt", frame["probe"].map(prompts))
        order = frame["change"].abs().sort_values(ascending=False, kind="stable").index
        return frame.loc[order].head(count).reset_index(drop=True)

    def _values(self, model: str) -> Values:
        stamp = self._stamps.get(model, "")
        if not stamp:
            return {}
        return derive.model_values(self._study, self._store, self._study.model(model), self.numerics, stamp)


def scoreboard(study: Study, store: Store) -> Scoreboard:
    """Everything the store knows about the study's models, as numbers.

    All numbers come from evidence of one arithmetic, the one with most evidence: two kinds never share an axis.
    """
    numerics, stamps = _evidence(study, store)
    key = keys.digest(["frame", METRICS_VERSION, _described(study), stamps])
    kept = store.memo(key)
    parts = _utility_parts(study)
    if kept is None:
        held = [spec for spec in study.models if stamps.get(spec.name)]
        values = {s.name: derive.model_values(study, store, s, numerics, stamps[s.name]) for s in held}
        frame = _frame(study, values, parts)
        store.put_memo(key, _pack(frame, parts))
    else:
        frame, parts = _unpack(kept)
    return Scoreboard(frame, numerics, parts, study, store, MappingProxyType(stamps))


def _evidence(study: Study, store: Store) -> tuple[str, dict[str, str]]:
    """The arithmetic with the most contexts (float32 where equal), and each model's stamp under it."""
    contexts = {spec.name: derive.contexts_of(study, store, spec) for spec in study.models}
    made = Counter(context.numerics for several in contexts.values() for context in several)
    numerics = max(made, key=lambda name: (made[name], name == "float32"), default="")
    chosen = {name: [c for c in several if c.numerics == numerics] for name, several in contexts.items()}
    digests = {probe.digest() for probe_set in study.probe_sets for probe in probe_set.probes}
    stamps = derive.stamps(store, chosen, digests)
    if study.modality == "image":
        # Distances are to the original's images, so a model's numbers change when those do.
        base = stamps[study.original.name]
        stamps = {name: keys.digest([base, stamp]) if stamp else "" for name, stamp in stamps.items()}
    return numerics, stamps


def _described(study: Study) -> list[object]:
    models = [[spec.name, spec.part, spec.method, spec.step] for spec in study.models]
    probes = [
        [probe_set.role, probe.id, probe.digest(), probe.key_fact]
        for probe_set in study.probe_sets
        for probe in probe_set.probes
    ]
    return [models, probes, sorted(study.forget_concepts.items())]


def _utility_parts(study: Study) -> tuple[str, ...]:
    """What model utility is made of in this study: told by its probes alone, so that evidence never changes it."""
    probes = derive.role_probes(study)
    judged = {judge.domain for judge in study.judges}
    return tuple(
        part
        for part in UTILITY_PARTS[study.modality]
        if any(
            part_applies(part.partition("/")[2], probe, judged, study.forget_concepts)
            for probe in probes.get(part.partition("/")[0], [])
        )
    )


def _frame(study: Study, values: Mapping[str, Values], parts: tuple[str, ...]) -> pd.DataFrame:
    rows: list[tuple[object, ...]] = []
    retained = values.get(study.retained.name, {}) if study.retained is not None else {}
    for spec in study.models:
        if spec.name not in values:
            continue
        held = values[spec.name]
        samples = {key: bootstrap_means(row[:, None])[:, 0] for key, row in held.items() if _is_metric(key)}
        head = (spec.name, spec.part, spec.method, spec.step)
        rows += [(*head, *_row(key, held[key], drawn)) for key, drawn in samples.items()]
        rows += [(*head, *_utility(held, samples, parts))] if parts else []
        if study.retained is not None and study.retained.name in values:
            rows += _quality(head, held, values[study.retained.name])
        rows += [(*head, *row) for row in (*_memorisation(held), *_privacy(held, retained))]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"step": "Int64", "value": float, "low": float, "high": float, "n": int})


def _is_metric(key: str) -> bool:
    return key.partition("/")[2] in METRICS


def _row(key: str, values: NDArray[np.float64], drawn: NDArray[np.float64]) -> tuple[object, ...]:
    role, _, metric = key.partition("/")
    low, high = percentile_interval(drawn)
    n = int(np.sum(~np.isnan(values)))
    return metric, role, key, float(np.nanmean(values)), float(low), float(high), n


def _utility(
    held: Values, samples: Mapping[str, NDArray[np.float64]], parts: tuple[str, ...]
) -> tuple[object, ...]:
    head = ("model_utility", "all", MODEL_UTILITY)
    if any(part not in held for part in parts):
        return (*head, np.nan, np.nan, np.nan, 0)
    value = harmonic_mean([float(np.nanmean(held[part])) for part in parts])
    low, high = percentile_interval(harmonic_mean(np.array([samples[part] for part in parts])))
    n = sum(int(np.sum(~np.isnan(held[part]))) for part in {p.partition("/")[0]: p for p in parts}.values())
    return (*head, float(value), float(low), float(high), n)


def _quality(head: tuple[object, ...], held: Values, retained: Values) -> list[tuple[object, ...]]:
    if LOG_TRUTH_RATIO not in held or LOG_TRUTH_RATIO not in retained:
        return []
    ours = held[LOG_TRUTH_RATIO]
    value = forget_quality(ours, retained[LOG_TRUTH_RATIO])
    return [
        (
            *head,
            "forget_quality",
            "forget",
            FORGET_QUALITY,
            value,
            np.nan,
            np.nan,
            int(np.sum(~np.isnan(ours))),
        )
    ]


def _memorisation(held: Values) -> list[tuple[object, ...]]:
    values = {part: held[f"forget/{part}"] for part in FORGETTING_PARTS if f"forget/{part}" in held}
    if len(values) < len(FORGETTING_PARTS) or LOG_TRUTH_RATIO not in held:
        return []
    parts = memorisation_parts(values, held[LOG_TRUTH_RATIO])
    drawn = harmonic_mean(
        np.stack([np.append(np.nanmean(part), bootstrap_means(part[:, None])[:, 0]) for part in parts])
    )
    return [_drawn_row("memorisation", drawn, int(np.sum(~np.isnan(parts).any(axis=0))))]


def _privacy(held: Values, retained: Values) -> list[tuple[object, ...]]:
    """Rows of the membership attacks' AUCs, and of how near all of them are to the retained model's."""
    aucs = {attack: _auc(held, attack) for attack in ATTACKS}
    theirs = [_auc(retained, attack) for attack in ATTACKS]
    count = sum(_wins(held, next(iter(ATTACKS))).shape)
    rows = [_drawn_row(attack, drawn, count) for attack, drawn in aucs.items() if not np.isnan(drawn[0])]
    matches = [privacy_match(ours, known) for ours, known in zip(aucs.values(), theirs, strict=True)]
    privacy = harmonic_mean(np.array(matches))
    return [*rows, *([] if np.isnan(privacy[0]) else [_drawn_row("privacy", privacy, count)])]


def _auc(values: Values, attack: str) -> NDArray[np.float64]:
    """An attack's AUC, then those of its resamples, shape (1 + B,); all NaN where a role has no scores."""
    wins = _wins(values, attack)
    return np.append(wins.mean() if wins.size else np.nan, bootstrap_pairs(wins))


def _wins(values: Values, attack: str) -> NDArray[np.float64]:
    scores = [values.get(derive.attack_key(role, attack), np.empty(0)) for role in ("forget", "holdout")]
    forget, holdout = (row[~np.isnan(row)] for row in scores)
    return pair_wins(forget, holdout)


def _drawn_row(metric: str, drawn: NDArray[np.float64], n: int) -> tuple[object, ...]:
    """One row on the forget role: a value (first in `drawn`), its interval from its resamples (the rest)."""
    low, high = percentile_interval(drawn[1:])
    return metric, "forget", f"forget/{metric}", float(drawn[0]), float(low), float(high), n


def _pack(frame: pd.DataFrame, parts: tuple[str, ...]) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), b"parts": ",".join(parts).encode()}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _unpack(payload: bytes) -> tuple[pd.DataFrame, tuple[str, ...]]:
    table = pa.ipc.open_stream(payload).read_all()
    parts = table.schema.metadata[b"parts"].decode()
    return table.to_pandas(), tuple(parts.split(",")) if parts else ()


__all__ = [
    "COLUMNS",
    "FORGET_QUALITY",
    "MODEL_UTILITY",
    "Scoreboard",
    "evidence_for",
    "images_for",
    "scoreboard",
]
