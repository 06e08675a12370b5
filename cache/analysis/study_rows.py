"""Metrics of a whole model, each from several per-probe metrics: utility, forget quality, memorisation, membership.

A *drawn* value is an array of shape (1 + B,): the value, then its B bootstrap replicates. Equal seeds weight the probes
equally, so arithmetic on drawn values of two models is paired. Knows no stores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.metrics.detection import FALSE_ALARMS, detection_key, exact_interval, found_members
from backends.metrics.key import MetricKey
from backends.metrics.leakage import easiest_leak
from backends.metrics.least_kept import KEPT_BY, KEPT_OF, least_kept, least_kept_key
from backends.metrics.privacy import ATTACK_NAMES, auc
from backends.metrics.protocols import PROTOCOLS
from backends.metrics.relative import COMPARED
from backends.metrics.retained_privacy import (
    MATCHED,
    match_key,
    privacy_match,
    privleak,
    relative_difference,
)
from backends.metrics.study_level import (
    FORGETTING_PARTS,
    UTILITY_PARTS,
    forget_quality,
    harmonic_mean,
    memorisation_parts,
    part_applies,
)
from backends.study import Study
from backends.study.targets import has_targets
from cache.analysis.derive import LOG_TRUTH_RATIO, Values, attack_key, role_probes
from cache.analysis.probe_draws import bounds_of, role_seed
from cache.analysis.relative_test import (
    References,
    closeness_interval,
    compared,
    drawn_closeness,
    references,
)
from cache.analysis.resampling import Bounds, Groups, bootstrap_areas, bootstrap_means, interval_of

MODEL_UTILITY = "all/model_utility"
FORGET_QUALITY = "forget/forget_quality"

Replicates = NDArray[np.float64]
Scores = NDArray[np.float64]
Row = tuple[object, ...]
"""metric, role, key, value, low, high, n."""
SHARE: Bounds = (0.0, 1.0)
ROUNDING = 1e-12


class Measurement(NamedTuple):
    """One metric of a whole model: its value with its bootstrap replicates, how many probes, an interval of its own."""

    metric: str
    role: str
    drawn: Replicates
    n: int
    interval: tuple[float, float] | None = None

    @property
    def key(self) -> str:
        """role/metric."""
        return str(MetricKey(self.role, self.metric))

    def row(self) -> Row:
        """Value and 95 % interval: its own, else that of the resamples, else unknown."""
        low, high = self.interval or map(float, interval_of(self.drawn))
        return self.metric, self.role, self.key, float(self.drawn[0]), low, high, self.n


def mean_replicates(row: Scores, role: str, bounds: Bounds, groups: Mapping[str, Groups]) -> Replicates:
    """Mean of the values of one role's probes, drawn.

    Args:
        row: a value for each probe of the role, NaN without one; or none at all.
        role: of the probes.
        bounds: where such values may lie.
        groups: by role, probes of one subject (see `subject_groups`).
    """
    together = groups.get(role, ()) if len(row) else ()
    means = bootstrap_means(row[:, None], seed=role_seed(role), bounds=bounds, groups=together)
    return np.append(_mean(row), means[:, 0])


def _mean(row: Scores) -> float:
    return float(np.nanmean(row)) if len(row) and not np.isnan(row).all() else math.nan


def mean_rows(values: Values, groups: Mapping[str, Groups]) -> Iterator[Row]:
    """The means over the probes of each role: all metrics of the role at once."""
    read = {key: MetricKey.parse(key) for key in values}
    for role in dict.fromkeys(each.role for each in read.values()):
        names = [key for key, each in read.items() if each.role == role]
        table = np.stack([values[key] for key in names], axis=1)
        counts = np.sum(~np.isnan(table), axis=0)
        means = np.array([_mean(values[key]) for key in names])
        bounds = [bounds_of(key) for key in names]
        drawn = bootstrap_means(table, seed=role_seed(role), bounds=bounds, groups=groups.get(role, ()))
        for key, mean, low, high, n in zip(
            names, means, *interval_of(np.vstack([means, drawn])), counts, strict=True
        ):
            yield read[key].name, role, key, float(mean), float(low), float(high), int(n)


def drawn_harmonic_mean(parts: Replicates) -> Replicates:
    """Harmonic mean of drawn parts, shape (parts, 1 + B).

    Parts that vary lower a harmonic mean, and resamples vary about parts that vary already: what resampling lowers it
    by is added to each resample, which then is never above its largest part. The value is left as it is.
    """
    drawn = harmonic_mean(parts)
    known = parts[:, 1:][:, ~np.isnan(drawn[1:])]
    if known.shape[1]:
        lowered = harmonic_mean(known.mean(axis=1)) - harmonic_mean(known).mean()
        drawn[1:] = np.minimum(drawn[1:] + lowered, parts[:, 1:].max(axis=0))
    return drawn


def drawn_match(ours: Replicates, theirs: Replicates) -> Replicates:
    """How near a drawn AUC is to the retained model's (`privacy_match`).

    Of two equal models the resamples are never equal, so a distance is never 0 in them: the variance of the difference
    over the resamples is taken off its square in each, and what is below 0 is 0. The value is left as it is.
    """
    change = (ours - theirs)[1:]
    if np.isnan(change).all():
        return privacy_match(ours, theirs)
    apart = np.sqrt(np.maximum(change**2 - np.nanvar(change), 0.0))
    return privacy_match(np.append(ours[0], theirs[1:] + apart), theirs)


def _unknown() -> Replicates:
    return mean_replicates(np.empty(0), "", SHARE, {})


def utility_parts(study: Study) -> tuple[str, ...]:
    """What model utility is made of in this study: told by its probes alone, so that evidence never changes it.

    `role/metric`, or `role/metric@set` where several utility probe sets each have their part, as TOFU's real authors
    and world facts.
    """
    judged = {judge.domain for judge in study.judges}
    probes = role_probes(study)
    sets = _sets(study)
    parts: list[str] = []
    for part in UTILITY_PARTS[study.modality]:
        key = MetricKey.parse(part)
        role, metric = key.role, key.metric
        each_set = {str(replace(key, part=name)): ids for name, ids in sets.items()}
        groups = each_set if role == "utility" else {}
        if len(groups) < 2:
            groups = {part: {probe.id for probe in probes.get(role, [])}}
        parts += [
            name
            for name, ids in groups.items()
            if any(
                part_applies(metric, probe, judged, study.forget_concepts)
                for probe in probes.get(role, [])
                if probe.id in ids
            )
        ]
    return tuple(parts)


def _sets(study: Study) -> dict[str, set[str]]:
    """Ids of the probes of each utility probe set."""
    return {
        each.name: {probe.id for probe in each.probes}
        for each in study.probe_sets
        if each.role == "utility" and each.probes
    }


@dataclass(frozen=True, slots=True)
class Baselines:
    """What every model of a study is measured against, drawn once.

    Attributes:
        original: usefulness of the original: its model utility and the sense of its answers, as one.
        retained: values of the retained model; none without one.
        aucs: the retained model's AUC of every attack.
        references: by role, what a model is to be closer to.
        kept: of the retained model, or without one of the original, what should stay, by key; none where models have
            targets of their own.
    """

    original: Replicates
    retained: Values
    aucs: Mapping[str, Replicates]
    references: Mapping[str, References]
    kept: Mapping[str, Replicates]


def baselines(
    study: Study,
    parts: tuple[str, ...],
    original: Values,
    retained: Values,
    groups: Mapping[str, Groups],
) -> Baselines:
    """Of the values of the original and of the retained model, which may be none; groups as for `mean_replicates`."""
    aucs = {attack: _auc(attack, retained, retained, groups) for attack in ATTACK_NAMES}
    useful = _usefulness(_utility(study, original, parts, groups), original, groups)
    kept = {} if has_targets(study) else _kept(study, retained or original, parts, groups)
    return Baselines(useful, retained, aucs, _references(study, original, retained), kept)


def _kept(
    study: Study, values: Values, parts: tuple[str, ...], groups: Mapping[str, Groups]
) -> dict[str, Replicates]:
    """What should stay, drawn, by key: model utility, and of each role the first metric that its probes have."""
    found = {MODEL_UTILITY: _utility(study, values, parts, groups)}
    for role in KEPT_OF:
        names = (f"{role}/{metric}" for metric in KEPT_BY[study.modality])
        key = next((name for name in names if _has_any(values.get(name))), None)
        if key is not None:
            found[key] = mean_replicates(values[key], role, bounds_of(key), groups)
    return {key: drawn for key, drawn in found.items() if not np.isnan(drawn[0])}


def _has_any(scores: Scores | None) -> bool:
    return scores is not None and len(scores) > 0 and not bool(np.isnan(scores).all())


def _references(study: Study, original: Values, retained: Values) -> dict[str, References]:
    """By role; none where models have targets of their own, to which the roles are not the same probes.

    Holdout probes are left out: nobody was trained on them, so neither answer would mean anything.
    """
    metrics = COMPARED[study.modality]
    roles = () if has_targets(study) else [role for role in role_probes(study) if role != "holdout"]
    found = {role: references(role, metrics, original, retained) for role in roles}
    return {role: both for role, both in found.items() if both is not None}


@dataclass(frozen=True, slots=True)
class ModelRows:
    """What is known of one model, for the metrics of whole models.

    Attributes:
        study: the study.
        values: per-probe values.
        parts: what model utility is made of.
        against: what it is measured against.
        groups: by role, probes of one subject.
    """

    study: Study
    values: Values
    parts: tuple[str, ...]
    against: Baselines
    groups: Mapping[str, Groups]

    def rows(self) -> Iterator[Row]:
        """All that are defined; model utility also where it is not."""
        return (each.row() for each in self.measured())

    def giving(self, metric: str) -> Iterator[Measurement]:
        """One metric with its resamples, and what comes with it: those that stand alone without all the others."""
        if metric in ATTACK_NAMES:
            yield from self._attack(metric, _auc(metric, self.values, self.against.retained, self.groups))
        elif metric == "model_utility":
            yield from self._model_utility(self._utility())
        elif metric == "closer_to_retained":
            yield from self._closer()
        else:
            yield from self.measured()

    def measured(self) -> Iterator[Measurement]:
        """All with their resamples."""
        utility = self._utility()
        yield from self._model_utility(utility)
        yield from self._least_kept(utility)
        yield from self._closer()
        if self.study.modality == "image":
            yield from self._distributions()
            return
        yield from self._forget_quality()
        yield from self._easiest_leak()
        memorisation, n = _memorisation(self.values, self.groups)
        yield from _known("memorisation", "forget", memorisation, n)
        attacks, privacy = self._membership()
        yield from attacks
        relative = self._relative_utility(utility)
        yield from _known("relative_utility", "all", relative, self._utility_probes())
        overall = drawn_harmonic_mean(np.stack([memorisation, privacy, relative]))
        yield from _known("overall", "all", overall, n)

    def _utility(self) -> Replicates:
        return _utility(self.study, self.values, self.parts, self.groups)

    def _model_utility(self, utility: Replicates) -> Iterator[Measurement]:
        if self.parts:
            yield Measurement("model_utility", "all", utility, self._utility_probes())

    def _least_kept(self, utility: Replicates) -> Iterator[Measurement]:
        ours, n = dict[str, Replicates](), 0
        for key in self.against.kept:
            role = MetricKey.parse(key).role
            if key == MODEL_UTILITY:
                ours[key] = utility
                n += self._utility_probes()
            elif _has_any(self.values.get(key)):
                ours[key] = mean_replicates(self.values[key], role, bounds_of(key), self.groups)
                n += int(np.sum(~np.isnan(self.values[key])))
        if ours:
            mine, theirs = (np.stack([of[key] for key in ours], axis=-1) for of in (ours, self.against.kept))
            drawn = least_kept(mine, theirs)
            low, high = map(float, interval_of(drawn))
            # Equal on the worst part's few probes and not elsewhere: how far it would differ on others is not known.
            unsure = high - low <= ROUNDING and not np.array_equal(mine, theirs, equal_nan=True)
            if not np.isnan(drawn[0]):
                interval = (np.nan, np.nan) if unsure else (low, high)
                yield Measurement(least_kept_key(self.study.modality), "all", drawn, n, interval)

    def _closer(self) -> Iterator[Measurement]:
        for role, both in self.against.references.items():
            found, groups = compared(self.values, both), self.groups.get(role, ())
            if n := int(np.sum(~np.isnan(found.to_original))):
                drawn = drawn_closeness(found, role_seed(role), groups)
                interval = closeness_interval(found, drawn, groups)
                yield Measurement("closer_to_retained", role, drawn, n, interval)

    def _distributions(self) -> Iterator[Measurement]:
        for key, held in self.values.items():
            read = MetricKey.parse(key)
            if read.kind == "whole":
                yield from _known(read.metric, read.role, held[1:], int(held[0]))

    def _utility_probes(self) -> int:
        if any(_undivided(part) not in self.values for part in self.parts):
            return 0
        chosen = {(key.role, key.part): str(key) for key in map(MetricKey.parse, self.parts)}
        return sum(int(np.sum(~np.isnan(_part(self.study, self.values, part)))) for part in chosen.values())

    def _forget_quality(self) -> Iterator[Measurement]:
        if LOG_TRUTH_RATIO in self.values and LOG_TRUTH_RATIO in self.against.retained:
            ours = self.values[LOG_TRUTH_RATIO]
            value = forget_quality(ours, self.against.retained[LOG_TRUTH_RATIO])
            yield Measurement(
                "forget_quality", "forget", np.array([value, np.nan]), int(np.sum(~np.isnan(ours)))
            )

    def _easiest_leak(self) -> Iterator[Measurement]:
        samples = self.values.get("forget/leak_samples", np.empty(0))
        drawn = np.array([easiest_leak(samples), np.nan])
        yield from _known("leak_easiest", "forget", drawn, int(np.sum(~np.isnan(samples))))

    def _relative_utility(self, utility: Replicates) -> Replicates:
        ours, theirs = _usefulness(utility, self.values, self.groups), self.against.original
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(theirs > 0, ours / theirs, np.nan)

    def _membership(self) -> tuple[list[Measurement], Replicates]:
        """The attacks, and the drawn privacy score."""
        rows: list[Measurement] = []
        floor = PROTOCOLS[self.study.protocol].floor
        retained, theirs = self.against.retained, self.against.aucs
        ours = {attack: _auc(attack, self.values, retained, self.groups) for attack in ATTACK_NAMES}
        for attack, drawn in ours.items():
            rows += self._attack(attack, drawn)
        n = sum(int(np.sum(~np.isnan(scores))) for scores in _scores("mia_loss", self.values, retained))
        matches = {attack: drawn_match(ours[attack], theirs[attack]) for attack in MATCHED}
        for attack, match in matches.items():
            rows += _known(match_key(attack), "forget", match, n)
        privacy = drawn_harmonic_mean(np.stack(list(matches.values())))
        rows += _known("privacy", "forget", privacy, n)
        pair = ours["mia_min_k"], theirs["mia_min_k"]
        rows += _known("privleak", "forget", privleak(*pair, floor), n)
        rows += _known("rel_diff", "forget", relative_difference(*pair, floor), n)
        return rows, privacy

    def _attack(self, attack: str, drawn: Replicates) -> Iterator[Measurement]:
        """An attack of this drawn AUC, and the members that it finds."""
        scores = _scores(attack, self.values, self.against.retained)
        forget, holdout = (each[~np.isnan(each)] for each in scores)
        n = len(forget) + len(holdout)
        yield from _known(attack, "forget", drawn, n)
        if n and not np.isnan(drawn[0]):
            yield from _detection(attack, forget, holdout)


def _auc(attack: str, values: Values, retained: Values, groups: Mapping[str, Groups]) -> Replicates:
    forget, holdout = _scores(attack, values, retained)
    if not len(forget) or not len(holdout):
        return _unknown()
    roles = "forget", "holdout"
    seeds = role_seed(roles[0]), role_seed(roles[1])
    together = groups.get(roles[0], ()), groups.get(roles[1], ())
    return np.append(auc(forget, holdout), bootstrap_areas(forget, holdout, seeds=seeds, groups=together))


def _scores(attack: str, values: Values, retained: Values) -> tuple[Scores, Scores]:
    """Scores of the forget and the holdout probes, NaN where one has none; nothing at all without evidence."""
    result = []
    for role in ("forget", "holdout"):
        key = attack_key(role, "mia_loss" if attack == "mia_reference" else attack)
        scores = values.get(key, np.empty(0))
        if attack == "mia_reference":
            base = retained.get(key, np.empty(0))
            scores = scores - base if len(base) == len(scores) else np.empty(0)
        result.append(scores)
    return result[0], result[1]


def _usefulness(utility: Replicates, values: Values, groups: Mapping[str, Groups]) -> Replicates:
    """Harmonic mean of model utility and the share of the answers to the forget probes that are not gibberish."""
    gibberish = values.get("forget/gibberish_rate", np.empty(0))
    sense = 1.0 - mean_replicates(gibberish, "forget", SHARE, groups)
    return drawn_harmonic_mean(np.stack([utility, sense]))


def _undivided(part: str) -> str:
    """Key of the values of which a part of model utility takes those of its probe set."""
    return str(MetricKey.parse(part).undivided)


def _part(study: Study, values: Mapping[str, Scores], part: str) -> Scores:
    """Per-probe values of one part of model utility, NaN on the role's probes that are not of the part."""
    key = MetricKey.parse(part)
    row = values[str(key.undivided)]
    if not key.part:
        return row
    ids = _sets(study)[key.part]
    return np.where([probe.id in ids for probe in role_probes(study)["utility"]], row, np.nan)


