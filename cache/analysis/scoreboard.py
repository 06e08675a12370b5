"""All metrics of all models of a study, with intervals, from stored evidence alone: no weights, no torch.

The frame has one row for each model, role and metric. What it was computed from is stamped, so an unchanged store gives
the kept numbers back in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import pandas as pd
import pyarrow as pa

from backends.checkpoints.resolved import ResolvedModels
from backends.metrics import METRICS, ImageMetric
from backends.metrics.key import MetricKey
from backends.study import Study
from backends.study.targets import has_targets, targeted, with_some_target
from cache.analysis import derive, kept_values
from cache.analysis.denoising_rows import denoising_rows
from cache.analysis.derive import Values
from cache.analysis.known_studies import KnownStudy, note_newest
from cache.analysis.model_rows import baselines_of, is_metric, model_rows, rows_of
from cache.analysis.model_values import ModelValues, drafts, values_of
from cache.analysis.rating_rows import rating_rows
from cache.analysis.resampling import RESAMPLES, Groups
from cache.analysis.robustness.ladder import Rung
from cache.analysis.robustness.newest import attacked
from cache.analysis.robustness.rows import attack_rows, reference_rows
from cache.analysis.study_rows import (
    FORGET_QUALITY,
    MODEL_UTILITY,
    Baselines,
    ModelRows,
    Replicates,
    Row,
    lost_parts,
    utility_parts,
)
from cache.store import Store, denoising, keys, ratings
from cache.store.arrow import packed, unpacked
from cache.store.costs import costs
from cache.store.model_checks import model_checks
from cache.store.reading import evidence_for, images_for

COLUMNS = ("model", "part", "method", "step", "metric", "role", "key", "value", "low", "high", "n")


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """Numbers of a study.

    Attributes:
        frame: columns model, part, method, step (Int64, may be missing), metric, role, key (= role/metric), value, low,
            high (95 % interval, by the method of the metric's card; NaN where it has none, or cannot be told), n
            (probes with a value).
        numerics: arithmetic of all the evidence used; "" without any.
        utility_parts: keys that model utility is the harmonic mean of (see `study_rows.utility_parts`).
        stamp: changes with everything that the numbers come from; "" while metrics are tried out, whose numbers follow
            every edit.
        attacked: rungs of every model that was attacked (see `robustness.ladder`).
    """

    frame: pd.DataFrame
    numerics: str
    utility_parts: tuple[str, ...]
    _study: Study
    _models: ModelValues
    stamp: str = ""
    _drawn: dict[tuple[str, str], _Drawn] = field(default_factory=dict)
    _against: list[Baselines] = field(default_factory=list)
    attacked: Mapping[str, tuple[Rung, ...]] = field(default_factory=dict)

    def per_probe(self, model: str, key: str, under: str = "") -> pd.Series[float]:
        """Values of one metric ("forget/probability") by probe id; empty where the model has none.

        `under` is the model whose target says what the prompts are (see `backends.targets`); "" is the model itself.
        """
        role = MetricKey.parse(key).role
        probes = derive.role_probes(targeted(self._study, under or model)).get(role, [])
        values = self._values(model, under).get(key)
        index = pd.Index(
            [probe.id for probe in probes] if values is not None else [], name="probe", dtype=object
        )
        return pd.Series([] if values is None else values, index=index, name=key, dtype=float)

    def drawn(self, models: Sequence[str], key: str, under: str = "") -> Replicates:
        """A metric of several models in the same resamples of the probes, so that differences are paired.

        `under`: as for `per_probe`.

        Returns:
            Shape (models, 1 + RESAMPLES): the value, then its bootstrap replicates; NaN where it is not known.
        """
        found = np.full((len(models), 1 + RESAMPLES), np.nan)
        for place, model in enumerate(models):
            values = self._values(model, under)
            if key in values:
                found[place] = self._models.mean(model, key, under)
            elif values:
                found[place] = _filled(self._whole(model, key, under))
        return found

    def units(self, models: Sequence[str], key: str) -> Replicates:
        """How many probes (or subjects, where probes share them) each model's number stands on; NaN without one."""
        role = MetricKey.parse(key).role
        stated = self.frame[self.frame["key"] == key].set_index("model")["n"]
        found = np.full(len(models), np.nan)
        for place, model in enumerate(models):
            if model in stated.index:
                groups = self._subjects(model).get(role, ())
                found[place] = min(stated[model], len(set(groups))) if groups else stated[model]
        return found

    def original_values(self, model: str) -> pd.Series[float]:
        """The original's value of every metric by key, on the prompts that have the metric's role to this model."""
        name = self._study.original.name
        rows = self.frame[self.frame["model"] == name].set_index("key")["value"]
        if not has_targets(self._study):
            return rows
        keys = [key for key in self._values(name, under=model) if is_metric(key)]
        told = pd.Series({key: self.drawn([name], key, under=model)[0, 0] for key in keys}, dtype=float)
        whole = rows[
            [not isinstance(METRICS.get(MetricKey.parse(key).name), ImageMetric) for key in rows.index]
        ]
        if MODEL_UTILITY in whole.index:
            whole = whole.copy()
            whole[MODEL_UTILITY] = self.drawn([name], MODEL_UTILITY, under=model)[0, 0]
        return pd.concat([told, whole])

    def lost_parts(self, model: str, below: float) -> tuple[str, ...]:
        """Parts of a model's utility whose mean is below a value."""
        study = targeted(self._study, model)
        return lost_parts(study, self._values(model), self.utility_parts, below)

    def same_evidence(self, first: str, second: str) -> bool:
        """Whether two models' numbers come from the same evidence: the same weights under two names."""
        stamps = self._models.stamps
        return first == second or (bool(stamps.get(first)) and stamps.get(first) == stamps.get(second))

    @property
    def study(self) -> Study:
        """Whose numbers these are."""
        return self._study

    def evidence_stamp(self, model: str) -> str:
        """What tells the evidence of a model's numbers from any other; "" where it has none."""
        return self._models.stamps.get(model, "")

    def _whole(self, model: str, key: str, under: str) -> Replicates:
        """A metric of a whole model, drawn: computed once for each model, as far as it was asked for."""
        of = model, under if has_targets(self._study) else ""
        if of not in self._drawn:
            rows = rows_of(self._study, self._models, model, self.utility_parts, self._yardstick(), of[1])
            self._drawn[of] = _Drawn(rows)
        return self._drawn[of].of(key)

    def _yardstick(self) -> Baselines:
        if not self._against:
            self._against.append(baselines_of(self._study, self._models, self.utility_parts))
        return self._against[0]

    def most_changed(self, model: str, key: str, count: int = 5) -> pd.DataFrame:
        """The probes whose value moved most from the original's: columns probe, prompt, original, value, change."""
        role = MetricKey.parse(key).role
        probes = derive.role_probes(targeted(self._study, model)).get(role, [])
        prompts = {probe.id: probe.label for probe in probes}
        original = self.per_probe(self._study.original.name, key, under=model)
        frame = pd.DataFrame({"original": original, "value": self.per_probe(model, key)}).dropna()
        frame["change"] = frame["value"] - frame["original"]
        frame = frame.rename_axis("probe").reset_index()
        frame.insert(1, "prompt", frame["probe"].map(prompts))
        order = frame["change"].abs().sort_values(ascending=False, kind="stable").index
        return frame.loc[order].head(count).reset_index(drop=True)

    def _values(self, model: str, under: str = "") -> Values:
        return self._models.of(model, under)

    def _subjects(self, model: str) -> Mapping[str, Groups]:
        """Probes of one subject by role, as roles are to a model."""
        return self._models.groups(model)


class _Drawn:
    """Drawn metrics of one whole model by key, each computed when it is asked for."""

    def __init__(self, rows: ModelRows) -> None:
        self._rows = rows
        self._known: dict[str, Replicates] = {}
        self._lock = Lock()

    def of(self, key: str) -> Replicates:
        """One metric; one NaN where it is not defined."""
        with self._lock:
            if key not in self._known:
                given = self._rows.giving(MetricKey.parse(key).name)
                self._known |= {key: np.full(1, np.nan)} | {each.key: each.drawn for each in given}
            return self._known[key]


def scoreboard(study: Study, store: Store, models: ResolvedModels | None = None) -> Scoreboard:
    """Everything the store knows about the study's models, as numbers.

    All numbers come from evidence of one arithmetic, the one with most evidence: two kinds never share an axis.

    Args:
        study: the study.
        store: the cache.
        models: the study's, where they were looked at for the work that asks; None looks at them now.
    """
    of_models = values_of(study, store, models)
    shares = _whole(study, store)
    losses = denoising.stamp(study, store)
    rated = ratings.ratings_of(study, store)
    under_attack, attack_stamp = attacked(study, store, of_models.made_of)
    held = sorted((name, sorted(of.items())) for name, of in shares.items())
    parts = utility_parts(with_some_target(study))
    stamps = dict(of_models.stamps)
    described = ["frame", kept_values.definitions(), _described(study), stamps, held, losses, parts]
    also = [
        *([ratings.stamp(rated)] if rated else []),
        *([["attacks", attack_stamp]] if attack_stamp else []),
    ]
    key = keys.digest([*described, *also])
    kept = store.memo(key)
    if kept is None:
        rows = model_rows(study, store, of_models, parts, [spec.name for spec in study.models])
        more = {
            s.name: [
                *denoising_rows(study, store, s.name),
                *rating_rows(study, rated, s.name),
                *attack_rows(study, under_attack.get(s.name, ())),
                *(reference_rows(s.part, study.modality, under_attack) if s.part != "unlearned" else []),
            ]
            for s in study.models
        }
        frame = _frame(study, rows, shares, more)
        if not drafts():
            store.put_memo(key, _pack(frame, parts))
    else:
        frame, parts = _unpack(kept)
    if not drafts():
        note_newest(study, store, key)
    stamp = "" if drafts() else key
    return Scoreboard(frame, of_models.numerics, parts, study, of_models, stamp, attacked=under_attack)


def keep_numbers(study: Study, store: Store, name: str, models: ResolvedModels | None = None) -> None:
    """Derive what the evidence of one model gives by now, so that a scoreboard finds it kept; `models` as there.

    Raises:
        StoreError: the store cannot be written.
    """
    model_rows(study, store, values_of(study, store, models), utility_parts(with_some_target(study)), [name])


def kept_frame(store: Store, known: KnownStudy) -> pd.DataFrame | None:
    """The newest numbers of a study whose file is not at hand, or None where they are damaged."""
    kept = store.memo(known.memo)
    return None if kept is None else _unpack(kept)[0]


def _described(study: Study) -> list[object]:
    models = [
        [spec.name, spec.part, spec.method, spec.step, *([spec.forget] if spec.forget else [])]
        for spec in study.models
    ]
    probes = [
        [probe_set.role, probe.id, probe.digest(), probe.key_fact, probe.subject]
        for probe_set in study.probe_sets
        for probe in probe_set.probes
    ]
    sets = [[each.name, [probe.id for probe in each.probes]] for each in study.probe_sets]
    return [models, probes, sets, sorted(study.forget_concepts.items()), study.protocol]


def _whole(study: Study, store: Store) -> dict[str, dict[str, float]]:
    """Metrics of models as a whole: what of each image model differs from the original, and what a model cost."""
    found = costs(study, store)
    names = [spec.name for spec in study.models] if study.modality == "image" else []
    for name, check in model_checks(study, store, names).items():
        if check.report is not None:
            found.setdefault(name, {})["changed_share"] = check.report.share
    return found


def _frame(
    study: Study,
    known: Mapping[str, list[Row]],
    shares: Mapping[str, Mapping[str, float]],
    more: Mapping[str, list[Row]],
) -> pd.DataFrame:
    rows: list[tuple[object, ...]] = []
    for spec in study.models:
        if spec.name not in known:
            continue
        head = (spec.name, spec.part, spec.method, spec.step)
        rows += [(*head, *row) for row in known[spec.name]]
        for metric, value in shares.get(spec.name, {}).items():
            rows.append((*head, metric, "all", str(MetricKey("all", metric)), value, np.nan, np.nan, 1))
        rows += [(*head, *row) for row in more.get(spec.name, [])]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"step": "Int64", "value": float, "low": float, "high": float, "n": int})


def _filled(drawn: Replicates) -> Replicates:
    """As many resamples as everything has: metrics that are costly to resample have fewer, which are repeated."""
    if len(drawn) < 2:
        return np.append(drawn[:1], np.full(RESAMPLES, np.nan))
    return np.append(drawn[:1], np.resize(drawn[1:], RESAMPLES))


def _pack(frame: pd.DataFrame, parts: tuple[str, ...]) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), b"parts": "\n".join(parts).encode()}
    )
    return packed(table)


def _unpack(payload: bytes) -> tuple[pd.DataFrame, tuple[str, ...]]:
    table = unpacked(payload)
    parts = table.schema.metadata[b"parts"].decode()
    return table.to_pandas(), tuple(parts.split("\n")) if parts else ()


__all__ = [
    "COLUMNS",
    "FORGET_QUALITY",
    "MODEL_UTILITY",
    "Scoreboard",
    "evidence_for",
    "images_for",
    "kept_frame",
    "scoreboard",
]
