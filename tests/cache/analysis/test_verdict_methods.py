"""Methods stand for the checkpoint that did best of those that no longer say it; verdicts survive being kept."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from app.shared.settings import PACK
from backends.study.file import read_study
from cache.analysis.scoreboard import Scoreboard, scoreboard
from cache.analysis.verdict import kept
from cache.analysis.verdict.findings import Comparison, Finding, Outcome, Question, missing
from cache.analysis.verdict.kept import kept_verdicts
from cache.analysis.verdict.methods import by_method
from cache.analysis.verdict.rules import Verdict
from cache.analysis.verdict.telling import telling
from cache.analysis.verdict.verdicts import verdicts
from cache.store import Store, open_store
from cache.store.recorded_pack import import_recorded

NAN = math.nan


def finding(question: Question, outcome: Outcome, value: float = 0.0, threshold: float = 0.05) -> Finding:
    measured = Comparison("forget/key_fact", value, value, value, 1.0, "Retained", -value, -value, -value, 36)
    return Finding(question, outcome, measured, value, value, value, threshold)


def verdict(
    model: str,
    says: Outcome,
    cost: Outcome = "no",
    said: float = 0.0,
    lost: float = 0.0,
    rates: Outcome = "missing",
) -> Verdict:
    return Verdict(
        model,
        (
            finding("says", says, said),
            finding("rates", rates),
            finding("utility", cost, lost),
            missing("destroyed"),
            missing("gibberish"),
            missing("refuses"),
            missing("membership"),
        ),
    )


def test_a_method_stands_for_its_best_checkpoint_that_no_longer_says_it() -> None:
    early = verdict("A 1", "yes", "no", said=0.9)
    late = verdict("A 2", "no", "yes", lost=0.6)
    (method,) = by_method([early, late], {"A 1": "A", "A 2": "A"})
    assert (method.best, method.others) == (late, (early,))


def test_a_checkpoint_that_says_it_by_value_alone_is_a_stage_on_the_way() -> None:
    leaning = verdict("A 1", "undecided", "no", said=0.4)
    late = verdict("A 2", "no", rates="yes")
    (method,) = by_method([leaning, late], {"A 1": "A", "A 2": "A"})
    assert method.best is late


def test_a_method_that_never_forgot_stands_for_its_best() -> None:
    harmless, harmful = verdict("A 1", "yes", said=0.9), verdict("A 2", "yes", "yes", said=0.8, lost=0.3)
    (method,) = by_method([harmful, harmless], {"A 1": "A", "A 2": "A"})
    assert method.best is harmless


def test_methods_come_in_the_order_of_their_best() -> None:
    found = by_method(
        [verdict("C", "yes", said=0.9), verdict("B", "no", "yes", lost=0.2), verdict("A", "no")],
        {"A": "A", "B": "B", "C": "C"},
    )
    assert [method.name for method in found] == ["A", "B", "C"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    opened = open_store(tmp_path_factory.mktemp("kept") / "evidence.sqlite")
    import_recorded(PACK, opened)
    return opened


def numbers(store: Store, kind: str) -> Scoreboard:
    return scoreboard(read_study(PACK / kind / "study.toml"), store)


@pytest.mark.parametrize("kind", ["text", "image"])
def test_kept_verdicts_are_the_verdicts(kind: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    study, board = read_study(PACK / kind / "study.toml"), numbers(store, kind)
    made = kept_verdicts(study, board, store)
    monkeypatch.setattr(kept, "verdicts", _unexpected)
    again = kept_verdicts(study, board, store)
    assert repr(again) == repr(made) == repr(verdicts(study, board))


def test_other_thresholds_are_judged_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    study, board = read_study(PACK / "image" / "study.toml"), numbers(store, "image")
    kept_verdicts(study, board, store)
    monkeypatch.setattr(kept, "verdicts", _unexpected)
    with pytest.raises(AssertionError):
        kept_verdicts(replace(study, verdict=replace(study.verdict, says=0.04)), board, store)


def test_numbers_without_a_stamp_are_never_kept(store: Store) -> None:
    study, board = read_study(PACK / "image" / "study.toml"), replace(numbers(store, "image"), stamp="")
    before = store.memo_keys("")
    assert kept_verdicts(study, board, store)
    assert store.memo_keys("") == before


def _unexpected(*_: object) -> None:
    raise AssertionError("judged again")


def test_the_demo_folds_into_what_its_methods_do(store: Store) -> None:
    for kind, best, hidden, destroyed in (
        (
            "text",
            "NPO 45",
            {"IdkNLL", "GradDiff", "SimNPO", "WGA"},
            {"GradAscent"},
        ),  # three of them under attack
        ("image", "UCE 100", {"ESD"}, {"GradAscent"}),
    ):
        study = read_study(PACK / kind / "study.toml")
        found = verdicts(study, numbers(store, kind))
        unlearned = {spec.name: spec.method for spec in study.models if spec.part == "unlearned"}
        methods = by_method([found[name] for name in unlearned], unlearned)
        assert methods[0].best.model == best
        assert {each.name for each in methods if each.best.kind == "hidden"} == hidden
        assert {each.name for each in methods if each.best.kind == "destroyed"} == destroyed


def test_telling_examples_follow_their_rules(store: Store) -> None:
    study, board = read_study(PACK / "text" / "study.toml"), numbers(store, "text")
    found = verdicts(study, board)
    unlearned = {spec.name: spec.method for spec in study.models if spec.part == "unlearned"}
    chosen = {
        each.rule: each for each in telling(study, board, by_method([found[n] for n in unlearned], unlearned))
    }
    assert set(chosen) == {"leak", "hide", "kept", "lost", "damage"}

    hide = chosen["hide"]
    assert found[hide.model].kind == "hidden"
    beyond = board.per_probe(hide.model, hide.key) - board.per_probe("Retained", hide.key)
    silent = board.per_probe(hide.model, "forget/key_fact") < 0.5
    assert hide.value - hide.base == pytest.approx(beyond[silent].max())

    kept_one, lost = chosen["kept"], chosen["lost"]
    assert kept_one.model == lost.model == "NPO 45"
    facts = board.per_probe("NPO 45", "neighbour/key_fact")
    assert facts[kept_one.probe] == 1
    assert facts[lost.probe] == 0
    assert board.per_probe("Retained", "neighbour/key_fact")[lost.probe] == 1
    assert found[chosen["damage"].model].harm == "destroyed"


def test_a_study_on_which_nothing_was_lost_has_no_example_of_loss(tmp_path: Path, store: Store) -> None:
    study, board = read_study(PACK / "text" / "study.toml"), numbers(store, "text")
    same = Verdict("Retained", verdicts(study, board)["Retained"].findings)
    assert {each.rule for each in telling(study, board, by_method([same], {"Retained": "R"}))} <= {"kept"}


def with_refusals(found: Verdict, outcome: Outcome) -> Verdict:
    """The same verdict with an answer to whether it refuses."""
    said = finding("refuses", outcome, 0.94 if outcome == "yes" else 0.0)
    return replace(
        found, findings=tuple(said if each.question == "refuses" else each for each in found.findings)
    )


def test_of_equal_checkpoints_the_one_that_was_tested_more_stands_for_the_method() -> None:
    of = {"A 1": "A", "A 2": "A"}
    less, more = verdict("A 1", "no", lost=0.03), verdict("A 2", "no", lost=0.04, rates="no")
    assert by_method([less, more], of)[0].best is more
    dearer = verdict("A 2", "no", lost=0.06, rates="no")
    assert by_method([less, dearer], of)[0].best is less
    worse = verdict("A 2", "no", "yes", lost=0.03, rates="no")
    assert by_method([less, worse], of)[0].best is less


def test_of_equal_checkpoints_the_one_that_does_not_refuse_stands_for_the_method() -> None:
    refusing = with_refusals(verdict("A 1", "no", lost=0.03), "yes")
    answering = with_refusals(verdict("A 2", "no", lost=0.04), "no")
    (method,) = by_method([refusing, answering], {"A 1": "A", "A 2": "A"})
    assert (method.best, method.others) == (answering, (refusing,))


def test_the_demos_methods_are_shown_by_what_was_tested_most(store: Store) -> None:
    study = read_study(PACK / "image" / "study.toml")
    found = verdicts(study, numbers(store, "image"))
    unlearned = {spec.name: spec.method for spec in study.models if spec.part == "unlearned"}
    shown = {each.name: each.best for each in by_method([found[name] for name in unlearned], unlearned)}
    assert (shown["SalUn"].model, shown["UCE"].model) == ("SalUn 160", "UCE 100")
    assert shown["GradAscent"].kind == "destroyed" and found["GradAscent 5"].kind == "not forgotten"


def test_a_checkpoint_that_was_attacked_is_not_passed_by_one_that_was_not() -> None:
    first, second = verdict("NPO 45", "no"), verdict("NPO 37", "no", "undecided", lost=0.01)
    asked = replace(first, findings=(*first.findings, finding("attacked", "undecided", 0.2, 0.1)))
    unasked = replace(second, findings=(*second.findings, missing("attacked")))
    assert (asked.forgetting, unasked.forgetting) == ("undecided", "forgotten")
    (method,) = by_method([asked, unasked], {"NPO 45": "NPO", "NPO 37": "NPO"})
    assert method.best is asked
