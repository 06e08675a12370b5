"""Verdicts on runs of which only numbers are known: differences as of independent estimates, missing things named."""

from __future__ import annotations

import numpy as np
import pandas as pd

from app.pages.overview.missing import UNCOUNTED, gaps
from app.pages.overview.subject import of_board
from cache.analysis.board import Board
from cache.analysis.verdict.verdicts import run_verdicts
from tests.filled_store import text_study

KEYS = ("forget/rouge_l", "forget/probability", "all/model_utility", "retain/rouge_l")
RUNS = {
    "base": (0.9, 0.95, 0.60, 0.9),
    "retrained": (0.35, 0.10, 0.61, 0.9),
    "good": (0.36, 0.11, 0.60, 0.88),
    "hides": (0.30, 0.70, 0.60, 0.88),
    "broken": (0.00, 0.00, 0.05, 0.1),
}


def board(half: float = 0.03) -> Board:
    parts = ["original", "retained", *["unlearned"] * 3]
    heads = pd.DataFrame(
        {"model": list(RUNS), "part": parts, "method": "", "protocol": "", "layer": "", "line": ""}
    )
    heads = heads.assign(step=pd.array([None] * len(RUNS), dtype="Int64"), created="")
    values = np.array(list(RUNS.values()))
    return Board(heads, KEYS, np.stack([values, values - half, values + half, np.full_like(values, 400)]))


def test_imported_runs_have_verdicts() -> None:
    found = run_verdicts(board(), "text", "base", "retrained")
    kinds = {name: verdict.kind for name, verdict in found.items()}
    assert kinds == {
        "base": "not forgotten",
        "retrained": "forgotten",
        "good": "forgotten",
        "hides": "hidden",
        "broken": "destroyed",
    }
    assert {"leaks", "neighbour", "membership"} <= set(found["good"].untested)
    said = found["good"].finding("says").measured
    assert said is not None and (said.key, said.against, said.n) == ("forget/rouge_l", "retrained", 400)
    np.testing.assert_allclose(
        [said.difference, said.least, said.most], [0.01, 0.01 - 0.03 * 2**0.5, 0.01 + 0.03 * 2**0.5]
    )


def test_a_run_beside_itself_differs_by_nothing() -> None:
    assert run_verdicts(board(0.3), "text", "base", "retrained")["retrained"].kind == "forgotten"


def test_without_intervals_nothing_is_decided() -> None:
    plain = board()
    numbers = plain.numbers.copy()
    numbers[1:3] = np.nan
    found = run_verdicts(Board(plain.heads, plain.keys, numbers), "text", "base", "retrained")
    assert found["good"].kind == "undecided" and not any(e.needed for e in found["good"].findings)


def test_without_a_retained_run_overlap_says_nothing() -> None:
    assert run_verdicts(board(), "text", "base", "")["good"].kind == "not tested"
    assert run_verdicts(board(), "text", "", "")["good"].kind == "not tested"


def test_a_run_that_answered_fewer_probes_than_the_retained_one_has_not_shown_that_it_forgot() -> None:
    whole = board()
    numbers = whole.numbers.copy()
    numbers[3, 2] = 40  # of "good"
    found = run_verdicts(Board(whole.heads, whole.keys, numbers), "text", "base", "retrained")
    assert found["good"].kind == "undecided" and found["good"].incomplete
    assert found["retrained"].kind == "forgotten" and not found["retrained"].incomplete


def test_runs_that_do_not_say_how_many_probes_they_answered_are_judged_and_overview_says_so() -> None:
    whole = board()
    numbers = whole.numbers.copy()
    numbers[3] = np.nan
    silent = Board(whole.heads, whole.keys, numbers)
    found = run_verdicts(silent, "text", "base", "retrained")
    assert found["good"].kind == "forgotten"
    study = text_study()
    for runs, judged, told in (
        (silent, found, True),
        (whole, run_verdicts(whole, "text", "base", "retrained"), False),
    ):
        subject = of_board("runs", runs, study, judged)
        assert (UNCOUNTED in [gap.text for gap in gaps(subject, [], [])]) == told
