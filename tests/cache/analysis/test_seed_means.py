"""Means over training seeds: two levels of an interval, by hand and by simulation."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from cache.analysis.resampling import bootstrap_means, interval_of
from cache.analysis.scoreboard import scoreboard
from cache.analysis.seed_means import over_seeds, seed_interval
from cache.analysis.study_board import study_board
from cache.store import open_store
from tests.filled_store import fill_text, text_study


def test_both_levels_by_hand() -> None:
    drawn = np.array([[0.2, 0.1, 0.3], [0.4, 0.3, 0.5], [0.3, 0.2, 0.4]])
    probes = interval_of(drawn.mean(axis=0))
    half = t.ppf(0.975, 2) * 0.1 / 3**0.5
    low, high = seed_interval(drawn)
    assert low == pytest.approx(0.3 - ((0.3 - float(probes[0])) ** 2 + half**2) ** 0.5)
    assert high == pytest.approx(0.3 + ((float(probes[1]) - 0.3) ** 2 + half**2) ** 0.5)
    assert seed_interval(drawn, (0.25, 0.31)) == (0.25, 0.31)
    assert isnan(seed_interval(drawn[:1]).low)


def drawn_of(values: np.ndarray, seed: int) -> np.ndarray:
    """Shape (seeds, 1 + B), of values of shape (probes, seeds)."""
    resampled = bootstrap_means(values, seed=seed, bounds=(0.0, 1.0))
    return np.concatenate([values.mean(axis=0)[None], resampled]).T


def test_it_holds_the_truth_over_probes_and_seeds_and_one_level_does_not() -> None:
    random, both, probes = np.random.default_rng(5), 0, 0
    for study in range(300):
        hard, seeds = random.normal(0, 1, (36, 1)), random.normal(0, 0.8, 4)
        share = 1 / (1 + np.exp(-(hard + seeds + random.normal(0, 0.5, (36, 4)))))
        drawn = drawn_of(share, study % 7)
        low, high = seed_interval(drawn, (0.0, 1.0))
        both += low <= 0.5 <= high
        least, most = interval_of(drawn.mean(axis=0))
        probes += bool(least <= 0.5 <= most)
    assert both / 300 >= 0.93 and probes / 300 < 0.8


def test_a_study_names_the_seeds_of_its_runs(tmp_path: Path) -> None:
    store, study = open_store(tmp_path / "evidence.sqlite"), text_study()
    fill_text(study, store)
    named = {"NPO 10": ("NPO", 10, 0), "GradAscent 10": ("NPO", 10, 1), "NPO 2": ("NPO", 2, 0)}
    models = tuple(
        replace(spec, method=named[spec.name][0], step=named[spec.name][1], seed=named[spec.name][2])
        if spec.name in named
        else spec
        for spec in study.models
    )
    seeded = replace(study, models=models)
    board = scoreboard(seeded, store)
    assert over_seeds(study, board).empty
    found = over_seeds(seeded, board, ["forget/probability", "all/model_utility"]).set_index("key")
    assert set(found.index) == {"forget/probability", "all/model_utility"}
    row = found.loc["forget/probability"]
    frame = board.frame[board.frame.key == "forget/probability"].set_index("model")
    assert (row.method, row.step, row.seeds, row.over) == ("NPO", 10, 2, "0, 1")
    assert row.value == pytest.approx(frame.value[["NPO 10", "GradAscent 10"]].mean())
    assert row.low < frame.low[["NPO 10", "GradAscent 10"]].min() and row.low >= 0
    heads = study_board(seeded, board.frame).heads.set_index("model")
    assert heads.line["NPO 10"] == heads.line["NPO 2"] != heads.line["GradAscent 10"]
    store.close()
