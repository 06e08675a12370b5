"""Attacks as jobs: what is missing, how long it takes at measured speed, and how the work is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.pages.robustness.attack_panel import outlook_words
from app.shared.attack_jobs import Outlook, outlook, remaining, seconds_per_piece
from backends.attacks import ATTACKS
from cache.store import open_store
from cache.store.runs import RunRecord
from tests.filled_store import ATTACKED, attack_study, fill_attacks, fill_text

STUDY = attack_study()
NAMES = ATTACKED
USED = [ATTACKS["role_play"], ATTACKS["samples_16"]]


def run(seconds: float, done: int = 10, kinds: tuple[str, ...] = ("scores", "answers")) -> RunRecord:
    empty = RunRecord(
        *("k", "s", "m", "unlearned", "", None, "f", "p", "forget"),
        {kind: {} for kind in kinds}, "float32", "cpu", "float32", "2026-01-01T00:00:00+00:00",
        seconds, done, done, "complete",
    )  # fmt: skip
    return empty


def test_speed_is_the_median_of_runs_that_worked() -> None:
    assert seconds_per_piece([run(20), run(40), run(60, kinds=("scores",))]) == pytest.approx(2)
    assert seconds_per_piece([run(0.001), run(20)]) == pytest.approx(1)  # the first only read what was stored
    assert seconds_per_piece([run(0.001), replace(run(5), n_done=0)]) is None


def test_the_rest_takes_as_long_as_what_was_done() -> None:
    assert remaining(10, 40, 20.0) == pytest.approx(60)
    assert remaining(0, 40, 20.0) is None
    assert remaining(10, 40, 1.0) is None
    assert remaining(40, 40, 20.0) is None


def test_what_is_missing_is_counted_and_timed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(STUDY, store)
    before = outlook(STUDY, store, "float32", NAMES, USED)
    forget = len(STUDY.probe_sets[0].probes)
    assert before.missing == len(NAMES) * forget * 2  # scores and answers; sampling costs nothing
    assert before.waiting == ("role_play",)
    assert before.seconds is None  # the filled runs name no kinds of evidence
    fill_attacks(STUDY, store, NAMES, USED)
    after = outlook(STUDY, store, "float32", NAMES, USED)
    assert after.missing == 0
    assert after.total == before.total


def test_the_outlook_is_told_in_words() -> None:
    assert outlook_words(None) == "Choose attacks and models."
    assert outlook_words(Outlook(10, 0, (), None)) == "All 10 pieces of evidence of these attacks are there."
    assert "about 3 minutes at the speed" in outlook_words(Outlook(10, 5, ("a",), 180.0))
    assert "2 attacks train models first" in outlook_words(Outlook(10, 0, (), None, ("a", "b")))
    assert "Nothing was timed on this machine yet" in outlook_words(Outlook(10, 5, ("a",), None))
