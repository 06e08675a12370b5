"""A kept ladder is the ladder; it is derived again where anything that it comes from is new, and only then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backends.attacks import ATTACKS
from cache.analysis.robustness import kept
from cache.analysis.robustness.facts import facts_of
from cache.analysis.robustness.kept import kept_ladder
from cache.analysis.robustness.ladder import PLAIN, STRONGEST, ladder
from cache.analysis.robustness.trials import Trials, trials
from cache.store import Store, open_store
from tests.filled_store import ATTACKED, HIDES, attack_study, fill_attacks, fill_text

USED = [ATTACKS[key] for key in ("paraphrase", "role_play", "form", "samples_16")]
STUDY = attack_study()
NAMES = ATTACKED


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = open_store(tmp_path_factory.mktemp("kept") / "evidence.sqlite")
    fill_text(STUDY, made)
    fill_attacks(STUDY, made, NAMES, USED)
    return made


def found(store: Store) -> Trials:
    return trials(STUDY, store, NAMES, USED)


def refuse(*_: object) -> None:
    raise AssertionError("derived again")


def test_it_is_the_ladder_of_the_unlearned_models(store: Store) -> None:
    made = ladder(STUDY, store, found(store))
    own = kept_ladder(STUDY, store, found(store))
    again = kept_ladder(STUDY, store, found(store))
    expected = [each for each in made.rungs if STUDY.model(each.model).part == "unlearned"]
    assert repr(own.rungs) == repr(tuple(expected)) == repr(again.rungs)
    assert own.waiting == made.waiting == again.waiting


def test_the_same_evidence_is_weighed_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_ladder(STUDY, store, found(store))
    monkeypatch.setattr(kept, "ladder", refuse)
    kept_ladder(STUDY, store, found(store))


def test_other_subjects_are_another_ladder(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_ladder(STUDY, store, found(store))
    monkeypatch.setattr(kept, "ladder", refuse)
    forget = STUDY.probe_sets[0]
    alone = tuple(replace(probe, subject="") for probe in forget.probes)
    other = replace(STUDY, probe_sets=(replace(forget, probes=alone), *STUDY.probe_sets[1:]))
    with pytest.raises(AssertionError, match="derived again"):
        kept_ladder(other, store, trials(other, store, NAMES, USED))


def test_new_evidence_is_another_ladder(tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(STUDY, store)
    before = kept_ladder(STUDY, store, found(store))
    assert set(before.waiting) == {"paraphrase", "role_play", "form"}
    fill_attacks(STUDY, store, NAMES, USED)
    after = kept_ladder(STUDY, store, found(store))
    assert not after.waiting
    assert {each.attack for each in after.rungs} == {
        PLAIN,
        "paraphrase",
        "role_play",
        "form",
        "samples_16",
        STRONGEST,
    }


def test_the_facts_that_came_back_are_the_most_surprising_first(store: Store) -> None:
    model = f"{HIDES} 10"
    rung = kept_ladder(STUDY, store, found(store)).rung(model, "says", "form")
    assert rung is not None
    facts = facts_of(STUDY, store, found(store), rung)
    assert [each.surprise for each in facts] == sorted((each.surprise for each in facts), reverse=True)
    assert len(facts) == len(STUDY.probe_sets[0].probes)
    first = facts[0]
    assert first.score == 1.0
    assert first.floor < 1.0
    assert "JSON" in first.asked.prompt or "bullet" in first.asked.prompt
    assert first.probe.prompt in first.asked.prompt


def test_a_fact_whose_variants_differ_is_shown_as_the_strongest_asks_it(store: Store) -> None:
    model = f"{HIDES} 10"
    made = kept_ladder(STUDY, store, found(store))
    rung = made.rung(model, "rates", "form")
    assert rung is not None
    facts = facts_of(STUDY, store, found(store), rung)
    assert sum(each.score for each in facts) / len(facts) == pytest.approx(rung.worst)


def test_facts_of_the_strongest_are_of_the_picked_attacks(store: Store) -> None:
    rung = kept_ladder(STUDY, store, found(store)).rung(f"{HIDES} 10", "rates", STRONGEST)
    assert rung is not None
    facts = facts_of(STUDY, store, found(store), rung)
    assert {each.attack for each in facts} <= set(rung.picked)
    assert len({each.probe.id for each in facts}) == len(facts)


def test_facts_asked_plainly_are_the_probes_themselves(store: Store) -> None:
    rung = kept_ladder(STUDY, store, found(store)).rung(f"{HIDES} 10", "says", PLAIN)
    assert rung is not None
    assert all(each.asked is each.probe for each in facts_of(STUDY, store, found(store), rung))
