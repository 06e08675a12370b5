"""Models of one weight file that draw otherwise: evidence of their own, found again, never taken for the original's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from app.cli.main import run
from app.pages.compare.comparison import image_columns
from app.pages.compare.pictures import board
from backends.checkpoints.identity import fingerprint
from backends.pool import ModelPool
from backends.study import ModelSpec, Probe, ProbeSet, Sampling, Study
from backends.study.inference import Inference
from cache.evaluate.compare import compare_images
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.store import Store, open_store
from cache.store.reading import images_for
from tests.tiny_image import write_tiny_pipeline

pytestmark = [  # of diffusers' own code
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]
PROBE = Probe("n", "forget", "a neon cat")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    folder = str(write_tiny_pipeline(tmp_path / "model"))
    ways = {
        "Negative": Inference(negative_prompt="neon"),
        "SLD": Inference(sld="max", concept="neon"),
        "SAFREE": Inference(safree=("neon",)),
    }
    models = [ModelSpec(name, "unlearned", folder, inference=way) for name, way in ways.items()]
    return Study(
        "Tiny",
        "image",
        (ModelSpec("Original", "original", folder), *models),
        (ProbeSet("forget", "forget", (PROBE,)),),
        sampling=Sampling(steps=2, guidance=3.0, seeds=(1, 2)),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "cache" / "evidence.sqlite")


def pictures(study: Study, store: Store, model: str, sampling: Sampling | None = None) -> list[str]:
    found = images_for(study, store, model, [PROBE], sampling)
    return [each.image for each in found.get(PROBE.id, {}).values()]


def test_each_way_has_evidence_of_its_own_and_is_drawn_once(study: Study, store: Store) -> None:
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")))
    found = {spec.name: pictures(study, store, spec.name) for spec in study.models}
    assert all(len(images) == 2 for images in found.values())
    assert len({image for images in found.values() for image in images}) == 8
    assert len({fingerprint(spec) for spec in study.models}) == 4
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")))
    assert {spec.name: pictures(study, store, spec.name) for spec in study.models} == found
    notes = [note for each in store.runs(study.name) for note in each.notes]
    assert not any("nothing was unlearned" in note for note in notes)


def test_pictures_with_a_negative_prompt_or_another_scheduler_are_not_found_without_it(
    study: Study, store: Store
) -> None:
    others = [
        replace(study.sampling, negative_prompt="flat"),
        replace(study.sampling, scheduler="Euler"),
        replace(study.sampling, size=(36, 24)),
    ]
    for sampling in others:
        compare_images(EvaluationContext.of(study, store, ModelPool("cpu")), ["Original"], PROBE, sampling)
        assert len(pictures(study, store, "Original", sampling)) == 2
    assert pictures(study, store, "Original") == []
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")), ["Original"])
    every = [pictures(study, store, "Original", sampling) for sampling in (None, *others)]
    assert len({image for images in every for image in images}) == 8
    with Image.open(store.image_path(every[3][0])) as wide:
        assert wide.size == (36, 24)
    with (
        Image.open(store.image_path(every[1][0])) as negative,
        Image.open(store.image_path(every[0][0])) as plain,
    ):
        assert negative.info["negative_prompt"] == "flat" and "negative_prompt" not in plain.info


def test_compare_says_how_a_model_draws(study: Study, store: Store) -> None:
    compare_images(
        EvaluationContext.of(study, store, ModelPool("cpu")), ["Original", "SLD"], PROBE, study.sampling
    )
    columns = image_columns(study, store, PROBE, ["Original", "SLD"], study.sampling)
    drawn = board(study, store, PROBE, columns, (1, 2), "grid", {}, dark=False)
    assert drawn["columns"][1]["detail"] == 'Unlearned · SLD max away from "neon"'
    assert all(cell["src"] for column in drawn["columns"] for cell in column["cells"])


def test_a_negative_prompt_without_guidance_is_noted_with_the_run(study: Study, store: Store) -> None:
    plain = replace(study, sampling=replace(study.sampling, guidance=1.0))
    evaluate(EvaluationContext.of(plain, store, ModelPool("cpu")), ["Negative"])
    (run_,) = store.runs(study.name)
    assert [note for note in run_.notes if "has no effect" in note]


def test_models_lists_each_way_of_drawing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_pipeline(tmp_path / "model")
    (tmp_path / "p.jsonl").write_text('{"prompt": "a neon cat"}\n')
    (tmp_path / "study.toml").write_text(
        'name = "Tiny"\nmodality = "image"\n[sampling]\nsteps = 2\n'
        '[[models]]\nname = "Original"\npart = "original"\nsource = "model"\n'
        '[[models]]\nname = "Negative"\npart = "unlearned"\nsource = "model"\n'
        'inference = { negative_prompt = "neon" }\n[[probes]]\nfile = "p.jsonl"\nrole = "forget"\n'
    )
    assert run(["models", str(tmp_path / "study.toml"), "--cache", str(tmp_path / "cache")]) == 0
    said = capsys.readouterr().out
    assert "same weights, other sampling" in said
    assert 'same weights as the original; negative prompt "neon"' in said
