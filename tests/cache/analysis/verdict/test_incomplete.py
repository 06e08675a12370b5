"""Evidence of which probes are missing: it never shows that a model forgot, or that a condition holds."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from app.shared.settings import PACK
from backends.study import Study
from backends.study.contract import Condition, parsed
from backends.study.file import read_study
from cache.analysis.contract import check_contract
from cache.analysis.derive import contexts_of
from cache.analysis.scoreboard import Scoreboard, scoreboard
from cache.analysis.verdict.comparisons import StudyNumbers
from cache.analysis.verdict.findings import Finding
from cache.analysis.verdict.rules import Verdict
from cache.analysis.verdict.verdicts import verdicts
from cache.store import open_store
from cache.store.recorded_pack import import_recorded

MODEL, LEFT_OUT = "NPO 45", 7


def condition(key: str, text: str) -> Condition:
    found = parsed(key, text)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Scoreboard]:
    """The demo's study with some answers of one model left out, on forget probes."""
    path: Path = tmp_path_factory.mktemp("partial") / "evidence.sqlite"
    study = read_study(PACK / "text" / "study.toml")
    store = open_store(path)
    import_recorded(PACK, store)
    spec = next(each for each in study.models if each.name == MODEL)
    contexts = [context.key for context in contexts_of(study, store, spec)]
    store.close()
    digests = [probe.digest() for each in study.probe_sets if each.role == "forget" for probe in each.probes][
        ::5
    ][:LEFT_OUT]
    with sqlite3.connect(path) as connection:
        deleted = connection.executemany(
            "delete from evidence where digest = ? and context in "
            "(select id from contexts where kind = 'answers' and key = ?)",
            [(digest, context) for digest in digests for context in contexts],
        ).rowcount
    assert deleted >= LEFT_OUT
    return study, scoreboard(study, open_store(path))


def test_no_model_has_forgotten_by_evidence_of_some_probes(partial: tuple[Study, Scoreboard]) -> None:
    found = verdicts(*partial)
    assert {each.measured.key for each in found[MODEL].incomplete if each.measured} >= {"forget/key_fact"}
    says = found[MODEL].finding("says")
    assert says.measured is not None
    assert (says.outcome, says.measured.n, says.measured.complete) == ("no", 29, 36)
    assert found[MODEL].forgetting == "undecided"
    assert {name for name in found if found[name].incomplete} == {MODEL}
    assert found["Retained"].forgetting == "forgotten"


@pytest.mark.parametrize(
    ("key", "text", "outcome"),
    [
        ("forget/key_fact", "<= 1", "undecided"),
        ("forget/key_fact", "<= retained + 0.9", "undecided"),
        ("forget/key_fact", ">= 0.9", "broken"),
        ("verdict", "forgotten", "undecided"),
    ],
)
def test_a_condition_says_how_many_were_answered(
    partial: tuple[Study, Scoreboard], key: str, text: str, outcome: str
) -> None:
    study, board = partial
    promised = replace(study, contract=(condition(key, text),))
    one, whole = check_contract(promised, board, [MODEL, "SimNPO 30"])
    assert one.outcome == outcome
    assert "29 of 36 probes answered; run `unlearnboard evaluate`" in one.why
    assert "answered" not in whole.why


def test_what_no_text_has_is_not_missing(partial: tuple[Study, Scoreboard]) -> None:
    """WGA 30 answers one neighbour with nothing, which has no fluency."""
    found = StudyNumbers(*partial).read("WGA 30", "neighbour/fluency", "original")
    assert found is not None
    assert (found.n, found.incomplete) == (23, False)


def test_an_incomplete_cost_is_not_none() -> None:
    from tests.cache.analysis.test_verdict_methods import finding, verdict

    def with_cost(n: int) -> Verdict:
        made = verdict("A", "no")
        cost: Finding = finding("utility", "no")
        assert cost.measured is not None
        cost = replace(cost, measured=cost.measured._replace(n=n, complete=36))
        return replace(made, findings=tuple(cost if f.question == "utility" else f for f in made.findings))

    assert with_cost(36).harm == "none found"
    assert with_cost(35).harm == "undecided"


def test_the_original_held_against_the_retained_model_is_not_left_open(
    partial: tuple[Study, Scoreboard],
) -> None:
    """Nearly all answers leak from it and none from the other: the test of the differences leaves all open."""
    study, board = partial
    promised = replace(study, contract=(condition("forget/leak_128", "<= retained + 0.05"),))
    (found,) = check_contract(promised, board, ["Original"])
    assert found.outcome == "broken"
    assert 0 < found.low < found.difference < found.high < 1
    assert math.isclose(found.value - found.line, found.difference)
