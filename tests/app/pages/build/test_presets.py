"""Presets stay within a method's limits; the estimate comes from runs that were timed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.pages.build.presets import (
    CAREFUL,
    PAPER,
    QUICK,
    WORDS,
    estimate,
    help_of,
    preset,
    presets_of,
    source_of,
    step_seconds,
)
from app.shared.durations import duration
from app.shared.unlearning import methods_of, settings_for
from app.shared.unlearning_runs import BuiltRun
from backends.study import Modality
from backends.unlearning.published import PUBLISHED


def run(label: str, method: str, step: int, seconds: float) -> BuiltRun:
    log = ({"step": step, "forget": 0.1, "utility": 0.9, "seconds": seconds},)
    return BuiltRun(label, Path(label), {"method": method, "settings": {}}, {}, 60, log, "")


@pytest.mark.parametrize("modality", ["text", "image"])
def test_presets_of_every_method_are_within_its_limits_and_every_setting_has_words(
    modality: Modality,
) -> None:
    for method in methods_of(modality):
        known = settings_for(method, modality)
        assert set(known) <= set(WORDS), method
        for name in presets_of(modality, method):
            of = method if modality == "image" else ""
            values, checkpoints = preset(name, known, 4000, 0.001, of)
            assert set(values) <= set(known) and checkpoints >= 5
            assert all(known[key].low <= value <= known[key].high for key, value in values.items())


def test_what_the_presets_are() -> None:
    known = settings_for("NPO", "text")
    assert preset(QUICK, known, 400, None) == ({"steps": 60}, 5)
    assert preset(QUICK, known, 400, 4.0) == ({"steps": 30}, 5)
    assert preset(QUICK, known, 400, 500.0) == ({"steps": 1}, 5)
    assert preset(CAREFUL, known, 400, None) == ({"steps": 240, "lr": 5e-5, "stop_below": 0.9}, 10)
    paper = {"rank": 0, "lr": 1e-5, "steps": 130, "warmup": 13, "batch": 32, "retain_batch": 32}
    assert preset(PAPER, known, 400, None) == (paper, 5)


def test_the_paper_of_an_image_method_is_what_its_authors_publish_and_says_where() -> None:
    of = {method: preset(PAPER, settings_for(method, "image"), 64, None, method)[0] for method in PUBLISHED}
    assert of["ESD"] == {"lr": 5e-5, "steps": 200, "batch": 1, "eta": 2.0, "alpha": 0.0}
    assert of["SalUn"] == {"lr": 1e-5, "batch": 8, "alpha": 0.5, "share": 0.5, "steps": 40}
    assert of["ConceptAblation"]["lr"] == pytest.approx(2e-6 * 8)
    for method, found in PUBLISHED.items():
        assert set(found.settings) <= set(settings_for(method, "image"))
        assert found.source in source_of(method) and found.note in source_of(method)
        assert ("steps" in found.settings) != bool(found.epochs)


def test_a_method_whose_authors_settings_are_not_ours_has_no_such_preset() -> None:
    for method in methods_of("image"):
        assert (PAPER in presets_of("image", method)) == (method in PUBLISHED)
    assert PAPER not in help_of("image", "GradAscent") and PAPER in help_of("text", "NPO")


def test_a_run_of_the_same_method_tells_the_time_else_the_last_of_any() -> None:
    runs = [run("NPO", "NPO", 60, 30.0), run("RMU", "RMU", 10, 20.0)]
    assert step_seconds(runs, "NPO") == (0.5, "NPO")
    assert step_seconds(runs, "WGA") == (2.0, "RMU")
    assert step_seconds([], "NPO") is None
    assert "About 30 seconds for 60 steps, at 0.5 s a step as in the run NPO" in estimate(60, (0.5, "NPO"))
    assert "No run was timed" in estimate(60, None)
    assert [duration(each) for each in (0.2, 90, 600, 7200)] == [
        "1 seconds",
        "90 seconds",
        "10 minutes",
        "2.0 hours",
    ]
