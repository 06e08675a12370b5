"""The ladder as the store keeps it, a model at a time: intervals of every attack take a third of a second."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.study import Study
from cache.analysis import kept_values
from cache.analysis.model_values import ModelValues, drafts, values_of
from cache.analysis.robustness.ladder import MEASURES, PLAIN, Ladder, Rung, ladder, order_of
from cache.analysis.robustness.newest import note_newest, packed, unpacked
from cache.analysis.robustness.trials import Trial, Trials
from cache.store import Store, keys

VERSION = 1
"""Grows with every change of what a rung is made of: of the pairing, the intervals, how the strongest is picked."""


@dataclass(frozen=True, slots=True)
class _OfModel:
    """Rungs of one model, and attacks of which it, the original or the retained model lacks evidence."""

    rungs: tuple[Rung, ...]
    waiting: Mapping[str, Sequence[str]]


def kept_ladder(study: Study, store: Store, trials: Trials, plain: ModelValues | None = None) -> Ladder:
    """The ladder of the unlearned models of these trials; derived where it is not kept.

    What is kept of a model goes by the evidence of it, of the original and of the retained model, plain and under each
    attack: attacks need no version of their own, as their probes and their models are what evidence is kept under.

    Args:
        study: the study.
        store: where ladders of the same evidence are looked for and kept.
        trials: of its attacks.
        plain: the study's own values, where they are at hand.
    """
    values = {id(study): values_of(study, store) if plain is None else plain}
    for derived in trials.studies():
        values.setdefault(id(derived), values_of(derived, store))
    fixed = [spec.name for spec in study.models if spec.part != "unlearned"]
    names = [name for name in trials.models() if name not in fixed]
    definitions = keys.digest([VERSION, kept_values.definitions(), _cards(trials), _subjects(study)])
    found: dict[str, _OfModel] = {}
    stored = (
        {} if drafts() else {name: _key(name, fixed, study, trials, values, definitions) for name in names}
    )
    for name, key in stored.items():
        if (payload := store.memo(key)) is not None:
            found[name] = _unpack(payload)
    missing = [name for name in names if name not in found]
    if missing:
        only = trials.of([*fixed, *missing])
        made = ladder(study, store, only, values[id(study)])
        for name in missing:
            own = tuple(each for each in made.rungs if each.model == name)
            concerned = {name, *fixed}
            lacking = {key: [each for each in of if each in concerned] for key, of in made.waiting.items()}
            found[name] = _OfModel(own, {key: of for key, of in lacking.items() if of})
            if name in stored:
                store.put_memo(stored[name], _pack(found[name]))
    told = {
        name: (key, tuple(dict.fromkeys(each.attack for each in found[name].rungs if each.attack != PLAIN)))
        for name, key in stored.items()
    }
    told = {name: entry for name, entry in told.items() if entry[1]}
    if told:
        note_newest(study, store, told, values[id(study)].made_of)
    cards = {each.attack.card.key: each.attack.card for each in trials.trials}
    place = order_of(cards)
    rungs = sorted(
        (rung for name in names for rung in found[name].rungs),
        key=lambda each: (place[each.attack], MEASURES.index(each.measure)),
    )
    waiting = {key: _lacking(key, [found[name] for name in names]) for key in cards}
    return Ladder(
        tuple(rungs), cards, trials.left_out, {key: lacking for key, lacking in waiting.items() if lacking}
    )


def _lacking(attack: str, kept: Sequence[_OfModel]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in kept for name in each.waiting.get(attack, ())))


def _key(
    name: str,
    fixed: Sequence[str],
    study: Study,
    trials: Trials,
    values: Mapping[int, ModelValues],
    definitions: str,
) -> str:
    own = [values[id(study)].made_of(each) for each in (*fixed, name)]
    under = [[each.attack.card.key, *_made_of(each, (*fixed, name), values)] for each in trials.trials]
    return keys.digest(["ladder", definitions, [*fixed, name], own, under])


def _made_of(trial: Trial, names: Sequence[str], values: Mapping[int, ModelValues]) -> list[str]:
    return [
        values[id(way.study)].made_of(way.models[name]) if name in way.models else ""
        for way in trial.ways
        for name in names
    ]


def _cards(trials: Trials) -> list[object]:
    """What of the attacks' cards and probes is not in the evidence: by which metrics, and what belongs to what."""
    return [
        [
            each.attack.card.key,
            list(each.attack.card.says),
            list(each.attack.card.rates),
            *[sorted(of.items()) for of in each.probes.values()],
        ]
        for each in trials.trials
    ]


def _subjects(study: Study) -> list[object]:
    return [
        [probe.id, probe.subject]
        for each in study.probe_sets
        if each.role == "forget"
        for probe in each.probes
    ]


def _pack(of: _OfModel) -> bytes:
    return json.dumps({"rungs": packed(of.rungs), "waiting": of.waiting}).encode()


def _unpack(payload: bytes) -> _OfModel:
    kept = json.loads(payload)
    return _OfModel(unpacked(kept["rungs"]), kept["waiting"])
