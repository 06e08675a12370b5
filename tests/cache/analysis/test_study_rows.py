"""Drawn values: means with subjects together, matches of equal models, harmonic means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.shared.settings import PACK
from backends.metrics.retained_privacy import privacy_match
from backends.metrics.study_level import harmonic_mean
from backends.study import Probe, ProbeSet, Role
from backends.study.file import read_study
from cache.analysis.probe_draws import bounds_of, role_seed, subject_groups
from cache.analysis.resampling import interval_of
from cache.analysis.scoreboard import scoreboard
from cache.analysis.study_rows import drawn_harmonic_mean, drawn_match, mean_replicates, mean_rows
from cache.store import open_store
from cache.store.recorded_pack import import_recorded
from tests.filled_store import text_study

RANDOM = np.random.default_rng(0)


def probes(role: Role, subjects: list[str]) -> ProbeSet:
    held = tuple(Probe(f"{role}{place}", role, "?", subject=name) for place, name in enumerate(subjects))
    return replace(text_study().probe_sets[0], role=role, probes=held)


def test_probes_of_one_subject_are_a_group_and_those_without_are_alone() -> None:
    sets = (
        probes("forget", ["a", "b", "a", "", ""]),
        probes("retain", ["a", "b"]),
        probes("holdout", ["", ""]),
    )
    groups = subject_groups(replace(text_study(), probe_sets=sets))
    assert groups == {"forget": (0, 1, 0, 2, 3), "retain": (), "holdout": ()}


def test_bounds_are_those_that_values_come_near() -> None:
    assert bounds_of("forget/probability") == bounds_of("utility/rouge_l@world facts") == (0.0, 1.0)
    assert bounds_of("loss") == bounds_of("retain/loss") == (0.0, None)
    assert bounds_of("retain/clip_score") == (0.0, None)
    assert bounds_of("retain/of another tool") == (-np.inf, None)


def test_roles_are_drawn_apart() -> None:
    roles = ("forget", "holdout", "neighbour", "retain", "utility", "mine")
    assert len({role_seed(role) for role in roles}) == len(roles)


def test_rows_of_a_role_are_what_each_of_its_metrics_has_alone() -> None:
    values = {
        "forget/probability": RANDOM.beta(1, 5, 12),
        "forget/loss": RANDOM.exponential(1, 12),
        "forget/key_fact": np.append(np.zeros(11), np.nan),
        "retain/probability": RANDOM.beta(5, 1, 8),
    }
    groups = {"forget": tuple(place // 2 for place in range(12))}
    rows = list(mean_rows(values, groups))
    assert [row[2] for row in rows] == list(values)
    for metric, role, key, value, low, high, n in rows:
        drawn = mean_replicates(values[str(key)], str(role), bounds_of(str(key)), groups)
        assert value == drawn[0] and (low, high) == pytest.approx(tuple(map(float, interval_of(drawn))))
        assert key == f"{role}/{metric}" and n == np.sum(~np.isnan(values[str(key)]))


def test_a_metric_that_one_model_has_on_fewer_probes_is_still_paired() -> None:
    whole = RANDOM.beta(2, 2, 40)
    part = np.where(np.arange(40) < 36, whole, np.nan)
    ours, theirs = (mean_replicates(each, "forget", (0.0, 1.0), {}) for each in (whole, part))
    assert np.corrcoef(ours[1:], theirs[1:])[0, 1] > 0.8


def test_equal_models_match_and_unlike_ones_do_not() -> None:
    retained = np.append(0.5, RANDOM.normal(0.5, 0.02, 1000))
    like = retained + np.append(0.03, RANDOM.normal(0.03, 0.03, 1000))  # chance alone
    low, high = interval_of(drawn_match(like, retained))
    assert low < 0.9 and high == 1.0
    far = retained + np.append(0.2, RANDOM.normal(0.2, 0.03, 1000))
    low, high = interval_of(drawn_match(far, retained))
    assert high < 0.9 and drawn_match(far, retained)[0] == privacy_match(far, retained)[0]
    assert (drawn_match(retained, retained) == 1).all()
    assert np.isnan(drawn_match(np.full(5, np.nan), retained[:5])).all()


def test_a_harmonic_mean_is_drawn_about_its_value() -> None:
    parts = np.stack(
        [np.append(mean, np.clip(RANDOM.normal(mean, 0.08, 4000), 0.01, 1)) for mean in (0.2, 0.5, 0.9)]
    )
    drawn = drawn_harmonic_mean(parts)
    assert drawn[0] == harmonic_mean(parts[:, 0])
    assert drawn[1:].mean() == pytest.approx(drawn[0], abs=0.005)
    assert harmonic_mean(parts)[1:].mean() < drawn[0] - 0.01
    assert (drawn[1:] <= parts[:, 1:].max(axis=0)).all()
    assert np.isnan(drawn_harmonic_mean(np.full((2, 5), np.nan))).all()


def test_least_kept_names_the_worst_of_utility_retain_and_neighbour(tmp_path: Path) -> None:
    """On the demo: what WGA 30 lost of its neighbours shows, however good its utility is."""
    store = open_store(tmp_path / "evidence.sqlite")
    import_recorded(PACK, store)
    study = read_study(PACK / "text" / "study.toml")
    frame = scoreboard(study, store).frame
    rows = frame.set_index(["model", "key"])["value"]
    for name in ("WGA 30", "NPO 45", "GradAscent 10"):
        shares = [
            rows[name, key] / rows["Retained", key]
            for key in ("all/model_utility", "retain/key_fact", "neighbour/key_fact")
        ]
        assert rows[name, "all/least_kept"] == pytest.approx(min(shares))
    retained = frame[(frame["key"] == "all/least_kept") & (frame["model"] == "Retained")].iloc[0]
    assert retained["value"] == retained["low"] == retained["high"] == 1, "held against itself: exact"
    without = replace(study, models=tuple(m for m in study.models if m.part != "retained"))
    alone = scoreboard(without, store).frame.set_index(["model", "key"])["value"]
    assert alone["WGA 30", "all/least_kept"] == pytest.approx(
        rows["WGA 30", "neighbour/key_fact"] / rows["Original", "neighbour/key_fact"]
    )
