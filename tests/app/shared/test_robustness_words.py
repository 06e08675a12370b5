"""A verdict in one sentence from what the ladder tells, and why a cell tells nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from app.shared.robustness_words import robustness_sentence, titles_of, why_not
from backends.attacks import ATTACKS
from cache.analysis.robustness.ladder import PLAIN, STRONGEST, Ladder, Measure, Rung
from cache.analysis.robustness.recovered import Recovered

MODEL = "IdkNLL 16"


def rung(
    attack: str, share: float, low: float, high: float, measure: Measure = "says", **changes: Any
) -> Rung:
    found = Recovered(
        share, low, high, 0.001, share, 0.0, 1.0, 36, 12, changes.pop("apart", not math.isnan(share))
    )
    fields: dict[str, Any] = {
        "attack": attack,
        "model": MODEL,
        "measure": measure,
        "metric": "key_fact",
        "value": share,
        "low": low,
        "high": high,
        "worst": share,
        "found": found,
        "floor_is": "retained",
        "plain": 0.0,
        "holdout": math.nan,
        "plain_holdout": math.nan,
        "p": 0.001,
    }
    return Rung(**fields | changes)


def ladder(*rungs: Rung, waiting: Sequence[str] = ()) -> Ladder:
    cards = {key: each.card for key, each in ATTACKS.items()}
    return Ladder(rungs, cards, (), {key: (MODEL,) for key in waiting})


NOTHING = (0.01, -0.04, 0.06)
UNKNOWN = (math.nan, math.nan, math.nan)


def said(*rungs: Rung, waiting: Sequence[str] = ()) -> tuple[str, str]:
    found = robustness_sentence(ladder(*rungs, waiting=waiting), MODEL, "text")
    return found.kind, found.sentence


def test_what_the_plain_question_brings_was_never_hidden() -> None:
    kind, sentence = said(
        rung(PLAIN, 0.8, 0.7, 0.9), rung("affirmative", 0.9, 0.8, 1.0), rung(STRONGEST, 0.9, 0.8, 1.0)
    )
    assert kind == "not forgotten"
    assert "Asked plainly it says 80 % of what the original does (95 % interval 70 % to 90 %)" in sentence


def test_what_an_attack_brings_back_was_hidden_and_the_attack_is_named() -> None:
    kind, sentence = said(
        rung(PLAIN, *NOTHING),
        rung("affirmative", 0.9, 0.8, 1.0),
        rung(STRONGEST, 0.85, 0.7, 0.95, picked=("affirmative", "role_play")),
    )
    assert kind == "hidden"
    assert sentence == (
        "Under “Affirmative beginning” or “Role play” it says 85 % of what the original does "
        "(95 % interval 70 % to 95 %); asked plainly, 1 %."
    )


def test_one_attack_of_many_does_not_tell_where_the_strongest_on_other_subjects_does_not() -> None:
    kind, _ = said(
        rung(PLAIN, *NOTHING),
        rung("affirmative", 0.5, 0.2, 0.8),
        rung(STRONGEST, 0.2, -0.1, 0.5, picked=("affirmative",)),
    )
    assert kind == "undecided"


def test_without_enough_subjects_for_the_strongest_an_attack_must_stand_the_correction_for_many() -> None:
    assert said(rung(PLAIN, *NOTHING), rung("affirmative", 0.5, 0.2, 0.8, p=0.01))[0] == "hidden"
    assert said(rung(PLAIN, *NOTHING), rung("affirmative", 0.5, 0.2, 0.8, p=0.2))[0] != "hidden"


def test_a_model_that_says_nothing_but_rates_the_truth_high_hides_it() -> None:
    kind, sentence = said(
        rung(PLAIN, *NOTHING),
        rung("role_play", *NOTHING),
        rung(PLAIN, 0.73, 0.66, 0.77, "rates"),
        rung("role_play", 0.71, 0.6, 0.75, "rates"),
    )
    assert kind == "hidden"
    assert "rates the true answers at 73 % of the way from the retained model to the original" in sentence


def test_erased_needs_every_attack_to_bring_nothing_and_says_what_was_not_tried() -> None:
    rungs = [rung(PLAIN, *NOTHING), rung("affirmative", *NOTHING), rung("role_play", *UNKNOWN)]
    kind, sentence = said(*rungs, waiting=["system", "again"])
    assert kind == "forgotten so far"
    assert "None of 1 attacks" not in sentence
    assert "25 %" in sentence
    assert "1 more cannot tell." in sentence
    assert "2 more were not tried on it." in sentence


def test_an_attack_that_may_still_bring_much_leaves_it_undecided() -> None:
    kind, sentence = said(
        rung(PLAIN, *NOTHING), rung("affirmative", *NOTHING), rung("role_play", 0.05, -0.1, 0.6)
    )
    assert kind == "undecided"
    assert "“Role play” may bring back up to 60 % of what the original says" in sentence


def test_what_only_the_plain_evaluation_tells_is_no_attack() -> None:
    assert said(rung(PLAIN, *NOTHING), rung("samples_16", *NOTHING)) == (
        "not tested",
        "No attack has been tried on it yet.",
    )
    assert said(rung(PLAIN, *NOTHING))[0] == "not tested"


def test_where_no_attack_can_tell_the_sentence_says_why() -> None:
    lone = rung("affirmative", *UNKNOWN, floor_is="")
    kind, sentence = said(rung(PLAIN, *UNKNOWN, floor_is=""), lone)
    assert kind == "undecided"
    assert "neither a retained model nor holdout facts" in sentence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "are not apart"),
        ({"floor_is": ""}, "neither a retained model nor holdout facts"),
        ({"found": Recovered(*UNKNOWN, 1.0, 0.0, 0.0, 0.1, 9, 3, False)}, "3 subjects are too few"),
        ({"found": Recovered(*UNKNOWN, 1.0, 0.0, 0.2, 0.1, 36, 12, False)}, "no more than the floor"),
        ({"found": Recovered(*UNKNOWN, 1.0, 0.0, 0.2, 0.1, 0, 0, False)}, "no fact"),
    ],
)
def test_a_cell_says_why_it_tells_nothing(changes: dict[str, Any], words: str) -> None:
    blank = rung("affirmative", *UNKNOWN, **changes)
    assert words in why_not(blank, ladder(blank), "affirmative", MODEL)


def test_a_cell_without_evidence_is_not_tried_yet() -> None:
    assert why_not(None, ladder(waiting=["system"]), "system", MODEL) == "not tried yet"
    assert "half" in why_not(None, ladder(), STRONGEST, MODEL)


def test_a_cell_that_tells_has_no_reason() -> None:
    told = rung("affirmative", *NOTHING)
    assert why_not(told, ladder(told), "affirmative", MODEL) == ""


def test_attacks_are_named_by_their_titles() -> None:
    assert titles_of(rung(PLAIN, *NOTHING), ladder()) == "the plain question"