def _utility(
    study: Study, values: Values, parts: tuple[str, ...], groups: Mapping[str, Groups]
) -> Replicates:
    known = [part for part in parts if _undivided(part) in values]
    if not parts or len(known) < len(parts):
        return _unknown()
    drawn = [
        mean_replicates(_part(study, values, part), MetricKey.parse(part).role, bounds_of(part), groups)
        for part in known
    ]
    return drawn_harmonic_mean(np.stack(drawn))


def lost_parts(study: Study, values: Values, parts: Sequence[str], below: float) -> tuple[str, ...]:
    """Parts of model utility whose mean is below a value; those without values are left out."""
    known = [part for part in parts if _undivided(part) in values]
    rows = {part: _part(study, values, part) for part in known}
    return tuple(part for part, row in rows.items() if not np.isnan(row).all() and np.nanmean(row) < below)


def _memorisation(values: Values, groups: Mapping[str, Groups]) -> tuple[Replicates, int]:
    result = {part: values[f"forget/{part}"] for part in FORGETTING_PARTS if f"forget/{part}" in values}
    if len(result) < len(FORGETTING_PARTS) or LOG_TRUTH_RATIO not in values:
        return _unknown(), 0
    parts = memorisation_parts(result, values[LOG_TRUTH_RATIO])
    drawn = [mean_replicates(part, "forget", SHARE, groups) for part in parts]
    return drawn_harmonic_mean(np.stack(drawn)), int(np.sum(~np.isnan(parts).any(axis=0)))


def _detection(attack: str, forget: Scores, holdout: Scores) -> Iterator[Measurement]:
    for ending, false_alarms in FALSE_ALARMS.items():
        found, n = found_members(forget, holdout, false_alarms)
        share = np.array([found / n, np.nan])
        yield Measurement(detection_key(attack, ending), "forget", share, n, exact_interval(found, n))


def _known(metric: str, role: str, drawn: Replicates, n: int) -> Iterator[Measurement]:
    if not np.isnan(drawn[0]):
        yield Measurement(metric, role, drawn, n)
