"""Networks look at stored pictures once; their metrics then need neither the network nor another drawing."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.linalg import sqrtm
from sqlalchemy import update
from torch.nn.functional import interpolate

from app.pages.runs.evaluation_status import to_do
from backends.errors import Cancelled, CheckpointError, StudyError
from backends.evidence import FloatArray
from backends.image.networks.clip import load_clip
from backends.pool import ModelPool
from backends.study import Features, JudgeSpec, ModelSpec, Probe, ProbeSet, Sampling, Study
from backends.study.file import read_study
from backends.study.writing import write_study
from cache.analysis.noise import noise_band
from cache.analysis.scoreboard import images_for, scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import Progress, evaluate, plan
from cache.store import Store, open_store, schema
from cache.store.features import features_of, networks_of, stamp
from cache.store.merge import merge
from tests.cache.evaluate.test_image_evaluation import PaintingPool
from tests.tiny_image import write_tiny_clip

NETWORK_METRICS = {"clip_score", "fid_clip", "kid_clip", "fid_inception", "kid_inception", "lpips"}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two models of a few bytes, two judges' worth of prompts, and a tiny CLIP."""
    models = []
    for name in ("Original", "ESD"):
        folder = tmp_path / name
        (folder / "unet").mkdir(parents=True)
        weights = {"w": torch.full((2,), float(len(name)))}
        save_file(weights, folder / "unet" / "diffusion_pytorch_model.safetensors")
        (folder / "model_index.json").write_text("{}")
        models.append(ModelSpec(name, "original" if name == "Original" else "unlearned", str(folder)))
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "weights").write_text("1")
    prompts = [f"a {word} in neon style" for word in ("cat", "tree", "big red fox", "mountain")]
    probes = [
        Probe(f"p{n}", "retain", prompt, concepts={"style": "neon"}) for n, prompt in enumerate(prompts)
    ]
    return Study(
        name="Squares",
        modality="image",
        models=tuple(models),
        probe_sets=(ProbeSet("retain", "retain", tuple(probes)),),
        sampling=Sampling(steps=1, seeds=(1, 2, 3)),
        judges=(JudgeSpec("style", str(tmp_path / "judge")),),
        forget_concepts={"style": "neon"},
        features=Features(clip=str(write_tiny_clip(tmp_path / "tiny-clip"))),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "cache" / "evidence.sqlite")


