"""Ratings by people: kept, found again, counted as a metric, and how far they can be trusted."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from cache.analysis.rating_rows import nominal_alpha, rating_rows, reliability, score
from cache.analysis.scoreboard import scoreboard
from cache.store import open_store
from cache.store.merge import merge
from cache.store.ratings import Choice, Rating, how_made, keep_rating, ratings_of
from tests.filled_store import fill_text, text_study

STUDY = text_study()
FORGET = STUDY.probe_sets[0].probes


def rating(
    choice: Choice,
    left: str = "Original",
    right: str = "NPO 4",
    *,
    probe: int = 0,
    rater: str = "",
    at: int = 0,
) -> Rating:
    digest = FORGET[probe].digest()
    return Rating(digest, "forget", 0, left, right, choice, rater, f"2026-01-01T00:00:{at:02}")


def test_ratings_are_found_again_and_are_a_metric_of_both_models(tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(STUDY, store)
    before = scoreboard(STUDY, store).frame
    assert not before["key"].str.contains("win_rate").any()
    shown = how_made(STUDY, STUDY.decoding, 0)
    given = [
        rating("right", at=0),
        rating("same", at=1, probe=1),
        rating("left", "NPO 4", "Original", at=2, probe=2),
    ]
    for each in given:
        keep_rating(STUDY, store, each, shown)
    assert ratings_of(STUDY, store) == given
    frame = scoreboard(STUDY, store).frame.set_index(["model", "key"])
    row = frame.loc[("NPO 4", "forget/answers_win_rate")]
    assert row["value"] == pytest.approx(2.5 / 3)
    assert row["n"] == 3
    assert 0 < row["low"] < row["value"] < row["high"] <= 1
    assert frame.loc[("Original", "forget/answers_win_rate")]["value"] == pytest.approx(0.5 / 3)


def test_a_model_that_was_renamed_keeps_its_ratings_and_those_of_other_models_are_left_out(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    keep_rating(STUDY, store, rating("right"), "x")
    renamed = replace(
        STUDY, models=tuple(replace(m, name="Mine") if m.name == "NPO 4" else m for m in STUDY.models)
    )
    assert [each.right for each in ratings_of(renamed, store)] == ["Mine"]
    without = replace(STUDY, models=tuple(m for m in STUDY.models if m.name != "NPO 4"))
    assert ratings_of(without, store) == []


def test_ratings_come_along_when_caches_are_merged(tmp_path: Path) -> None:
    ours, theirs = (
        open_store(tmp_path / "a" / "evidence.sqlite"),
        open_store(tmp_path / "b" / "evidence.sqlite"),
    )
    keep_rating(STUDY, ours, rating("left", rater="A"), "x")
    keep_rating(STUDY, theirs, rating("right", rater="B", at=5), "x")
    merge(ours, theirs)
    assert [(each.rater, each.choice) for each in ratings_of(STUDY, ours)] == [("A", "left"), ("B", "right")]


def test_catch_trials_are_no_comparison_of_models() -> None:
    rated = [rating("left", "NPO 4", "NPO 4"), rating("same", "NPO 4", "NPO 4", at=1)]
    assert rating_rows(STUDY, rated, "NPO 4") == []
    known = reliability(rated)
    assert (known.rated, known.caught, known.catch_trials) == (0, 1, 2)


def test_sides_do_not_matter() -> None:
    assert score(rating("left"), "Original") == score(rating("right", "NPO 4", "Original"), "Original") == 1
    assert score(rating("both bad"), "Original") == 0.5
    turned = [rating("left", rater="A"), rating("right", "NPO 4", "Original", rater="B", at=1)]
    assert reliability(turned).repeated == 1
    # everybody said the same, always: there is nothing that chance could be told from
    assert math.isnan(reliability(turned).alpha)


def test_alpha_is_that_of_krippendorffs_example() -> None:
    """Section C of Krippendorff (2011): four observers, twelve units, values missing."""
    observers = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    columns = list(zip(*(line.split() for line in observers), strict=True))
    units = [[value for value in column if value != "."] for column in columns]
    assert nominal_alpha([unit for unit in units if len(unit) > 1]) == pytest.approx(0.743, abs=5e-4)
