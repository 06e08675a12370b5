"""FID and KID to a folder of real pictures, and KID as other tools compute it: equal to what is written out here."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.linalg import sqrtm

from backends.checkpoints.tensors import file_digest
from backends.errors import CheckpointError, StudyError
from backends.image.networks.clip import load_clip
from backends.metrics import METRICS
from backends.metrics.distributions import frechet_distance
from backends.metrics.real_distributions import (
    REAL_BY_NETWORK,
    frechet,
    gaussian_of,
    subset_kernel_distances,
)
from backends.study import Study
from backends.study.file import read_study
from backends.study.writing import write_study
from cache.analysis.scoreboard import scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate, plan
from cache.store import Store
from tests.cache.evaluate.test_image_evaluation import PaintingPool
from tests.cache.store.test_features import embedded, image_study, store, study, values  # noqa: F401 - fixtures

Array = NDArray[np.float64]


def fid_by_hand(left: Array, right: Array) -> float:
    """With the matrix root, as pytorch-fid computes it."""
    first, second = np.cov(left, rowvar=False), np.cov(right, rowvar=False)
    apart = float(((left.mean(0) - right.mean(0)) ** 2).sum())
    return apart + float(np.trace(first + second - 2 * np.real(sqrtm(first @ second))))


def kid_by_hand(left: Array, right: Array) -> float:
    """Unbiased MMD of the cubic kernel, every pair written out."""

    def kernel(a: Array, b: Array) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(left), len(right)
    own = sum(kernel(left[i], left[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    theirs = sum(kernel(right[i], right[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own + theirs - 2 * sum(kernel(a, b) for a in left for b in right) / (n * m)


def sets(n: int, m: int, dimensions: int = 6) -> tuple[Array, Array]:
    random = np.random.default_rng(3)
    return random.normal(size=(n, dimensions)), random.normal(0.4, 1.3, size=(m, dimensions))


@pytest.mark.parametrize(("n", "m"), [(12, 12), (40, 9), (5, 60)])
def test_fid_of_kept_covariances_is_fid(n: int, m: int) -> None:
    left, right = sets(n, m)
    value = frechet(gaussian_of(left), gaussian_of(right))
    assert value == pytest.approx(frechet_distance(left, right), abs=1e-9)
    if min(n, m) > 6:
        assert value == pytest.approx(fid_by_hand(left, right), rel=1e-5)
    assert gaussian_of(right).root.shape[0] <= 6 or m <= 6


def test_kid_over_subsets_is_the_mean_of_unbiased_distances() -> None:
    left, right = sets(30, 22)
    found = subset_kernel_distances(left, right, subsets=7, size=10, seed=5)
    first, second = np.random.default_rng([5, 0]), np.random.default_rng([5, 1])
    expected = [
        kid_by_hand(left[first.choice(30, 10, replace=False)], right[second.choice(22, 10, replace=False)])
        for _ in range(7)
    ]
    assert found == pytest.approx(np.array(expected), abs=1e-9)
    whole = subset_kernel_distances(left[:20], right[:20])
    assert whole == pytest.approx([kid_by_hand(left[:20], right[:20])], abs=1e-9)
    assert np.isnan(subset_kernel_distances(left[:1], right)).all()


def test_kid_of_large_sets_is_worked_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = sets(30, 22)
    whole = subset_kernel_distances(left, right, subsets=4, size=10)
    monkeypatch.setattr("backends.metrics.real_distributions.MOST_KERNEL", 100)
    assert subset_kernel_distances(left, right, subsets=4, size=10) == pytest.approx(whole, abs=1e-12)


def test_kid_over_subsets_is_unbiased() -> None:
    """Of two sets of one distribution it is 0 on average, however few pictures there are."""
    random = np.random.default_rng(0)
    drawn = [
        subset_kernel_distances(
            random.normal(size=(15, 4)), random.normal(size=(15, 4)), subsets=3, size=8, seed=seed
        ).mean()
        for seed in range(600)
    ]
    assert abs(np.mean(drawn)) < 4 * np.std(drawn) / np.sqrt(len(drawn))


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Twenty pictures in two folders, one of which is a copy of another, and a file that is none."""
    random = np.random.default_rng(1)
    folder = tmp_path / "real"
    for number in range(19):
        path = folder / ("a" if number % 2 else "b") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (20, 16, 3), dtype=np.uint8)).save(path)
    shutil.copyfile(folder / "a" / "1.png", folder / "b" / "copy.png")
    (folder / "notes.txt").write_text("none")
    return folder


def with_real(study: Study, real: Path) -> Study:  # noqa: F811
    return replace(study, features=replace(study.features, real=(("retain", str(real)),)))


def of_clip(study: Study, real: Path) -> Array:  # noqa: F811
    """CLIP's embeddings of the real pictures, straight from the files, in the order of what these hold."""
    files = sorted((path for path in real.rglob("*.png") if path.name != "copy.png"), key=file_digest)
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    return load_clip(study.features.clip, "cpu").images(pictures).astype(np.float64)


