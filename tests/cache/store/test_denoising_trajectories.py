"""How a picture forms is kept once, read without weights, and says where two models part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backends.errors import Cancelled
from backends.pool import ModelPool
from backends.study import ModelSpec, Probe, ProbeSet, Sampling, Study
from cache.store import open_store
from cache.store.denoising_trajectories import (
    FRAMES,
    DenoisingTrajectory,
    distances,
    divergence_step,
    make_trajectory,
    stored_trajectory,
)
from tests.damage import damage
from tests.tiny_image import SIDE, write_tiny_pipeline, write_tiny_weights

PROBE = Probe("p", "forget", "cat")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("films")
    original = write_tiny_pipeline(folder / "original")
    weights = write_tiny_weights(folder / "esd.safetensors", original)
    models = (
        ModelSpec("Original", "original", str(original)),
        ModelSpec("ESD", "unlearned", str(original), weights=str(weights)),
    )
    return Study("Films", "image", models, (ProbeSet("f", "forget", (PROBE,)),))


def test_a_film_is_drawn_once_and_ends_with_the_picture(study: Study, tmp_path: Path) -> None:
    store, pool, said = open_store(tmp_path / "evidence.sqlite"), ModelPool("cpu"), list[int]()
    sampling = Sampling(steps=25, guidance=2.0, seeds=(3,))
    assert stored_trajectory(study, store, "ESD", PROBE, sampling) is None
    make_trajectory(study, store, pool, "ESD", PROBE, sampling, lambda part: said.append(part.step))
    kept = stored_trajectory(study, store, "ESD", PROBE, sampling)
    assert kept is not None and len(kept.frames) == FRAMES
    assert kept.steps[0] == 1 and kept.steps[-1] == 25
    assert all(frame.shape == (SIDE, SIDE, 3) for frame in kept.frames)
    asked = len(said)
    make_trajectory(study, store, pool, "ESD", PROBE, sampling, lambda part: said.append(part.step))
    assert len(said) == asked
    assert stored_trajectory(study, store, "ESD", PROBE, Sampling(steps=24, guidance=2.0, seeds=(3,))) is None
    make_trajectory(study, store, pool, "Original", PROBE, sampling)
    other = stored_trajectory(study, store, "Original", PROBE, sampling)
    assert other is not None
    assert [step for step, _ in distances(kept, other)] == list(kept.steps)
    assert distances(kept, kept) == tuple((step, 0.0) for step in kept.steps)


def test_a_stopped_film_is_not_kept(study: Study, tmp_path: Path) -> None:
    store, seen = open_store(tmp_path / "evidence.sqlite"), list[int]()
    sampling = Sampling(steps=30, seeds=(1,))
    with pytest.raises(Cancelled):
        make_trajectory(
            study,
            store,
            ModelPool("cpu"),
            "ESD",
            PROBE,
            sampling,
            lambda p: seen.append(p.step),
            lambda: len(seen) > 2,
        )
    assert stored_trajectory(study, store, "ESD", PROBE, sampling) is None


def test_a_damaged_film_counts_as_none_and_is_drawn_again(study: Study, tmp_path: Path) -> None:
    store, sampling = open_store(tmp_path / "evidence.sqlite"), Sampling(steps=2, seeds=(1,))
    make_trajectory(study, store, ModelPool("cpu"), "ESD", PROBE, sampling)
    whole = stored_trajectory(study, store, "ESD", PROBE, sampling)
    (path,) = (tmp_path / "images").rglob("*.png")
    path.write_bytes(path.read_bytes()[:60])
    store = open_store(store.path)
    assert stored_trajectory(study, store, "ESD", PROBE, sampling) is None
    make_trajectory(study, store, ModelPool("cpu"), "ESD", PROBE, sampling)
    again = stored_trajectory(study, store, "ESD", PROBE, sampling)
    assert whole is not None and again is not None
    assert all(np.array_equal(*frames) for frames in zip(whole.frames, again.frames, strict=True))
    assert damage(store.path, "trajectories") == 1
    assert stored_trajectory(study, store, "ESD", PROBE, sampling) is None
    make_trajectory(study, store, ModelPool("cpu"), "ESD", PROBE, sampling)
    assert stored_trajectory(study, store, "ESD", PROBE, sampling) is not None and store.damaged() == 0


def test_a_film_has_the_seed_and_guidance_that_its_probe_brings_along(study: Study, tmp_path: Path) -> None:
    store, sampling = open_store(tmp_path / "evidence.sqlite"), Sampling(steps=2, seeds=(1,))
    own = replace(PROBE, seed=5, guidance=1.0)
    make_trajectory(study, store, ModelPool("cpu"), "ESD", own, sampling)
    same = Sampling(steps=2, guidance=1.0, seeds=(5,))
    make_trajectory(study, store, ModelPool("cpu"), "ESD", PROBE, same)
    found, asked = (
        stored_trajectory(study, store, "ESD", own, sampling),
        stored_trajectory(study, store, "ESD", PROBE, same),
    )
    assert found is not None and asked is not None
    assert np.array_equal(found.frames[-1], asked.frames[-1])
    assert stored_trajectory(study, store, "ESD", PROBE, sampling) is None


def test_two_films_part_where_they_stay_apart() -> None:
    grey = np.full((2, 2, 3), 100, np.uint8)
    left = DenoisingTrajectory((1, 2, 3, 4), (grey, grey, grey, grey))
    right = DenoisingTrajectory((1, 2, 3, 4), (grey + 40, grey, grey + 26, grey + 51))
    apart = distances(left, right)
    assert [round(distance, 4) for _, distance in apart] == [0.1569, 0.0, 0.102, 0.2]
    assert divergence_step(apart) == 3
    assert divergence_step(apart[:2]) is None
    assert divergence_step(()) is None
