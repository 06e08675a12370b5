"""Pipelines beyond the tested families: drawn where text is enough, and refused in a sentence where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from backends.errors import CheckpointError, ModelError
from backends.image.checkpoints.folders import load_pipeline
from backends.image.denoising import denoising_losses
from backends.image.pipelines import DiffusionModels
from backends.image.real_pictures import RealPicture
from backends.image.steps import run_in_steps
from backends.interfaces import ImageRequest
from backends.study import ModelSpec, Sampling
from tests import tiny_versions as tiny
from tests.tiny_families import write_tiny_pixart
from tests.tiny_image import write_tiny_stable_diffusion

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_a_pixart_is_drawn_and_unlearned_and_its_losses_are_refused(tmp_path: Path) -> None:
    folder = write_tiny_pixart(tmp_path / "pixart")
    pipe = load_pipeline(folder, torch.float32)
    part = tiny.only(tiny.moved(pipe.transformer.state_dict()))
    save_file(tiny.prefixed(part, "transformer."), tmp_path / "esd.safetensors")
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    weights = str(tmp_path / "esd.safetensors")
    models.add(ModelSpec("ESD", "unlearned", str(folder), weights=weights))
    requests = [ImageRequest(name, "a cat", seed) for name in ("Original", "ESD") for seed in (1, 2)]
    partials = list(models.sample(requests, Sampling(steps=4, guidance=3.0, size=16), lambda: False))
    done = sorted((each for each in partials if each.done), key=lambda each: each.index)
    one, two, esd, _ = (each.pixels for each in done)
    assert not np.array_equal(one, two) and not np.array_equal(one, esd)
    # It draws at a size it knows, and is scaled to the one asked for: pictures on the way, too.
    assert {each.pixels.shape for each in partials} == {(16, 16, 3)}
    esds = [each.pixels.astype(int) for each in partials if each.index == 2]
    assert len(esds) == 5 and np.abs(esds[-2] - esds[-1]).max() <= 1
    assert models.report("ESD", "Original").changed == len(part)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    picture = RealPicture("a.png", tmp_path / "a.png", "a cat")
    with pytest.raises(ModelError, match="of a PixArtSigmaPipeline are not supported"):
        list(denoising_losses(pipe, [picture], (1,), lambda: False))


@pytest.mark.parametrize("kind", ["StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"])
def test_a_pipeline_that_needs_a_picture_is_refused(tmp_path: Path, kind: str) -> None:
    folder = write_tiny_stable_diffusion(tmp_path / "sd")
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": kind}))
    with pytest.raises(CheckpointError, match=f"{kind} is an image-to-image pipeline"):
        load_pipeline(folder, torch.float32)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("The size of tensor a (3) must match\nmore"), r"this request \(The size of .* match\)"),
        (TypeError(), r"rejects this request \(TypeError\)"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "memory is full"),
    ],
)
def test_what_a_pipeline_cannot_do_is_one_sentence(error: Exception, words: str) -> None:
    class Scheduler:
        def step(self) -> None: ...

    class Pipeline:
        scheduler = Scheduler()

        def __call__(self) -> None:
            raise error

    with pytest.raises(ModelError, match=words):
        list(run_in_steps(Pipeline(), {}, lambda: False))