def test_distances_to_real_pictures_are_those_of_the_embeddings(
    study: Study,  # noqa: F811
    store: Store,  # noqa: F811
    real: Path,
) -> None:
    named = with_real(study, real)
    evaluate(EvaluationContext.of(named, store, PaintingPool()))
    found = values(named, store)
    theirs = of_clip(study, real)
    for model in ("Original", "ESD"):
        ours = embedded(named, store, model)[0].astype(np.float64)
        assert found[model, "fid_real_clip"] == pytest.approx(fid_by_hand(ours, theirs), rel=1e-4)
        draw = np.random.default_rng([0, 1])
        drawn = [kid_by_hand(ours, theirs[draw.choice(19, 12, replace=False)]) for _ in range(100)]
        assert found[model, "kid_real_clip"] == pytest.approx(np.mean(drawn), abs=1e-5)
    assert found["Original", "kid_clip"] == 0.0, "the paired KID"
    ours, base = (embedded(named, store, name)[0].astype(np.float64) for name in ("ESD", "Original"))
    assert found["ESD", "kid_subsets_clip"] == pytest.approx(kid_by_hand(ours, base), abs=1e-5)
    frame = scoreboard(named, store).frame
    assert set(frame[frame.metric == "fid_real_clip"].n) == {12}


def test_real_pictures_are_looked_at_once_and_their_numbers_outlive_them(
    study: Study,  # noqa: F811
    store: Store,  # noqa: F811
    real: Path,
) -> None:
    evaluate(EvaluationContext.of(study, store, PaintingPool()))
    named = with_real(study, real)
    waiting = {item.probe_set: item.missing for item in plan(named, store, "float32").of("Original")}
    assert waiting["clip features of real pictures"] == 19
    assert ("ESD", "fid_real_clip") not in values(named, store)
    evaluate(EvaluationContext.of(named, store, PaintingPool()))
    assert plan(named, store, "float32").missing == 0
    before = values(named, store)
    assert ("ESD", "fid_real_clip") in before
    shutil.rmtree(real)
    assert values(named, store) == before
    evaluate(EvaluationContext.of(named, store, PaintingPool()))


def test_other_real_pictures_give_other_numbers(
    study: Study,  # noqa: F811
    store: Store,  # noqa: F811
    real: Path,
) -> None:
    named = with_real(study, real)
    evaluate(EvaluationContext.of(named, store, PaintingPool()))
    before = values(named, store)["ESD", "fid_real_clip"]
    (real / "b" / "0.png").unlink()
    (real / "broken.png").write_bytes(b"no picture")
    assert ("ESD", "fid_real_clip") not in values(named, store), "not before the network has looked"
    said: list[str] = []
    evaluate(EvaluationContext.of(named, store, PaintingPool()), on_note=said.append)
    assert said == ["1 of 19 real pictures cannot be read and are left out"]
    ours = embedded(named, store, "ESD")[0].astype(np.float64)
    (real / "broken.png").unlink()
    after = values(named, store)["ESD", "fid_real_clip"]
    assert after == pytest.approx(fid_by_hand(ours, of_clip(study, real)), rel=1e-4)
    assert after != pytest.approx(before, rel=1e-6)


def test_a_folder_of_real_pictures_that_is_not_there_is_told_before_anything_is_drawn(
    study: Study,  # noqa: F811
    store: Store,  # noqa: F811
    tmp_path: Path,
) -> None:
    pool = PaintingPool()
    with pytest.raises(CheckpointError, match="no such folder of pictures"):
        evaluate(EvaluationContext.of(with_real(study, tmp_path / "gone"), store, pool))
    assert pool.painter.asked == []


def test_real_pictures_are_named_in_the_study_file(tmp_path: Path) -> None:
    network = ["[features]", 'clip = "openai/clip-vit-large-patch14"']
    found = read_study(image_study(tmp_path, [*network, 'real = "coco"']))
    folder = str(tmp_path / "coco")
    assert found.features.real == (("retain", folder), ("neighbour", folder), ("utility", folder))
    several = read_study(image_study(tmp_path, [*network, 'real = { retain = "a", utility = "b" }']))
    assert [several.features.real_for(role) for role in ("retain", "neighbour", "utility")] == [
        str(tmp_path / "a"),
        "",
        str(tmp_path / "b"),
    ]
    for each in (found, several):
        write_study(each, tmp_path / "again.toml")
        assert read_study(tmp_path / "again.toml").features == each.features
    for lines, expected in (
        (["[features]", 'real = "coco"'], "need a network, and none is given"),
        ([*network, 'real = { forget = "a" }'], "forget"),
    ):
        with pytest.raises(StudyError, match=expected):
            read_study(image_study(tmp_path, lines))


def test_every_distance_says_its_extractor_and_its_reference() -> None:
    for key, metric in METRICS.items():
        if key.startswith(("fid", "kid")):
            reference = "real pictures" if "_real_" in key else "the original's images"
            assert reference in metric.card.title and metric.card.title.endswith(" features")
    assert {each.card.on_forget for pair in REAL_BY_NETWORK.values() for each in pair} == {"lower"}
