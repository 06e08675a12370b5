"""The scoreboard's numbers are the metrics of the evidence, come back from the store, and follow the evidence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from backends.metrics import METRICS
from backends.metrics.intervals import UNBOUNDED_MEAN, interval_method
from backends.metrics.memorisation import probability
from backends.metrics.study_level import forget_quality, harmonic_mean
from backends.metrics.truth_ratio import log_ratio_of
from backends.study import Probe, ProbeSet, Role, Study
from cache.analysis import derive
from cache.analysis.scoreboard import (
    COLUMNS,
    FORGET_QUALITY,
    MODEL_UTILITY,
    evidence_for,
    images_for,
    scoreboard,
)
from cache.store import Store, open_store
from cache.store.keys import scores_context
from cache.store.reading import identity_to_read
from tests.filled_store import fill_images, fill_text, image_study, text_study

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(tmp_path_factory.mktemp("filled") / "evidence.sqlite")
    fill_text(text_study(), store)
    fill_images(image_study(), store)
    return store


def value(study: Study, store: Store, model: str, key: str) -> float:
    frame = scoreboard(study, store).frame
    return float(frame[(frame.model == model) & (frame.key == key)].value.item())


def test_a_value_is_the_mean_of_the_metric_over_the_probes(filled: Store) -> None:
    study = text_study()
    probes = study.probe_sets[0].probes
    found = evidence_for(study, filled, "NPO 4", probes)
    by_hand = [probability(found[probe.id].scores["answer"].logprobs) for probe in probes]
    assert value(study, filled, "NPO 4", "forget/probability") == pytest.approx(np.mean(by_hand), abs=1e-9)
    series = scoreboard(study, filled).per_probe("NPO 4", "forget/probability")
    assert series.to_dict() == pytest.approx({p.id: v for p, v in zip(probes, by_hand, strict=True)})


def test_every_row_has_an_interval_around_its_value(filled: Store) -> None:
    for study in (text_study(), image_study()):
        frame = scoreboard(study, filled).frame
        assert tuple(frame.columns) == COLUMNS
        known = frame[frame.low.notna()]
        assert ((known.low <= known.value) & (known.value <= known.high)).all()
        unknown = frame[frame.low.isna()]
        assert unknown.high.isna().all() and len(known) > len(unknown)
        for metric in set(unknown.metric):
            method = interval_method(METRICS[metric].card)
            assert method.name == "None" or method is UNBOUNDED_MEAN, metric
        same = frame[frame.low == frame.high]
        models = {study.original.name, study.retained.name if study.retained else ""}
        assert set(same.model) <= models, "a model against itself is exact; nothing else is"
        assert set(frame.model) == {model.name for model in study.models}
        assert set(frame.metric) <= set(METRICS)
        assert (frame.key == frame.role + "/" + frame.metric).all()
        assert not frame.duplicated(["model", "key"]).any()


def test_utility_and_forget_quality_are_made_of_the_others(filled: Store) -> None:
    study = text_study()
    board = scoreboard(study, filled)
    frame = board.frame.set_index(["model", "key"]).value
    parts = [frame["IdkDPO 6", part] for part in board.utility_parts]
    assert len(parts) == 6
    assert frame["IdkDPO 6", MODEL_UTILITY] == pytest.approx(float(harmonic_mean(parts)))
    probes = study.probe_sets[0].probes
    ratios = {
        model: np.array([log_ratio_of(e) for e in evidence_for(study, filled, model, probes).values()])
        for model in ("IdkDPO 6", "Retained")
    }
    expected = forget_quality(ratios["IdkDPO 6"], ratios["Retained"])
    assert frame["IdkDPO 6", FORGET_QUALITY] == pytest.approx(expected)
    assert frame["Retained", FORGET_QUALITY] == 1.0


def test_utility_does_not_change_its_meaning_while_models_are_being_evaluated(
    filled: Store, tmp_path: Path
) -> None:
    study = text_study()
    fill_text(
        replace(study, models=tuple(m for m in study.models if m.name == "NPO 4")), store := new(tmp_path)
    )
    assert scoreboard(study, store).utility_parts == scoreboard(study, filled).utility_parts
    assert value(study, store, "NPO 4", MODEL_UTILITY) == value(study, filled, "NPO 4", MODEL_UTILITY)


def new(folder: Path) -> Store:
    return open_store(folder / "evidence.sqlite")


def test_membership_is_forget_against_holdout_measured_by_the_retained_model(filled: Store) -> None:
    # Two roles on which the filled models are equally good, so that no area is exactly 0 or 1.
    _, neighbour, retain, *_ = text_study().probe_sets
    forget, holdout = given_role(neighbour, "forget"), given_role(retain, "holdout")
    study = replace(text_study(), probe_sets=(forget, holdout))
    frame = scoreboard(study, filled).frame.set_index(["model", "key"]).value
    auc = {}
    for model in ("NPO 2", "Retained"):
        losses = [
            np.array([-e.scores["answer"].logprobs.mean() for e in evidence.values()])
            for evidence in (evidence_for(study, filled, model, each.probes) for each in (forget, holdout))
        ]
        auc[model] = roc_auc(*losses)
        assert frame[model, "forget/mia_loss"] == pytest.approx(auc[model])
    attacks = ("mia_loss", "mia_zlib", "mia_min_k", "mia_min_k_plus_plus")
    for model in (spec.name for spec in study.models):
        matches = [
            max(0.0, 1 - abs(frame[model, f"forget/{a}"] / frame["Retained", f"forget/{a}"] - 1))
            for a in attacks
        ]
        assert frame[model, "forget/privacy"] == pytest.approx(float(harmonic_mean(matches)))
    assert frame["Retained", "forget/privacy"] == 1.0 > frame["Original", "forget/privacy"]
    assert "forget/mia_loss" not in set(scoreboard(text_study(), filled).frame.key)


def given_role(probes: ProbeSet, role: Role) -> ProbeSet:
    return replace(probes, role=role, probes=tuple(replace(probe, role=role) for probe in probes.probes))


def roc_auc(forget: NDArray[np.float64], holdout: NDArray[np.float64]) -> float:
    return float(mannwhitneyu(holdout, forget).statistic) / (len(forget) * len(holdout))


def test_numbers_stand_on_as_many_probes_as_they_have_or_on_the_subjects_that_share_them(
    filled: Store,
) -> None:
    study, key = text_study(), "forget/probability"

    def with_subjects(subject: Callable[[int], str]) -> Study:
        sets = [
            replace(
                each, probes=tuple(replace(probe, subject=subject(n)) for n, probe in enumerate(each.probes))
            )
            for each in study.probe_sets
        ]
        return replace(study, probe_sets=tuple(sets))

    alone, paired = with_subjects(lambda _: ""), with_subjects(lambda n: f"subject {n // 2}")
    n = len(study.probe_sets[0].probes)
    assert scoreboard(alone, filled).units(["NPO 4", "none"], key).tolist() == pytest.approx(
        [n, np.nan], nan_ok=True
    )
    assert scoreboard(paired, filled).units(["NPO 4"], key).tolist() == [-(-n // 2)]


def test_most_changed_is_sorted_by_the_size_of_the_change(filled: Store) -> None:
    changed = scoreboard(text_study(), filled).most_changed("GradAscent 10", "forget/probability", 4)
    assert list(changed.columns) == ["probe", "prompt", "original", "value", "change"]
    assert len(changed) == 4
    assert (changed.change == changed.value - changed.original).all()
    assert changed.change.abs().is_monotonic_decreasing
    assert changed.prompt[0] in {probe.prompt for probe in text_study().probe_sets[0].probes}
    assert scoreboard(text_study(), filled).most_changed("GradAscent 10", MODEL_UTILITY, 4).empty


def test_numbers_are_kept_and_the_same_when_read_again(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scoreboard(text_study(), filled)
    monkeypatch.setattr(derive, "_text_values", lambda *_: pytest.fail("kept numbers were computed again"))
    again = scoreboard(text_study(), open_store(filled.path))
    assert again.frame.equals(first.frame) and again.utility_parts == first.utility_parts
    assert again.per_probe("NPO 2", "retain/rouge_l").equals(first.per_probe("NPO 2", "retain/rouge_l"))


def test_numbers_follow_new_evidence_and_ignore_other_prompts(tmp_path: Path) -> None:
    study, store = text_study(), open_store(tmp_path / "evidence.sqlite")
    fill_text(study, store)
    probe, other = study.probe_sets[0].probes[:2]
    before = value(study, store, "NPO 2", "forget/probability")
    found = evidence_for(study, store, "NPO 2", [other])[other.id]
    known = identity_to_read(study.model("NPO 2"))
    context = scores_context(known.fingerprint, known.tokenizer, "float32").key
    store.put_text(context, [(Probe("mine", "mine", "unrelated").digest(), found)])
    assert value(study, store, "NPO 2", "forget/probability") == before
    store.put_text(context, [(probe.digest(), found)])
    assert value(study, store, "NPO 2", "forget/probability") != before


def test_two_arithmetics_never_share_a_scoreboard(tmp_path: Path) -> None:
    study, store = text_study(), open_store(tmp_path / "evidence.sqlite")
    fill_text(study, store)
    before = scoreboard(study, store)
    assert before.numerics == "float32"
    probe = study.probe_sets[0].probes[0]
    fresh = replace(study.probe_sets[0].probes[0], prompt="Only in the other arithmetic?")
    known = identity_to_read(study.original)
    found = evidence_for(study, store, "Original", [probe])[probe.id]
    context = store.register(scores_context(known.fingerprint, known.tokenizer, "bfloat16-cuda"))
    store.put_text(context, [(probe.digest(), found), (fresh.digest(), found)])
    assert scoreboard(study, store).frame.equals(before.frame)
    assert list(evidence_for(study, store, "Original", [fresh])) == [fresh.id], (
        "one example may be read from either"
    )
    assert evidence_for(study, store, "Original", [fresh], numerics="float32") == {}


def test_a_study_without_evidence_has_an_empty_scoreboard(tmp_path: Path) -> None:
    board = scoreboard(text_study(), open_store(tmp_path / "evidence.sqlite"))
    assert board.frame.empty and tuple(board.frame.columns) == COLUMNS
    assert board.per_probe("NPO 2", "forget/probability").empty
    assert board.most_changed("NPO 2", "forget/probability").empty


def test_images_come_by_probe_and_seed(filled: Store) -> None:
    study = image_study()
    probes = study.probe_sets[0].probes
    found = images_for(study, filled, "ESD 20", probes)
    assert list(found) == [probe.id for probe in probes]
    assert all(list(seeds) == [1, 2] for seeds in found.values())
    assert filled.image_path(found[probes[0].id][1].image).is_file()


READ = """
import sys
from pathlib import Path
from cache.analysis.scoreboard import evidence_for, images_for, scoreboard
from cache.evaluate.evaluation import evaluate, plan
from cache.store import Store, open_store
from tests.filled_store import image_study, text_study
import backends.metrics
study, store = text_study(), open_store(Path(sys.argv[1]))
assert not scoreboard(study, store).frame.empty
assert evidence_for(study, store, "Original", study.probe_sets[0].probes)
assert images_for(image_study(), store, "Original", image_study().probe_sets[0].probes)
assert plan(study, store, "float32").missing == 0
heavy = {"torch", "transformers", "diffusers", "peft", "streamlit"} & set(sys.modules)
assert not heavy, heavy
"""


def test_reading_imports_neither_torch_nor_any_model_library(filled: Store) -> None:
    scoreboard(text_study(), filled)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(filled.path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_computing_metrics_imports_no_model_library_either(tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(text_study(), store)
    fill_images(image_study(), store)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(store.path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
