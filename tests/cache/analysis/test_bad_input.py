"""Samples that say little or nothing: a number or NaN, no warning, and no interval of zero width that is not exact."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.charts.choices import axis
from app.charts.frontier import frontier, methods_table
from app.charts.points import chart_points
from app.pages.tradeoffs.selected_model import against_original, retained_or_original
from app.pages.tradeoffs.shown_runs import ShownRuns, run_table
from backends.metrics.distributions import drawn_kernel_distance
from backends.study import Study
from cache.analysis.examples import compare, examples
from cache.analysis.paired_tests import paired_test
from cache.analysis.relative_test import Distances, closeness_interval, drawn_closeness
from cache.analysis.resampling import Groups, bootstrap_areas, bootstrap_interval, interval_of
from cache.analysis.scoreboard import scoreboard
from cache.analysis.seed_means import over_seeds
from cache.analysis.study_board import study_board
from cache.store import open_store
from tests.filled_store import fill_text, text_study

Floats = NDArray[np.float64]
SAMPLES: dict[str, list[float]] = {
    "none": [],
    "one": [0.3],
    "two": [0.2, 0.4],
    "all 0": [0.0] * 12,
    "all equal": [0.5] * 12,
    "all NaN": [np.nan] * 5,
    "half NaN": [0.1, np.nan, 0.3, np.nan, 0.5, 0.9, 0.8, np.nan],
    "one subject": list(np.linspace(0, 1, 12)),
}


def of_pairs(values: Floats, groups: Groups) -> tuple[float, float]:
    names = [f"subject {group}" for group in groups] or None
    found = paired_test(values, values * 0.5 + 0.1, groups=names, reach=1.0)
    return found.low, found.high


def of_closeness(values: Floats, groups: Groups) -> tuple[float, float]:
    found = Distances(values, values[::-1].copy())
    return closeness_interval(found, drawn_closeness(found, 0, groups), groups)


def of_pictures(values: Floats, groups: Groups) -> tuple[float, float]:
    features = np.stack([values, values**2], axis=1)
    low, high = interval_of(
        drawn_kernel_distance(features, features + 0.1, groups or range(len(values)), 200, 0)
    )
    return float(low), float(high)


def of_areas(values: Floats, groups: Groups) -> tuple[float, float]:
    low, high = interval_of(np.append(0.5, bootstrap_areas(values, values, groups=(groups, groups))))
    return float(low), float(high)


WAYS: dict[str, Callable[[Floats, Groups], tuple[float, float]]] = {
    "bounded": lambda values, groups: bootstrap_interval(values, bounds=(0.0, 1.0), groups=groups),
    "unbounded": lambda values, groups: bootstrap_interval(values, bounds=(0.0, None), groups=groups),
    "AUC": of_areas,
    "pairs": of_pairs,
    "closeness": of_closeness,
    "pictures": of_pictures,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_an_interval_has_a_width_or_is_unknown(sample: str, way: str) -> None:
    values = np.array(SAMPLES[sample], np.float64)
    groups = (0,) * len(values) if sample == "one subject" else ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = WAYS[way](values, groups)
    assert np.isnan([low, high]).all() or low < high
    if sample in ("none", "one", "all NaN"):
        assert not (np.isfinite(low) and np.isfinite(high)) or (low, high) == (-1.0, 1.0)


def few(study: Study, count: int, subject: str = "") -> Study:
    """The first probes of each set, of one subject if one is named."""
    sets = [
        replace(each, probes=tuple(replace(probe, subject=subject) for probe in each.probes[:count]))
        for each in study.probe_sets
    ]
    return replace(study, probe_sets=tuple(sets))


@pytest.mark.parametrize(
    ("count", "subject", "models"), [(1, "", 99), (2, "", 99), (6, "Ada", 99), (6, "", 4)]
)
def test_pages_say_a_number_or_nothing(tmp_path: Path, count: int, subject: str, models: int) -> None:
    store, study = open_store(tmp_path / "evidence.sqlite"), few(text_study(), count, subject)
    fill_text(replace(study, models=study.models[:models]), store)
    board = scoreboard(study, store)
    frame = board.frame
    narrow = frame[frame.low.notna() & (frame.low == frame.high)]
    # Numbers divided by themselves, of the models that the others are held against.
    exact = (narrow.model == "Original") & (narrow.metric == "relative_utility")
    exact |= (narrow.model == "Retained") & (narrow.metric == "least_kept") & (narrow.value == 1)
    assert exact.all(), narrow
    runs = study_board(study, frame)
    x, y = axis("forget/probability", turn=True), axis("utility/probability", turn=True)
    names = [spec.name for spec in study.models]
    shown = frontier(chart_points(runs.frame(), names, x, y), board, x, y)
    methods_table(shown)
    shown.outlines()
    for name in dict.fromkeys(frame.model):
        retained_or_original(against_original(frame, name, board.original_values(name)))
    table = run_table(ShownRuns(runs, runs.known(), x, y, study), runs.known(), range(len(runs)))
    assert len(table) == min(models, len(study.models))
    assert over_seeds(study, board).empty
    compare(examples(study, store, board, names, "forget/probability", higher=False))
    store.close()
