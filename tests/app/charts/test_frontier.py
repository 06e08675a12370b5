"""What the frontier says of a study's models, over a store with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from app.charts.choices import axis
from app.charts.frontier import Frontier, frontier, method_labels, methods_table
from app.charts.points import chart_points
from cache.analysis.scoreboard import scoreboard
from cache.analysis.study_board import STUDY, study_board, study_protocol
from cache.store import open_store
from tests.filled_store import fill_text, image_study, text_study

KEYS = ("forget/probability", "retain/probability")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Frontier:
    store = open_store(tmp_path_factory.mktemp("store") / "evidence.sqlite")
    fill_text(text_study(), store)
    study = text_study()
    board = scoreboard(study, store)
    runs = study_board(study, board.frame)
    x, y = (axis(key, turn=True) for key in KEYS)
    return frontier(chart_points(runs.frame(KEYS), list(runs.heads["model"]), x, y), board, x, y)


def test_only_unlearned_models_have_a_chance_of_being_on_the_front(found: Frontier) -> None:
    unlearned = found.points["part"] == "unlearned"
    assert found.points.loc[unlearned, "chance"].between(0, 1).all()
    assert found.points.loc[~unlearned, "chance"].isna().all()


def test_the_retained_model_is_at_distance_nothing_from_itself(found: Frontier) -> None:
    retained = found.points[found.points["part"] == "retained"]
    assert retained["distance"].tolist() == [0.0]
    assert (found.points["distance"].dropna() >= 0).all()


def test_every_method_is_a_row_with_its_area_and_the_largest_comes_first(found: Frontier) -> None:
    table = methods_table(found)
    unlearned = found.points[found.points["part"] == "unlearned"]
    assert set(table["Method"]) == set(method_labels(unlearned))
    assert table["Checkpoints"].sum() == len(unlearned)
    assert table["Hypervolume"].is_monotonic_decreasing
    assert (
        (table["Hypervolume, low"] <= table["Hypervolume"])
        & (table["Hypervolume"] <= table["Hypervolume, high"])
    ).all()


def test_the_value_itself_is_the_first_of_the_resamples(found: Frontier) -> None:
    values = found.points[["x_value", "y_value"]].to_numpy(float)
    assert np.array_equal(found.drawn[:, 0], values)


def test_runs_of_other_layers_are_told_apart_by_their_layer() -> None:
    points = pd.DataFrame(
        {"model": ["a", "b", "c"], "method": ["NPO", "NPO", ""], "layer": [STUDY, "theirs", "theirs"]}
    )
    assert list(method_labels(points)) == ["NPO", "NPO · theirs", "c · theirs"]
    assert list(method_labels(points[points["layer"] == STUDY])) == ["NPO"]


def test_pictures_have_a_protocol_of_their_study_alone(tmp_path: Path) -> None:
    assert study_protocol(text_study()) == text_study().protocol
    assert study_protocol(image_study()) == "this study's"
