"""Pictures that begin from a real one: nothing given is the plain picture, all given is the real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backends.errors import ModelError
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest, PartialImage
from backends.study import START_KINDS, ModelSpec, Probe, Sampling, StartKind, start_from
from backends.study.inference import fitting_schedulers
from tests.tiny_image import SIDE, write_tiny_pipeline, write_tiny_stable_diffusion

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:__array_wrap__ must accept:DeprecationWarning",
)

SAMPLING = Sampling(steps=10, guidance=2.0)
PROMPT = "a neon cat"
FITTING = fitting_schedulers(
    {"_class_name": "DDIMScheduler", "prediction_type": "sample", "beta_schedule": "squaredcos_cap_v2"}
)
"""Of the tiny model, which predicts the clean picture."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModels:
    models = DiffusionModels("cpu", "float32")
    folder = write_tiny_pipeline(tmp_path_factory.mktemp("image") / "original")
    models.add(ModelSpec("Original", "original", str(folder)))
    return models


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smooth picture, which survives being scaled."""
    path = tmp_path_factory.mktemp("real") / "cat.png"
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    pixels = np.stack([rows, columns, 1 - rows], axis=2)
    Image.fromarray((255 * pixels).astype(np.uint8)).save(path)
    return path


def drawn(
    models: DiffusionModels, *requests: ImageRequest, sampling: Sampling = SAMPLING
) -> list[np.ndarray]:
    done: list[PartialImage] = [p for p in models.sample(requests, sampling, lambda: False) if p.done]
    return [each.pixels for each in sorted(done, key=lambda each: each.index)]


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("kind", START_KINDS)
def test_where_all_is_left_to_the_model_the_picture_is_the_plain_one(
    models: DiffusionModels, picture: Path, kind: StartKind
) -> None:
    plain = ImageRequest("Original", PROMPT, 1)
    (one,) = drawn(models, plain)
    (other,) = drawn(models, replace(plain, start=start_from(picture, kind, 1.0)))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("kind", START_KINDS)
def test_where_nothing_is_left_to_the_model_the_picture_is_the_real_one(
    models: DiffusionModels, picture: Path, kind: StartKind
) -> None:
    (found,) = drawn(models, ImageRequest("Original", PROMPT, 1, start=start_from(picture, kind, 0.0)))
    assert np.abs(found.astype(int) - np.asarray(Image.open(picture)).astype(int)).max() <= 1


@pytest.mark.parametrize("scheduler", FITTING)
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_the_real_picture_comes_through_every_scheduler(
    models: DiffusionModels, picture: Path, scheduler: str, guidance: float
) -> None:
    sampling = replace(SAMPLING, scheduler=scheduler, guidance=guidance)
    request = ImageRequest("Original", PROMPT, 1, start=start_from(picture, "noised", 0.0))
    (found,) = drawn(models, request, sampling=sampling)
    assert apart(found, np.asarray(Image.open(picture))) < 3


def test_around_the_repainted_square_the_picture_stays(models: DiffusionModels, picture: Path) -> None:
    request = ImageRequest("Original", PROMPT, 1, start=start_from(picture, "repainted", 0.5))
    (found,) = drawn(models, request)
    real, edge = np.asarray(Image.open(picture)).astype(int), SIDE // 4
    changed = np.abs(found.astype(int) - real).max(axis=2)
    inside = changed[edge:-edge, edge:-edge].copy()
    changed[edge:-edge, edge:-edge] = 0
    assert changed.max() <= 1
    assert inside.mean() > 10


def test_the_denoiser_is_not_asked_for_the_steps_that_are_given(
    models: DiffusionModels, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    unet = models.pipeline("Original").unet
    forward = unet.forward

    def counted(*args: torch.Tensor, **kwargs: object) -> object:
        calls.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(unet, "forward", counted)
    drawn(models, ImageRequest("Original", PROMPT, 1, start=start_from(picture, "noised", 0.3)))
    assert len(calls) == 3


def test_a_batch_may_begin_from_different_pictures(
    models: DiffusionModels, picture: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    Image.fromarray(255 - np.asarray(Image.open(picture))).save(other)
    requests = [
        ImageRequest("Original", PROMPT, seed, start=start_from(path, "noised", 0.5))
        for seed in (1, 2)
        for path in (picture, other)
    ]
    together = drawn(models, *requests, ImageRequest("Original", PROMPT, 1))
    alone = [drawn(models, request)[0] for request in requests]
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(together, alone, strict=False))
    assert apart(together[0], together[1]) > 3
    assert apart(together[0], together[4]) > 3


@pytest.mark.parametrize("scheduler", ["", "DDIM", "PNDM", "Heun", "DPM2 a", "DEIS", "DPM++ 2M Karras"])
def test_a_latent_diffusion_model_begins_from_what_its_autoencoder_makes_of_the_picture(
    tmp_path: Path, picture: Path, scheduler: str
) -> None:
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(write_tiny_stable_diffusion(tmp_path / "sd"))))
    plain = ImageRequest("Original", "a cat", 1)
    starts = [start_from(picture, "noised", 0.0), start_from(picture, "noised", 0.5)]
    sampling = replace(SAMPLING, scheduler=scheduler)
    noise, real, half = drawn(
        models, plain, *(replace(plain, start=each) for each in starts), sampling=sampling
    )
    (again,) = drawn(
        models, replace(plain, prompt="dog", start=starts[0]), sampling=replace(sampling, guidance=1.0)
    )
    # Neither prompt nor model matter; the noise does to some schedulers, which end before it is all gone.
    assert apart(real, again) < 1
    assert apart(real, noise) > 1
    assert apart(half, noise) > 0.1


def test_a_picture_that_changed_meanwhile_is_refused(
    models: DiffusionModels, picture: Path, tmp_path: Path
) -> None:
    path = tmp_path / "real.png"
    path.write_bytes(picture.read_bytes())
    start = start_from(path, "noised", 0.5)
    Image.new("RGB", (SIDE, SIDE)).save(path)
    with pytest.raises(ModelError, match="changed meanwhile"):
        drawn(models, ImageRequest("Original", PROMPT, 1, start=start))
    path.write_bytes(b"no picture")
    with pytest.raises(ModelError, match="cannot be read"):
        drawn(models, ImageRequest("Original", PROMPT, 1, start=start))


def test_a_request_may_have_a_negative_prompt_of_its_own(models: DiffusionModels) -> None:
    plain = ImageRequest("Original", PROMPT, 1)
    together = drawn(
        models, plain, replace(plain, negative_prompt="flat"), replace(plain, negative_prompt="")
    )
    (asked,) = drawn(models, plain, sampling=replace(SAMPLING, negative_prompt="flat"))
    assert np.array_equal(together[0], together[2])
    assert apart(together[1], asked) <= 1
    assert apart(together[0], together[1]) > 1
    (emptied,) = drawn(
        models, replace(plain, negative_prompt=""), sampling=replace(SAMPLING, negative_prompt="flat")
    )
    assert apart(emptied, together[0]) <= 1


def test_a_start_is_part_of_a_probe_by_what_the_file_holds(picture: Path, tmp_path: Path) -> None:
    plain = Probe("1", "forget", PROMPT)
    start = start_from(picture, "noised", 0.5)
    copied = tmp_path / "copied.png"
    copied.write_bytes(picture.read_bytes())
    digests = [
        replace(plain, start=each).digest()
        for each in (
            None,
            start,
            start_from(picture, "noised", 0.7),
            start_from(picture, "repainted", 0.5),
        )
    ]
    assert len(set(digests)) == 4
    assert digests[0] == plain.digest()
    assert replace(plain, start=start_from(copied, "noised", 0.5)).digest() == digests[1]
