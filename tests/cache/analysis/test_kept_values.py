"""Numbers are kept with the version of the definition that gave them: what is new or changed is computed alone."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.shared.settings import PACK
from backends.evidence import ANSWER, TextEvidence
from backends.metrics import (
    DRAFT,
    METRICS,
    ImageMetric,
    Metric,
    Pictures,
    StudyMetric,
    TextMetric,
    protocols,
)
from backends.metrics.least_kept import LEAST_KEPT
from backends.study import Probe, ProbeSet, Study
from backends.study.file import read_study
from cache.analysis import derive, kept_values, set_distances
from cache.analysis.scoreboard import scoreboard
from cache.store import Store, open_store
from cache.store.recorded_pack import import_recorded
from tests.filled_store import fill_images, fill_text, image_study, text_study

Calls = Counter[str]


def put_table(monkeypatch: pytest.MonkeyPatch, table: Mapping[str, Metric]) -> None:
    """Has every module that knows the table of metrics know this one."""
    for module in list(sys.modules.values()):
        if isinstance(getattr(module, "METRICS", None), MappingProxyType):
            monkeypatch.setattr(module, "METRICS", MappingProxyType(dict(table)))


def counted(table: Mapping[str, Metric]) -> tuple[dict[str, Metric], Calls]:
    """The same metrics, which count how often each is asked for a value."""
    calls: Calls = Counter()

    def counting(name: str, value: Callable[..., float]) -> Callable[..., float]:
        def count(*given: Any) -> float:
            calls[name] += 1
            return value(*given)

        return count

    single = {
        name: other(metric, value=counting(name, metric.value))
        for name, metric in table.items()
        if not isinstance(metric, StudyMetric)
    }
    return {**table, **single}, calls


def answer_length(probe: Probe, evidence: TextEvidence) -> float:
    """Tokens of the true answer, counted by their texts."""
    return float(len(evidence.scores[ANSWER].pieces)) if ANSWER in evidence.scores else np.nan


def pictures_made(pictures: Pictures) -> float:
    return float(len(pictures.images))


ADDED_TEXT = TextMetric(replace(METRICS["probability"].card, key="answer_length"), answer_length)
ADDED_IMAGE = ImageMetric(replace(METRICS["reject_rate"].card, key="pictures_made"), pictures_made)


def other(metric: Metric, **changes: Any) -> Metric:
    """The metric with another function or version."""
    return replace(metric, **changes)


def rows(study: Study, store: Store) -> pd.DataFrame:
    frame = scoreboard(study, store).frame
    return frame.sort_values(["model", "key"], ignore_index=True)


def derived(store: Store) -> set[str]:
    """Keys of all derived numbers."""
    return {key for key in store.memo_keys("") if not key.startswith(("newest/", derive.STAMP_PREFIX))}


@pytest.fixture(scope="module")
def shown_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a cache whose scoreboards were shown."""
    store = open_store(tmp_path_factory.mktemp("shown") / "evidence.sqlite")
    fill_text(text_study(), store)
    fill_images(image_study(), store)
    for study in (text_study(), image_study()):
        scoreboard(study, store)
    store.close()
    return store.path.parent


@pytest.fixture
def filled(shown_before: Path, tmp_path: Path) -> Store:
    """The same for one test to write into."""
    shutil.copytree(shown_before, tmp_path, dirs_exist_ok=True)
    return open_store(tmp_path / "evidence.sqlite")


@pytest.mark.parametrize(
    ("study", "added"), [(text_study(), ADDED_TEXT), (image_study(), ADDED_IMAGE)], ids=["text", "image"]
)
def test_a_metric_that_is_added_is_shown_and_no_other_is_computed_again(
    filled: Store, monkeypatch: pytest.MonkeyPatch, study: Study, added: TextMetric | ImageMetric
) -> None:
    before = rows(study, filled)
    table, calls = counted({**METRICS, added.card.key: added})
    put_table(monkeypatch, table)
    after = rows(study, filled)
    assert set(calls) == {added.card.key}
    new = after.metric == added.card.key
    assert set(after[new].model) == {spec.name for spec in study.models}
    assert (after[new].value > 0).all()
    pd.testing.assert_frame_equal(after[~new].reset_index(drop=True), before)
    assert not scoreboard(study, filled).per_probe(study.models[0].name, f"forget/{added.card.key}").empty
    calls.clear()
    pd.testing.assert_frame_equal(rows(study, open_store(filled.path)), after)
    assert not calls, "it is kept like the others"


