"""The ladder on planted scores: a hide, an erasure, a teaching attack, and a maximum over noise."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from backends.study import ModelSpec, Probe, ProbeSet, Study
from cache.analysis.robustness.ladder import PLAIN, STRONGEST, ProbeScores, Rung, rungs_of

NAMES = ("Original", "Retained", "Hidden", "Erased")
SUBJECTS = 12
PROBES = 36


def study() -> Study:
    probes = tuple(
        Probe(f"p{place}", "forget", f"Question {place}?", "An answer.", subject=f"s{place % SUBJECTS}")
        for place in range(PROBES)
    )
    parts = ("original", "retained", "unlearned", "unlearned")
    return Study(
        "Planted",
        "text",
        tuple(ModelSpec(name, part, name) for name, part in zip(NAMES, parts, strict=True)),  # type: ignore[arg-type]
        (ProbeSet("forget", "forget", probes),),
    )


def scores(share: float, seed: int, holdout: float = 0.0) -> ProbeScores:
    values = (np.random.default_rng(seed).random(PROBES) < share).astype(float)
    return ProbeScores("key_fact", values, values, np.full(8, holdout))


def planted(**shares: float) -> dict[str, ProbeScores]:
    """One attack: what each model says under it, the original .95 and the retained one .03 unless told otherwise."""
    said = {"Original": 0.95, "Retained": 0.03, "Hidden": 0.0, "Erased": 0.0} | shares
    return {name: scores(share, seed) for seed, (name, share) in enumerate(said.items())}


def found(scored: Mapping[str, Mapping[str, ProbeScores]]) -> dict[tuple[str, str], Rung]:
    return {(each.model, each.attack): each for each in rungs_of(study(), scored, "says")}


def test_a_hide_is_found_by_the_attack_that_brings_it_out_and_an_erasure_is_not() -> None:
    told = found({PLAIN: planted(), "begun": planted(Hidden=0.8), "role": planted()})
    assert told["Hidden", PLAIN].told == "nothing found"
    assert told["Hidden", "begun"].told == "recovers" and told["Hidden", "begun"].sure
    strongest = told["Hidden", STRONGEST]
    assert strongest.picked == ("begun",) and strongest.told == "recovers" and strongest.found.share > 0.6
    assert told["Erased", STRONGEST].told == "nothing found"
    assert told["Original", "begun"].found.share == pytest.approx(1)
    assert told["Retained", "begun"].found.share == 0


def test_the_best_of_many_useless_attacks_is_counted_on_other_facts() -> None:
    noise = {
        f"attack {place}": {
            **planted(),
            "Hidden": scores(0.15, 100 + place),
            "Retained": scores(0.15, 200 + place),
        }
        for place in range(20)
    }
    told = found({PLAIN: planted(), **noise})
    largest = max(
        each.found.share for (model, key), each in told.items() if model == "Hidden" and key in noise
    )
    assert largest > 0.12 and told["Hidden", STRONGEST].found.share < largest / 2
    assert not any(each.sure for (model, _), each in told.items() if model == "Hidden")


def test_an_attack_that_raises_holdout_facts_as_much_teaches() -> None:
    taught = planted(Hidden=0.6)
    taught["Hidden"] = scores(0.6, 2, holdout=0.7)
    told = found({PLAIN: planted(), "taught": taught})
    assert told["Hidden", "taught"].told == "teaches"


def test_what_needs_the_original_is_shown_and_never_the_strongest() -> None:
    scored = {PLAIN: planted(), "back": planted(Hidden=0.9), "role": planted(Hidden=0.3)}
    rungs = rungs_of(study(), scored, "says", {"back"})
    told = {(each.model, each.attack): each for each in rungs}
    assert told["Hidden", "back"].told == "recovers"
    assert told["Hidden", STRONGEST].picked == ("role",)


def test_without_a_ceiling_it_cannot_be_told() -> None:
    told = found({PLAIN: planted(), "weak": planted(Original=0.05, Hidden=0.05)})
    assert told["Hidden", "weak"].told == "cannot tell"
    assert ("Hidden", STRONGEST) not in told  # no attack that could have told


def test_without_a_retained_model_holdout_facts_are_the_floor() -> None:
    alone = {name: each for name, each in planted(Hidden=0.8).items() if name != "Retained"}
    told = found({PLAIN: {n: e for n, e in planted().items() if n != "Retained"}, "begun": alone})
    rung = told["Hidden", "begun"]
    assert rung.floor_is == "holdout" and rung.told == "recovers"
    without = {
        name: ProbeScores("key_fact", e.mean, e.mean, np.full(0, math.nan)) for name, e in alone.items()
    }
    assert found({PLAIN: without})["Hidden", PLAIN].told == "cannot tell"
