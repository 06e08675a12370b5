"""Closeness to retained or original: a row for each role of every model, where a study has both to compare with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from app.charts.choices import axis, first_axes, judges
from app.pages.tradeoffs.selected_model import against_original, colour, gain, retained_or_original
from app.pages.tradeoffs.shown_runs import ShownRuns, run_table
from backends.metrics.card import Direction
from backends.metrics.relative import closer
from backends.study import Study
from cache.analysis.conditions import Met, best_by_group
from cache.analysis.frontier import knee, pareto
from cache.analysis.frontier_statistics import plane
from cache.analysis.ranking import ranks
from cache.analysis.resampling import RESAMPLES
from cache.analysis.scoreboard import Scoreboard, scoreboard
from cache.analysis.study_board import study_board
from cache.store import Store, open_store
from tests.filled_store import fill_images, fill_text, image_study, several_targets, text_study

KEY = "closer_to_retained"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(tmp_path_factory.mktemp("filled") / "evidence.sqlite")
    fill_text(text_study(), store)
    fill_images(image_study(), store)
    fill_images(several_targets(image_study()), store)
    return store


def rows(board: Scoreboard) -> pd.DataFrame:
    return board.frame[board.frame.metric == KEY]


def alone(study: Study) -> Study:
    """Without subjects, so that every probe is a witness of its own."""
    sets = [
        replace(each, probes=tuple(replace(probe, subject="") for probe in each.probes))
        for each in study.probe_sets
    ]
    return replace(study, probe_sets=tuple(sets))


def test_every_role_has_it_and_the_two_models_stand_at_its_ends(filled: Store) -> None:
    for study in (text_study(), image_study()):
        found = rows(scoreboard(study, filled)).set_index(["model", "role"])
        assert set(found.index.get_level_values("role")) == {each.role for each in study.probe_sets}
        assert (found.loc["Original"].value == -1).all() and (found.loc["Retained"].value == 1).all()
        assert ((found.low <= found.value) & (found.value <= found.high) & (found.low < found.high)).all()


def test_a_model_that_forgets_moves_from_the_original_to_the_retained_one(filled: Store) -> None:
    found = rows(scoreboard(alone(text_study()), filled)).set_index(["model", "role"])
    assert found.loc[("IdkDPO 2", "forget")].value < 0 and found.loc[("IdkDPO 2", "forget")].n == 6
    for model, answer in (("Original", "original"), ("Retained", "retained"), ("IdkDPO 2", "undecided")):
        assert closer(*found.loc[(model, "forget")][["low", "high"]]) == answer
    assert found.loc[("GradAscent 10", "forget")].value > found.loc[("GradAscent 2", "forget")].value


def test_two_subjects_are_too_few_to_be_sure(filled: Store) -> None:
    found = rows(scoreboard(text_study(), filled)).set_index(["model", "role"])
    assert found.loc[("Original", "forget")][["low", "high"]].tolist() == [-1.0, 1.0]


def test_its_resamples_are_there_for_differences_between_models(filled: Store) -> None:
    board = scoreboard(alone(text_study()), filled)
    drawn = board.drawn(["NPO 2", "NPO 10"], f"forget/{KEY}")
    assert drawn.shape == (2, 1 + RESAMPLES) and not np.isnan(drawn).any()
    assert np.asarray(np.corrcoef(drawn[:, 1:]))[0, 1] > 0.1  # the same weights on the same probes


def test_without_a_retained_model_there_is_nothing_to_be_closer_to(filled: Store) -> None:
    study = text_study()
    without = replace(study, models=tuple(spec for spec in study.models if spec.part != "retained"))
    assert rows(scoreboard(without, filled)).empty


def test_models_with_targets_of_their_own_are_not_compared(filled: Store) -> None:
    assert rows(scoreboard(several_targets(image_study()), filled)).empty


def test_a_model_that_was_not_evaluated_has_none_and_the_others_have(tmp_path: Path) -> None:
    study, store = text_study(), open_store(tmp_path / "evidence.sqlite")
    half = replace(study, models=study.models[:9])
    fill_text(half, store)
    found = rows(scoreboard(study, store))
    assert set(found.model) == {spec.name for spec in half.models}
    store.close()


def test_the_selected_model_is_told_in_words(filled: Store) -> None:
    board = scoreboard(alone(text_study()), filled)
    changes = against_original(board.frame, "Retained", board.original_values("Retained"))
    said = retained_or_original(changes)
    assert said == (
        "Retained or original? Closer to retained on forget, closer to retained on neighbour, closer to retained on "
        "retain, closer to retained on utility."
    )
    changes = against_original(board.frame, "IdkDPO 2", board.original_values("IdkDPO 2"))
    assert retained_or_original(changes).startswith("Retained or original? Undecided on forget, ")
    assert retained_or_original(changes[changes.key == "forget/probability"]) == ""


def test_neither_answer_is_better_off_the_forget_set(filled: Store) -> None:
    board = scoreboard(alone(text_study()), filled)
    changes = against_original(
        board.frame, "GradAscent 10", board.original_values("GradAscent 10")
    ).set_index("key")
    assert changes.verdict[f"forget/{KEY}"] == "better"
    for role in ("retain", "neighbour", "utility"):
        assert changes.change[f"{role}/{KEY}"] > 0 and changes.verdict[f"{role}/{KEY}"] == ""
        shown = axis(f"{role}/{KEY}", turn=True)
        assert "neither is better" in shown.label and not shown.reversed
        assert not judges(f"{role}/{KEY}")
        keys = [f"forget/{KEY}", f"{role}/{KEY}", "retain/probability"]
        assert first_axes(keys, "text") == (f"forget/{KEY}", "retain/probability")
    assert judges(f"forget/{KEY}") and "is better →" in axis(f"forget/{KEY}", turn=True).label


def test_nobody_is_on_a_front_or_the_best_where_neither_way_is_better() -> None:
    values = np.array([[0.1, -0.9], [0.5, 0.3], [0.9, 0.8]])
    ways: tuple[Direction, Direction] = ("lower", "neutral")
    assert not pareto(values, ways).any() and knee(values, ways) is None
    assert plane(values, ways, ((0.0, 1.0), (-1.0, 1.0))) is None
    assert best_by_group(["A"] * 3, values[:, 1], "neutral", [Met("pass", 1.0)] * 3, [True] * 3) == {
        "A": None
    }
    assert np.isnan(ranks(values[:, 1], "neutral")).all()
    assert (
        colour(gain("neutral", 0.1, 0.9), 0.8) == "off" and colour(gain("lower", 0.1, 0.9), 0.8) == "inverse"
    )
    assert colour(gain("zero", -2.0, -1.0), 1.0) == "normal"


def test_the_table_of_runs_has_the_answer_in_words(filled: Store) -> None:
    study = alone(text_study())
    runs = study_board(study, scoreboard(study, filled).frame)
    keys = [f"forget/{KEY}", "forget/probability"]
    shown = ShownRuns(runs, runs.known(), axis(keys[0], turn=True), axis(keys[1], turn=True), study)
    table = run_table(shown, keys, range(len(runs))).set_index("Run")
    words = table["forget · Retained or original?"]
    assert (words["Original"], words["Retained"]) == ("closer to original", "closer to retained")
    assert words["IdkDPO 2"] == "undecided"


def test_the_easiest_leak_is_the_smallest_of_the_probes(filled: Store) -> None:
    board = scoreboard(text_study(), filled)
    easiest = board.frame[(board.frame.model == "NPO 4") & (board.frame.metric == "leak_easiest")].iloc[0]
    samples = board.per_probe("NPO 4", "forget/leak_samples")
    assert easiest.value == samples.min() and easiest.n == len(samples)
    assert np.isnan(easiest.low)
