"""Boards of several origins, what differs between runs, which is best, whether metrics agree, what a curve says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from cache.analysis.board import Board, board_of, joined
from cache.analysis.dial import findings
from cache.analysis.differences import difference, differing
from cache.analysis.paired_tests import paired_test
from cache.analysis.ranking import agreement, ranks
from cache.analysis.scoreboard import scoreboard
from cache.analysis.slices import slice_board
from cache.store import open_store
from tests.filled_store import fill_text, text_study


def frame(names: list[str], keys: list[str], start: float = 0.0) -> pd.DataFrame:
    rows = [
        (
            name,
            "unlearned",
            "NPO",
            place,
            key,
            *(start + place + 10 * k + part for part in (0.0, -0.5, 0.5)),
            7,
        )
        for place, name in enumerate(names)
        for k, key in enumerate(keys)
    ]
    columns = ["model", "part", "method", "step", "key", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).astype({"step": "Int64"})


def test_a_frame_becomes_a_board_and_a_frame_again() -> None:
    made = frame(["a", "b"], ["forget/loss", "retain/loss"])
    board = board_of(made.drop(index=3), "corrected", "this study")
    assert board.column("retain/loss").tolist() == pytest.approx([10.0, np.nan], nan_ok=True)
    assert board.column("nobody/has").tolist() == pytest.approx([np.nan, np.nan], nan_ok=True)
    back = board.frame()
    assert back[["model", "key", "value", "low", "high", "n"]].to_numpy().tolist() == [
        ["a", "forget/loss", 0.0, -0.5, 0.5, 7],
        ["b", "forget/loss", 1.0, 0.5, 1.5, 7],
        ["a", "retain/loss", 10.0, 9.5, 10.5, 7],
    ]
    assert set(board.frame(["forget/loss"])["key"]) == {"forget/loss"}
    assert board.only([False, True]).known() == ("forget/loss",)


def test_joined_boards_keep_all_runs_and_tell_equal_names_apart() -> None:
    one = board_of(frame(["a", "b"], ["forget/loss"]), "corrected", "this study")
    two = board_of(frame(["b", "c"], ["retain/loss", "forget/loss"], 100), "muse", "other")
    three = board_of(frame(["b"], ["retain/loss"], 500), "muse", "other")
    board = joined([one, two, three])
    assert list(board.heads["model"]) == ["a", "b", "b · other", "c", "b · other (2)"]
    assert board.column("forget/loss").tolist() == pytest.approx([0, 1, 110, 111, np.nan], nan_ok=True)
    assert board.column("retain/loss").tolist() == pytest.approx([np.nan, np.nan, 100, 101, 500], nan_ok=True)
    assert len(joined([])) == 0
    assert isinstance(joined([one]), Board)


def test_a_difference_pairs_the_probes_that_both_have() -> None:
    random = np.random.default_rng(0)
    first = pd.Series(random.random(12), index=[f"p{n}" for n in range(12)])
    second = (first + 0.1).iloc[::-1].drop("p3")
    found = difference(first, second)
    assert found is not None
    assert found.n == 11
    assert found.mean == pytest.approx(0.1)
    shared = [name for name in first.index if name != "p3"]
    expected = paired_test(second[shared], first[shared])
    assert (found.p_value, found.low, found.high) == pytest.approx((expected.p, expected.low, expected.high))
    assert found.p_value == pytest.approx(2 / 2**11)
    assert 0 < found.low <= found.mean < found.high
    assert difference(first, second.iloc[:1]) is None


def test_probes_of_one_subject_are_taken_together() -> None:
    ids = [f"p{n}" for n in range(24)]
    subject = {name: f"s{n // 4}" for n, name in enumerate(ids)}
    random = np.random.default_rng(1)
    first = pd.Series(random.random(24), index=ids)
    second = first + np.repeat(random.normal(0.05, 0.1, 6), 4)
    alone, together = difference(first, second), difference(first, second, subjects=subject)
    assert alone is not None and together is not None
    assert (alone.groups, together.groups) == (0, 6)
    assert together.mean == alone.mean
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_only_settings_that_differ_are_shown() -> None:
    table = differing({"a": {"lr": 1e-5, "beta": 0.1, "seed": 0}, "b": {"lr": 2e-5, "beta": 0.1}})
    assert table.to_dict() == {"a": {"lr": "1e-05", "seed": "0"}, "b": {"lr": "2e-05", "seed": "–"}}


def test_agreement_is_that_of_ranks_with_better_first() -> None:
    random = np.random.default_rng(1)
    first, second = random.random(20), random.random(20)
    found = agreement(first, second, ("lower", "higher"))
    assert found.spearman == pytest.approx(spearmanr(first, -second).statistic)
    assert found.kendall == pytest.approx(kendalltau(first, -second).statistic)
    assert agreement(first, first, ("lower", "lower")).spearman == pytest.approx(1)
    assert agreement(first, first, ("lower", "higher")).spearman == pytest.approx(-1)
    assert np.isnan(agreement(first[:2], second[:2], ("lower", "lower")).spearman)
    assert np.isnan(agreement(first, np.ones(20), ("lower", "lower")).spearman)
    assert ranks(np.array([0.3, np.nan, 0.1]), "lower").tolist() == pytest.approx([2, np.nan, 1], nan_ok=True)
    assert ranks(np.array([-2.0, 1.0, 0.5]), "zero").tolist() == [3, 2, 1]


def test_a_curve_tells_where_it_bends_and_where_it_passes_the_aim() -> None:
    strengths = np.array([1.5, 0.0, 0.5, 1.0])
    values = np.array([(0.02, 0.2), (0.9, 0.7), (0.5, 0.69), (0.1, 0.68)])
    found = findings(strengths, values, ("lower", "higher"), 0.3)
    assert found.knee_strength == 1.0
    assert found.passing_strength == pytest.approx(0.75)
    assert findings(strengths, values, ("lower", "higher"), 0.01).passing_strength is None
    assert findings(strengths[:2], values[:2], ("lower", "higher"), None) == (None, None)
    gaps = np.where(np.arange(4)[:, None] == 2, np.nan, values)
    assert findings(strengths, gaps, ("lower", "higher"), 0.5).passing_strength == pytest.approx(0.5)


def test_slices_are_means_over_the_probes_of_a_subject(tmp_path: Path) -> None:
    study, store = text_study(), open_store(tmp_path / "evidence.sqlite")
    forget = study.probe_sets[0]
    named = tuple(
        replace(p, subject="Ada" if n % 2 else "Bo", tags=("all",)) for n, p in enumerate(forget.probes)
    )
    study = replace(study, probe_sets=(replace(forget, probes=named), *study.probe_sets[1:]))
    fill_text(study, store)
    scores = scoreboard(study, store)
    runs = board_of(scores.frame, "corrected", "this study")
    key = "forget/probability"
    board = slice_board(scores, study, runs, key, "subject")
    assert board.keys == (f"{key}@Bo", f"{key}@Ada")
    values = scores.per_probe("NPO 4", key)
    place = list(board.heads["model"]).index("NPO 4")
    ada = [probe.id for probe in named if probe.subject == "Ada"]
    assert board.column(f"{key}@Ada")[place] == pytest.approx(values[ada].mean())
    whole = slice_board(scores, study, runs, key, "tag")
    assert whole.column(f"{key}@all").tolist() == pytest.approx(runs.column(key).tolist())
    assert slice_board(scores, study, runs, "retain/probability", "tag").keys == ()
