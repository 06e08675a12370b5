"""Which facts an attack brought back of a model, the most surprising first; runs no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backends.metrics.key import MetricKey
from backends.study import Probe, Study
from cache.analysis.derive import role_probes
from cache.analysis.model_values import ModelValues, values_of
from cache.analysis.robustness.ladder import (
    PLAIN,
    STRONGEST,
    Floats,
    Measure,
    ProbeScores,
    Rung,
    plain_scores,
    trial_scores,
)
from cache.analysis.robustness.trials import Trial, Trials
from cache.store import Store

CAME_BACK = 0.1
"""A fact came back where its score is at least so much above the floor's."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One probe under an attack.

    Attributes:
        attack: key; `PLAIN` for the plain question.
        probe: as the study asks it.
        asked: as the attack asks it: of several variants the one with the highest score.
        score: of the model on that variant.
        floor: of the retained model under the same attack, or without one of the model on holdout facts; NaN unknown.
        plain: of the model asked plainly, by the same metric; NaN where that is another.
    """

    attack: str
    probe: Probe
    asked: Probe
    score: float
    floor: float
    plain: float

    @property
    def surprise(self) -> float:
        """How much more the attack brings out than the floor says."""
        return self.score - (0.0 if math.isnan(self.floor) else self.floor)


def facts_of(study: Study, store: Store, trials: Trials, rung: Rung) -> list[Fact]:
    """All facts of a rung, the most surprising first; of the strongest, under the attacks that were picked.

    Args:
        study: the study.
        store: the cache.
        trials: of its attacks.
        rung: one of the ladder that was made of them.
    """
    base = values_of(study, store)
    names = [study.original.name, *([study.retained.name] if study.retained else []), rung.model]
    plain = plain_scores(study, base, names, rung.measure)
    if rung.attack == PLAIN:
        probes = role_probes(study).get("forget", [])
        found = _facts(study, PLAIN, plain, plain, probes, plain[rung.model].mean, rung.model)
    else:
        wanted = rung.picked if rung.attack == STRONGEST else (rung.attack,)
        found = []
        for trial in trials.trials:
            if trial.attack.card.key in wanted:
                for way in trial.ways:
                    found += _under(study, store, way, plain, rung.model, rung.measure, base)
    best: dict[str, Fact] = {}
    for each in sorted(found, key=lambda fact: -fact.surprise):
        best.setdefault(each.probe.id, each)
    return list(best.values())


def _under(
    study: Study,
    store: Store,
    trial: Trial,
    plain: dict[str, ProbeScores],
    model: str,
    measure: Measure,
    base: ModelValues,
) -> list[Fact]:
    values = base if trial.study is study else values_of(trial.study, store)
    scored = trial_scores(study, trial, values, measure)
    if model not in scored:
        return []
    row = values.of(trial.models[model])[str(MetricKey("forget", scored[model].metric))]
    asked = role_probes(trial.study).get("forget", [])
    of = trial.probes.get("forget", {})
    best: dict[str, tuple[float, Probe]] = {}
    for probe, value in zip(asked, row, strict=True):
        plain_id = of.get(probe.id, "")
        if plain_id and not math.isnan(value) and value > best.get(plain_id, (-math.inf, probe))[0]:
            best[plain_id] = (float(value), probe)
    probes = role_probes(study).get("forget", [])
    scores = np.array([best[p.id][0] if p.id in best else math.nan for p in probes])
    variants = [best[p.id][1] if p.id in best else p for p in probes]
    return _facts(study, trial.attack.card.key, scored, plain, variants, scores, model)


def _facts(
    study: Study,
    attack: str,
    scored: dict[str, ProbeScores],
    plain: dict[str, ProbeScores],
    asked: Sequence[Probe],
    scores: Floats,
    model: str,
) -> list[Fact]:
    probes = role_probes(study).get("forget", [])
    retained = study.retained.name if study.retained is not None else ""
    holdout = scored[model].holdout
    known = len(holdout) and not np.isnan(holdout).all()
    guessed = float(np.nanmean(holdout)) if known else math.nan
    floors = scored[retained].mean if retained in scored else np.full(len(probes), guessed)
    same = model in plain and plain[model].metric == scored[model].metric
    before = plain[model].mean if same else np.full(len(probes), math.nan)
    return [
        Fact(attack, probe, variant, float(score), float(floor), float(was))
        for probe, variant, score, floor, was in zip(probes, asked, scores, floors, before, strict=True)
        if not math.isnan(score)
    ]
