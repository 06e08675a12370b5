"""A contract held against models: by intervals, on the same probes; what was not measured is broken."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from backends.study import Study
from backends.study.contract import Condition, parsed
from cache.analysis.contract import Checked, _measured, check_contract, held, on_verdict, outcome_of
from cache.analysis.paired_tests import paired_test
from cache.analysis.scoreboard import Scoreboard, scoreboard
from cache.analysis.verdict.findings import Comparison, Finding, Outcome, Question
from cache.analysis.verdict.rules import Verdict
from cache.store import open_store
from tests.filled_store import fill_text, text_study


def condition(key: str, text: str) -> Condition:
    found = parsed(key, text)
    assert found is not None
    return found


UP, DOWN = condition("k", ">= 0"), condition("k", "<= 0")


@pytest.mark.parametrize(
    ("low", "high", "down", "up"),
    [
        (-0.2, -0.1, "holds", "broken"),
        (-0.2, 0.0, "holds", "undecided"),  # on the line is on the right side
        (-0.2, 0.1, "undecided", "undecided"),
        (0.0, 0.2, "undecided", "holds"),
        (0.1, 0.2, "broken", "holds"),
        (0.0, 0.0, "holds", "holds"),
        (math.nan, math.nan, "undecided", "undecided"),
        (-math.inf, math.inf, "undecided", "undecided"),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, down: str, up: str) -> None:
    middle = (low + high) / 2
    assert held(DOWN, "m", middle, low, high, 6).outcome == down
    assert held(UP, "m", middle, low, high, 6).outcome == up


def test_how_many_would_decide() -> None:
    assert held(DOWN, "m", -0.1, -0.3, 0.1, 6).needed == 24  # half as wide needs four times as many
    assert held(UP, "m", -0.1, -0.3, 0.1, 6).needed == 24  # as broken
    assert held(DOWN, "m", -0.1, -0.3, -0.05, 6).needed == 0
    assert held(DOWN, "m", math.nan, math.nan, math.nan, 6).needed == 0


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Scoreboard]:
    study = text_study()
    store = open_store(tmp_path_factory.mktemp("contract") / "evidence.sqlite")
    fill_text(study, store)
    return study, scoreboard(study, store)


def checked(board: tuple[Study, Scoreboard], key: str, text: str, model: str = "NPO 10") -> Checked:
    study = replace(board[0], contract=(condition(key, text),))
    (found,) = check_contract(study, board[1], [model])
    return found


def test_a_multiple_of_the_original_is_tested_on_the_same_probes(board: tuple[Study, Scoreboard]) -> None:
    key = "retain/probability"
    ours, theirs = (board[1].per_probe(name, key) for name in ("NPO 10", "Original"))
    subjects = [
        probe.subject for each in board[0].probe_sets if each.role == "retain" for probe in each.probes
    ]
    for factor in (0.5, 0.97, 1.0):
        found = checked(board, key, f">= {factor} original - 0.01")
        test = paired_test(ours, factor * theirs, groups=subjects, reach=1.0)
        np.testing.assert_allclose(
            [found.difference, found.low, found.high], np.array([test.mean, test.low, test.high]) + 0.01
        )
        assert found.line == pytest.approx(factor * theirs.mean() - 0.01)


def test_a_plain_number_is_held_against_the_models_own_interval(board: tuple[Study, Scoreboard]) -> None:
    frame = board[1].frame
    row = frame[(frame["model"] == "NPO 10") & (frame["key"] == "forget/probability")].iloc[0]
    found = checked(board, "forget/probability", "<= 0.5")
    np.testing.assert_allclose(
        [found.value, found.low, found.high], [row["value"], row["low"] - 0.5, row["high"] - 0.5]
    )
    assert found.line == 0.5
    assert checked(board, "forget/probability", f"<= {row['high'] + 1e-6:.6f}").outcome == "holds"
    assert checked(board, "forget/probability", f"<= {row['low'] - 1e-6:.6f}").outcome == "broken"


def test_a_number_of_the_whole_model_has_the_interval_of_its_resamples(
    board: tuple[Study, Scoreboard],
) -> None:
    found = checked(board, "all/model_utility", ">= 0.9 original")
    drawn = board[1].drawn(["NPO 10", "Original"], "all/model_utility")
    apart = drawn[0] - 0.9 * drawn[1]
    np.testing.assert_allclose([found.low, found.high], np.nanpercentile(apart[1:], [2.5, 97.5]))
    assert found.difference == pytest.approx(apart[0])


def test_the_same_weights_keep_what_they_are(board: tuple[Study, Scoreboard]) -> None:
    assert checked(board, "retain/probability", ">= 0.97 original", "Original").outcome == "holds"
    assert checked(board, "retain/probability", ">= original", "Original").outcome == "holds"
    assert checked(board, "retain/probability", ">= 1.01 original", "Original").outcome == "broken"


def test_what_was_not_measured_is_broken(board: tuple[Study, Scoreboard]) -> None:
    study, numbers = board
    assert checked(board, "forget/mia_gradnorm", "<= 0.6").why.startswith("not evaluated")
    assert checked(board, "forget/mia_gradnorm", "<= 0.6").outcome == "broken"
    alone = replace(study, models=tuple(each for each in study.models if each.part != "retained"))
    found = checked((alone, numbers), "forget/probability", "<= retained")
    assert (found.outcome, found.why) == ("broken", "the study has no retained model")
    more = replace(study, models=(*study.models, replace(study.models[-1], name="New")))
    assert checked((more, numbers), "forget/probability", "<= 1", "New").outcome == "broken"
    assert checked((more, numbers), "verdict", "forgotten", "New").outcome == "broken"


def test_a_condition_may_be_on_the_verdict(board: tuple[Study, Scoreboard]) -> None:
    few = checked(board, "verdict", "forgotten", "Retained")  # fewer than six subjects tell too little
    assert (few.outcome, few.why) == ("undecided", "undecided")
    assert checked(board, "harm", "not damaged", "Retained").outcome == "holds"
    gibberish = checked(board, "harm", "not destroyed", "Original")
    assert (gibberish.outcome, gibberish.why) == ("undecided", "undecided")


@pytest.mark.parametrize(
    ("text", "outcomes", "expected"),
    [
        ("forgotten", {"says": "yes"}, ("not forgotten", "broken")),
        ("forgotten", {"says": "no", "closer": "yes"}, ("hidden", "broken")),
        ("forgotten", {"says": "no", "closer": "no"}, ("forgotten", "holds")),
        ("forgotten", {"closer": "no"}, ("not tested", "broken")),
        ("not damaged", {"utility": "yes"}, ("damaged", "broken")),
        ("not damaged", {"utility": "no", "gibberish": "yes"}, ("destroyed", "broken")),
        ("not damaged", {"utility": "no"}, ("none found", "holds")),
        ("not damaged", {}, ("not tested", "broken")),
        ("not destroyed", {"destroyed": "yes", "gibberish": "no"}, ("destroyed", "broken")),
        (
            "not destroyed",
            {"destroyed": "no", "gibberish": "undecided"},
            ("not tested; destroyed or not is undecided", "undecided"),
        ),
        ("not destroyed", {"destroyed": "no", "utility": "yes"}, ("damaged", "holds")),
        ("not destroyed", {"utility": "no"}, ("not tested", "broken")),
    ],
)
def test_what_a_verdict_makes_of_a_condition(
    text: str, outcomes: dict[Question, Outcome], expected: tuple[str, str]
) -> None:
    asked = Verdict("m", tuple(Finding(name, outcomes.get(name, "missing")) for name in get_args(Question)))
    key = "verdict" if text == "forgotten" else "harm"
    found = on_verdict("m", condition(key, text), {"m": asked})
    assert (found.why, found.outcome) == expected


def test_one_broken_breaks_all_and_one_undecided_leaves_all_undecided() -> None:
    holds, broken = held(DOWN, "m", -2, -3, -1), held(DOWN, "m", 2, 1, 3)
    open_one = held(DOWN, "m", 0.5, -1, 2)
    assert outcome_of([holds, holds]) == "holds"
    assert outcome_of([holds, open_one]) == "undecided"
    assert outcome_of([open_one, broken, holds]) == "broken"


def test_few_subjects_have_no_interval_and_that_is_said() -> None:
    few = Comparison("forget/key_fact", 0.2, 0.1, 0.3, 0.1, "Retained", 0.1, -math.inf, math.inf, 20, 5)
    found = _measured("m", condition("forget/key_fact", "<= retained"), few)
    assert (found.outcome, found.why) == ("undecided", "interval not known (fewer than 6 subjects)")