@pytest.fixture
def lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is called as lpips is."""

    class Distance(torch.nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return (left - right).abs().mean((1, 2, 3), keepdim=True)

    package = ModuleType("lpips")
    package.LPIPS = Distance  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", package)


def values(study: Study, store: Store) -> dict[tuple[str, str], float]:
    frame = scoreboard(study, store).frame
    return dict(zip(zip(frame.model, frame.metric, strict=True), frame.value, strict=True))


def embedded(study: Study, store: Store, model: str) -> tuple[FloatArray, FloatArray]:
    """Image and text embeddings of all pictures of a model, straight from the files and the CLIP folder."""
    clip = load_clip(study.features.clip, "cpu")
    probes = study.probe_sets[0].probes
    found = images_for(study, store, model, probes)
    pictures = [
        np.asarray(Image.open(store.image_path(found[probe.id][seed].image)).convert("RGB"))
        for probe in probes
        for seed in study.sampling.seeds
    ]
    texts = clip.texts([probe.prompt for probe in probes for _ in study.sampling.seeds])
    return clip.images(pictures), texts


def test_clip_score_and_its_distances_are_those_of_the_embeddings(study: Study, store: Store) -> None:
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    found = values(study, store)
    ours, texts = embedded(study, store, "ESD")
    theirs, _ = embedded(study, store, "Original")
    cosines = [
        float(np.dot(a, b) / math.sqrt(np.dot(a, a) * np.dot(b, b))) for a, b in zip(ours, texts, strict=True)
    ]
    assert found["ESD", "clip_score"] == pytest.approx(
        np.mean([100 * max(each, 0) for each in cosines]), rel=1e-4
    )
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = apart + np.trace(s1 + s2 - 2 * np.real(sqrtm(s1 @ s2)))
    assert found["ESD", "fid_clip"] == pytest.approx(expected, rel=1e-3)
    assert found["Original", "fid_clip"] == pytest.approx(0, abs=1e-9)
    assert found["Original", "kid_clip"] == 0.0
    frame = scoreboard(study, store).frame
    assert set(frame[frame.metric == "fid_clip"].n) == {12}
    assert {"fid", "kid"} <= set(frame.metric)  # the judges' features keep their own


def test_without_a_named_network_its_metrics_are_undefined(study: Study, store: Store) -> None:
    bare = replace(study, features=Features())
    evaluate(EvaluationContext.of(bare, store, PaintingPool()))
    assert not NETWORK_METRICS & set(scoreboard(bare, store).frame.metric)
    assert stamp(bare, store) == ""


def test_pictures_are_looked_at_once_and_never_drawn_again(study: Study, store: Store) -> None:
    bare = replace(study, features=Features())
    evaluate(EvaluationContext.of(bare, store, PaintingPool()))
    assert "clip_score" not in set(scoreboard(bare, store).frame.metric)
    known = plan(study, store, "float32")
    assert {item.probe_set: item.missing for item in known.of("ESD")} == {
        "retain": 0,
        "clip features": 16,  # 12 pictures and 4 prompts
    }
    assert to_do(known) == ["Original", "ESD"]
    pool = PaintingPool()
    evaluate(EvaluationContext.of(study, store, pool))
    assert pool.painter.asked == []
    assert ("ESD", "clip_score") in values(study, store)
    assert plan(study, store, "float32").missing == 0

    class Blind(PaintingPool):
        def clip(self, source: str) -> object:  # type: ignore[override]
            raise AssertionError("it looked again")

    evaluate(EvaluationContext.of(study, store, Blind()))


def test_metrics_are_shown_where_the_network_is_gone(study: Study, store: Store) -> None:
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    before = values(study, store)
    digest = networks_of(study, store)[0].digest
    shutil.rmtree(study.features.clip)
    assert values(study, store) == before
    assert networks_of(study, store)[0].digest == digest
    evaluate(EvaluationContext.of(study, store, PaintingPool()))  # nothing is missing, so nothing is needed
    elsewhere = open_store(store.path.parent.parent / "other" / "evidence.sqlite")
    merge(elsewhere, store)
    taken = values(study, elsewhere)
    assert taken == {key: value for key, value in before.items() if key in taken}
    assert {metric for _, metric in taken} >= {"clip_score", "fid_clip", "kid_clip"}


def test_another_clip_has_vectors_of_its_own(study: Study, store: Store, tmp_path: Path) -> None:
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    first = values(study, store)["ESD", "clip_score"]
    other = replace(study, features=Features(clip=str(write_tiny_clip(tmp_path / "second", seed=1))))
    assert ("ESD", "clip_score") not in values(other, store)
    pool = PaintingPool()
    evaluate(EvaluationContext.of(other, store, pool))
    assert pool.painter.asked == []
    assert values(other, store)["ESD", "clip_score"] != pytest.approx(first, rel=1e-3)
    assert values(study, store)["ESD", "clip_score"] == first


def enlarged(store: Store, image: str) -> torch.Tensor:
    """A picture of 8 pixels as LPIPS is given it, of 64."""
    pixels = np.asarray(Image.open(store.image_path(image)).convert("RGB"), np.float32)
    return interpolate(torch.from_numpy(pixels).permute(2, 0, 1)[None], (64, 64), mode="bilinear")


def test_lpips_is_between_pictures_of_one_noise(study: Study, store: Store, lpips: None) -> None:
    named = replace(study, features=Features(lpips="alex"))
    evaluate(EvaluationContext.of(named, store, PaintingPool()))
    found = values(named, store)
    assert found["Original", "lpips"] == 0.0
    pairs = []
    probes = named.probe_sets[0].probes
    ours = images_for(named, store, "ESD", probes)
    theirs = images_for(named, store, "Original", probes)
    for probe in probes:
        for seed in named.sampling.seeds:
            left, right = (enlarged(store, of[probe.id][seed].image) for of in (ours, theirs))
            pairs.append(float((left - right).abs().mean()) / 127.5)
    assert found["ESD", "lpips"] == pytest.approx(np.mean(pairs), rel=1e-5)


def test_a_network_that_cannot_be_used_is_told_before_anything_is_drawn(
    study: Study, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    pool = PaintingPool()
    with pytest.raises(CheckpointError, match=r"pip install 'unlearnboard\[lpips\]'"):
        evaluate(EvaluationContext.of(replace(study, features=Features(lpips="alex")), store, pool))
    with pytest.raises(CheckpointError, match="no such folder"):
        evaluate(EvaluationContext.of(replace(study, features=Features(clip="/nowhere/clip")), store, pool))
    assert pool.painter.asked == []


def test_a_stop_keeps_what_was_looked_at(study: Study, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cache.evaluate.gather_features.CELL", 5)
    said: list[Progress] = []
    with pytest.raises(Cancelled):
        evaluate(
            EvaluationContext.of(
                study,
                store,
                PaintingPool(),
                lambda: bool(said) and said[-1].probe_set == "clip features" and said[-1].done >= 10,
            ),
            on_progress=said.append,
        )
    assert (said[-1].model, said[-1].done, said[-1].total) == ("Original", 10, 16)
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    assert plan(study, store, "float32").missing == 0


def test_a_damaged_vector_is_made_again(study: Study, store: Store) -> None:
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    before = values(study, store)
    with store.writing() as connection:
        connection.execute(update(schema.features).values(vector=b"\0" * 32))
    probes = study.probe_sets[0].probes
    found = images_for(study, store, "ESD", probes)
    assert features_of(study, store, probes, found, found) == {}
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    assert values(study, store) == before


def test_seeds_of_the_original_give_a_band_of_noise(study: Study, store: Store) -> None:
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    board = scoreboard(study, store)
    assert noise_band(study, store, "retain/clip_score", board.numerics) is not None


def test_a_cache_from_before_features_is_completed(study: Study, store: Store) -> None:
    with store.writing() as connection:
        for table in ("features", "networks"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("PRAGMA user_version=1")
    store.close()
    evaluate(EvaluationContext.of(study, open_store(store.path), PaintingPool()))


def image_study(folder: Path, features: Sequence[str]) -> Path:
    (folder / "probes.csv").write_text("prompt\na cat\n")
    lines = [
        'name = "S"',
        'modality = "image"',
        "[[models]]",
        'name = "O"',
        'part = "original"',
        'source = "o"',
    ]
    lines += ["[[probes]]", 'file = "probes.csv"', 'role = "retain"', *features]
    (folder / "study.toml").write_text("\n".join(lines) + "\n")
    return folder / "study.toml"


def test_networks_are_named_in_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "my clip").mkdir()
    path = image_study(tmp_path, ["[features]", 'clip = "my clip"', 'lpips = "vgg"'])
    study = read_study(path)
    assert study.features == Features(clip=str(tmp_path / "my clip"), lpips="vgg")
    write_study(study, tmp_path / "again.toml")
    assert read_study(tmp_path / "again.toml").features == study.features
    path = image_study(tmp_path, ["[features]", 'clip = "openai/clip-vit-large-patch14"'])
    assert read_study(path).features.clip == "openai/clip-vit-large-patch14"
    for lines, expected in (
        (['lpips = "resnet"'], "must be alex, vgg or squeeze"),
        (['clips = "x"'], "Did you mean `clip`"),
        ([], "no network is given"),
    ):
        with pytest.raises(StudyError, match=expected):
            read_study(image_study(tmp_path, ["[features]", *lines]))


def test_the_pool_lets_go_of_networks(study: Study) -> None:
    pool = ModelPool(device="cpu")
    first = pool.clip(study.features.clip)
    assert pool.clip(study.features.clip) is first
    shutil.rmtree(study.features.clip)
    second = pool.clip(str(write_tiny_clip(Path(study.features.clip), seed=1)))
    assert not np.allclose(first.texts(["a cat"]), second.texts(["a cat"]))
    first = second
    pool.release()
    assert pool.clip(study.features.clip) is not first
