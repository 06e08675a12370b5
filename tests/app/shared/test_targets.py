"""Targets of models on pages and in exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.export.study_folder import export_study
from app.looks.names import detail_of
from app.pages.compare.pictures import to_be_gone
from app.pages.tradeoffs.selected_model import against_original
from app.pages.tradeoffs.targets_panel import means_table
from backends.study import Study
from cache.analysis.scoreboard import scoreboard
from cache.analysis.target_means import over_targets
from cache.store import Store, open_store
from tests.filled_store import OBJECTS, OTHER, fill_images, image_study, several_targets


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store]:
    store = open_store(tmp_path_factory.mktemp("targets") / "evidence.sqlite")
    study = several_targets(image_study())
    fill_images(study, store)
    return study, store


def test_what_should_be_gone_is_the_models_own_target(filled: tuple[Study, Store]) -> None:
    study, _ = filled
    probe = next(
        each for each in study.probe_sets[1].probes if each.concepts == {"object": OBJECTS[0], "style": OTHER}
    )
    assert to_be_gone(study, probe, "ESD 10") == {}
    assert to_be_gone(study, probe, "ESD 10 b") == {"style": OTHER}
    assert to_be_gone(study, probe, "ESD 10 c") == {"object": OBJECTS[0]}
    assert to_be_gone(study, probe, "Original") == {}


def test_the_means_are_exported_and_shown(filled: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = filled
    written = export_study(study, store, tmp_path / "out", figures=False)
    assert tmp_path / "out" / "targets.csv" in written
    assert (tmp_path / "out" / "targets.csv").read_text().startswith("method,step,targets,over")
    table = means_table(over_targets(study, scoreboard(study, store)))
    assert list(table)[:4] == ["Method", "Step", "Metric", "Mean"] and table["Targets"].iloc[0] == 3
    assert set(table["Targets"]) == {1, 3}


def test_a_model_is_shown_with_its_own_target(filled: tuple[Study, Store]) -> None:
    study, _ = filled
    assert f"forgets {OTHER}" in detail_of(study.model("ESD 10 b"))
    assert "forgets" not in detail_of(study.model("SalUn 20"))


def test_a_model_stands_beside_the_original_on_its_own_target(filled: tuple[Study, Store]) -> None:
    study, store = filled
    board = scoreboard(study, store)
    for name in ("ESD 10 b", "SalUn 20"):
        table = against_original(board.frame, name, board.original_values(name)).set_index("key")
        key = "forget/unlearn_accuracy"
        under = board.per_probe("Original", key, under=name)
        assert table["original"][key] == pytest.approx(under.mean())
        assert (table["change"].dropna() == (table["value"] - table["original"]).dropna()).all()