@pytest.mark.parametrize(
    ("study", "name"), [(text_study(), "rouge_l"), (image_study(), "judge_confidence")], ids=["text", "image"]
)
def test_a_metric_whose_definition_has_another_version_is_computed_again_alone(
    filled: Store, monkeypatch: pytest.MonkeyPatch, study: Study, name: str
) -> None:
    before = rows(study, filled)
    changed = other(METRICS[name], value=lambda *_: 0.25, version=METRICS[name].version + 1)
    table, calls = counted({**METRICS, name: changed})
    put_table(monkeypatch, table)
    after = rows(study, filled)
    assert set(calls) == {name}
    assert (after[after.metric == name].value == 0.25).all()
    made_of_it = ["model_utility", "relative_utility", "overall", "closer_to_retained", *LEAST_KEPT]
    untouched = ~before.metric.isin([name, *made_of_it])
    pd.testing.assert_frame_equal(after[untouched.to_numpy()], before[untouched])
    if name == "rouge_l":  # a part of model utility, which follows
        assert not after[after.metric == "model_utility"].equals(before[before.metric == "model_utility"])


def test_an_older_version_of_the_program_finds_its_own_numbers_again(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = text_study()
    before = rows(study, filled)
    newer = other(METRICS["rouge_l"], value=lambda *_: 0.25, version=2)
    with monkeypatch.context() as patched:
        put_table(patched, {**METRICS, "rouge_l": newer})
        rows(study, filled)
    pd.testing.assert_frame_equal(rows(study, open_store(filled.path)), before)
    series = scoreboard(study, filled).per_probe("NPO 2", "retain/rouge_l")
    assert series.mean() != 0.25


def test_numbers_of_a_draft_follow_every_edit(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    study, keys = text_study(), derived(filled)
    for length in (1.0, 2.0):
        draft = other(ADDED_TEXT, version=DRAFT, value=lambda *_, said=length: said)
        table, calls = counted({**METRICS, "answer_length": draft})
        put_table(monkeypatch, table)
        shown = rows(study, filled)
        assert (shown[shown.metric == "answer_length"].value == length).all()
        assert set(calls) == {"answer_length"} and derived(filled) == keys


def test_a_metric_that_is_removed_disappears_and_nothing_is_computed(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for study, name in (
        (text_study(), "rouge_1"),
        (text_study(), "mia_zlib"),
        (image_study(), "reject_rate"),
    ):
        with monkeypatch.context() as patched:
            table, calls = counted({key: metric for key, metric in METRICS.items() if key != name})
            put_table(patched, table)
            after = rows(study, filled)
            assert name not in set(after.metric) and not calls


def test_scores_of_one_attack_are_computed_again_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = text_study().probe_sets
    study = replace(text_study(), probe_sets=(sets[0], as_holdout(sets[2])))
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(study, store)
    before = rows(study, store)
    calls: Calls = Counter()

    def attacks(_protocol: str) -> dict[str, Callable[..., float]]:
        def score(attack: str) -> Callable[..., float]:
            def reversed_score(scores: Any, answer: str) -> float:
                calls[attack] += 1
                return -own[attack](scores, answer)

            return reversed_score

        own = protocols.attacks_of("corrected")
        return {attack: score(attack) for attack in own}

    monkeypatch.setattr(derive, "attacks_of", attacks)
    put_table(monkeypatch, {**METRICS, "mia_zlib": replace(METRICS["mia_zlib"], version=2)})
    after = rows(study, store)
    assert set(calls) == {"mia_zlib"}
    zlib = before[before.key == "forget/mia_zlib"].set_index("model").value
    assert after[after.key == "forget/mia_zlib"].set_index("model").value.to_dict() == pytest.approx(
        (1 - zlib).to_dict()
    )
    loss = [each[each.key == "forget/mia_loss"].reset_index(drop=True) for each in (after, before)]
    pd.testing.assert_frame_equal(*loss)


def as_holdout(probes: ProbeSet) -> ProbeSet:
    held = tuple(replace(probe, role="holdout") for probe in probes.probes)
    return replace(probes, role="holdout", probes=held)


def test_a_distance_between_sets_of_pictures_is_computed_again_alone(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(image_study(), filled)
    assert {"fid", "kid"} <= set(before.metric)
    table, calls = counted({**METRICS, "fid": replace(METRICS["fid"], version=2)})
    put_table(monkeypatch, table)
    monkeypatch.setattr(set_distances, "frechet_distance", lambda *_: 7.0)
    monkeypatch.setattr(set_distances, "drawn_kernel_distance", lambda *_: pytest.fail("KID is kept"))
    after = rows(image_study(), filled)
    fid = (before.metric == "fid").to_numpy()
    assert not calls and (after[fid].value == 7.0).all()
    pd.testing.assert_frame_equal(after[~fid], before[~fid])


def test_values_of_every_metric_are_computed_again_where_evidence_becomes_values_otherwise(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(text_study(), filled)
    table, calls = counted(METRICS)
    put_table(monkeypatch, table)
    monkeypatch.setattr(kept_values, "VALUES_VERSION", 2)
    pd.testing.assert_frame_equal(rows(text_study(), filled), before)
    assert {"rouge_l", "probability", "fluency"} <= set(calls)


def test_rows_are_made_again_of_kept_values_where_values_become_rows_otherwise(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(text_study(), filled)
    table, calls = counted(METRICS)
    put_table(monkeypatch, table)
    monkeypatch.setattr(kept_values, "ROWS_VERSION", kept_values.ROWS_VERSION + 1)
    monkeypatch.setattr(
        "cache.analysis.study_rows.interval_of", lambda drawn: np.full((2, *np.shape(drawn)[1:]), 0.5)
    )
    after = rows(text_study(), filled)
    assert not calls
    own = (after.key == "forget/rouge_l").to_numpy()
    assert (after[own].low == 0.5).all() and after.value.equals(before.value)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's cache, recorded while one version stood for all definitions together."""
    store = open_store(tmp_path_factory.mktemp("demo") / "evidence.sqlite")
    import_recorded(PACK, store)
    store.close()
    return store.path


@pytest.mark.parametrize("modality", ["text", "image"])
def test_numbers_that_were_kept_under_one_version_are_taken_as_they_are(
    demo: Path, monkeypatch: pytest.MonkeyPatch, modality: str
) -> None:
    study, store = read_study(PACK / modality / "study.toml"), open_store(demo)
    keys = derived(store)
    table, calls = counted(METRICS)
    put_table(monkeypatch, table)
    recorded = rows(study, store)
    assert not calls and derived(store) == keys, "scoreboard and values lie in the pack"
    added = ADDED_TEXT if modality == "text" else ADDED_IMAGE
    table, calls = counted({**METRICS, added.card.key: added})
    put_table(monkeypatch, table)
    monkeypatch.setattr(set_distances, "drawn_kernel_distance", lambda *_: pytest.fail("KID is kept"))
    after = rows(study, store)
    new = after.metric == added.card.key
    assert new.any() and set(calls) == {added.card.key}
    pd.testing.assert_frame_equal(after[~new].reset_index(drop=True), recorded, rtol=1e-9)


@pytest.mark.parametrize("modality", ["text", "image"])
def test_kept_numbers_are_those_that_are_computed_anew(demo: Path, tmp_path: Path, modality: str) -> None:
    study = read_study(PACK / modality / "study.toml")
    few = replace(study, models=study.models[:4])
    kept = rows(few, open_store(demo))
    bare = tmp_path / "evidence.sqlite"
    shutil.copytree(demo.parent, tmp_path, dirs_exist_ok=True)
    connection = sqlite3.connect(bare)
    with connection:
        connection.execute("DELETE FROM memos")
    connection.close()
    pd.testing.assert_frame_equal(rows(few, open_store(bare)), kept, rtol=1e-6)
