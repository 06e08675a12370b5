"""Touched image models: strength 0 is the model itself bit for bit, and nothing of other models moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backends.checkpoints.identity import fingerprint, inspect
from backends.errors import CheckpointError
from backends.image import pipelines
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest
from backends.study import ModelSpec, Sampling
from backends.study.inference import Inference
from backends.study.touch import touched
from tests.tiny_image import write_tiny_pipeline, write_tiny_stable_diffusion, write_tiny_weights

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SAMPLING = Sampling(steps=6, guidance=2.0)
GROUP = 64


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, ModelSpec]:
    folder = write_tiny_pipeline(tmp_path_factory.mktemp("image") / "original")
    weights = write_tiny_weights(folder.parent / "esd.safetensors", folder)
    return (
        ModelSpec("Original", "original", str(folder)),
        ModelSpec("ESD", "unlearned", str(folder), weights=str(weights)),
    )


@pytest.fixture(params=["in memory", "taking turns"])
def models(
    request: pytest.FixtureRequest, specs: tuple[ModelSpec, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> DiffusionModels:
    monkeypatch.setattr(pipelines, "SHARE", 100.0 if request.param == "in memory" else 0.0)
    models = DiffusionModels("cpu", "float32")
    for spec in specs:
        models.add(spec)
    return models


def drawn(models: DiffusionModels, spec: ModelSpec, sampling: Sampling = SAMPLING) -> np.ndarray:
    models.add(spec)
    requests = [ImageRequest(spec.name, "a neon cat", seed) for seed in (1, 2)]
    done = [each for each in models.sample(requests, sampling, lambda: False) if each.done]
    return np.stack([each.pixels for each in sorted(done, key=lambda each: each.index)])


@pytest.mark.parametrize("touch", ["prune:0", "begun:0"])
def test_a_touch_of_strength_0_is_the_model_bit_for_bit(
    models: DiffusionModels, specs: tuple[ModelSpec, ModelSpec], touch: str
) -> None:
    for spec in specs:
        assert np.array_equal(drawn(models, touched(spec, specs[0], touch)), drawn(models, spec))


@pytest.mark.parametrize("touch", ["round:4", "round:8", "prune:30", "sham:0", "begun:3"])
def test_a_touched_model_draws_otherwise_and_leaves_the_others_as_they_are(
    models: DiffusionModels, specs: tuple[ModelSpec, ModelSpec], touch: str
) -> None:
    before = [drawn(models, spec) for spec in specs]
    made = touched(specs[1], specs[0], touch)
    found = drawn(models, made)
    assert not any(np.array_equal(found, each) for each in before)
    assert all(np.array_equal(drawn(models, spec), each) for spec, each in zip(specs, before, strict=True))
    assert np.array_equal(drawn(models, made), found)


@pytest.mark.parametrize("scheduler", ["", "Heun", "DPM++ 2M"])
def test_what_the_original_begins_lies_between_the_two(
    models: DiffusionModels, specs: tuple[ModelSpec, ModelSpec], scheduler: str
) -> None:
    original, spec = specs
    sampling = replace(SAMPLING, scheduler=scheduler)
    plain = drawn(models, original, sampling)
    assert np.array_equal(drawn(models, touched(original, original, "begun:3"), sampling), plain)
    assert np.array_equal(drawn(models, touched(spec, original, "begun:6"), sampling), plain)
    assert np.array_equal(drawn(models, touched(spec, original, "begun:900"), sampling), plain)
    some = drawn(models, touched(spec, original, "begun:3"), sampling)
    assert not np.array_equal(some, plain)


def test_the_original_begins_where_noise_is_drawn_on_the_way(tmp_path: Path) -> None:
    folder = write_tiny_stable_diffusion(tmp_path / "sd")
    weights = write_tiny_weights(tmp_path / "esd.safetensors", folder, by=0.2)
    original = ModelSpec("Original", "original", str(folder))
    spec = ModelSpec("ESD", "unlearned", str(folder), weights=str(weights))
    models = DiffusionModels("cpu", "float32")
    sampling = replace(SAMPLING, scheduler="Euler a")
    plain, other = drawn(models, original, sampling), drawn(models, spec, sampling)
    assert not np.array_equal(plain, other)
    assert np.array_equal(drawn(models, touched(spec, original, "begun:6"), sampling), plain)
    assert np.array_equal(drawn(models, touched(spec, original, "begun:0"), sampling), other)


def test_rounded_weights_lie_on_the_grid_and_nothing_else_moves(
    models: DiffusionModels, specs: tuple[ModelSpec, ModelSpec]
) -> None:
    made = touched(specs[1], specs[0], "round:4")
    models.add(made)
    plain, after = models.pipeline("ESD"), models.pipeline(made.name)
    weights = {
        f"{name}.weight"
        for name, module in plain.unet.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }
    edges = ("conv_in", "conv_out", "time_embedding")
    for name, tensor in after.unet.state_dict().items():
        old = plain.unet.state_dict()[name]
        if name not in weights or name.startswith(edges):
            assert torch.equal(tensor, old), name
            continue
        for row, was in zip(tensor.flatten(1), old.flatten(1), strict=True):
            for group, first in zip(row.split(GROUP), was.split(GROUP), strict=True):
                assert len(group.abs().unique()) <= 8, name
                step = float(first.abs().max()) / 7
                assert float((group - first).abs().max()) <= step / 2 * 1.001, name
    assert torch.equal(
        after.text_encoder.state_dict()["final_layer_norm.weight"],
        plain.text_encoder.state_dict()["final_layer_norm.weight"],
    )


def test_pruning_sets_the_smallest_of_each_matrix_to_0(
    models: DiffusionModels, specs: tuple[ModelSpec, ModelSpec]
) -> None:
    made = touched(specs[1], specs[0], "prune:30")
    models.add(made)
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    old = models.pipeline("ESD").unet.state_dict()[name]
    new = models.pipeline(made.name).unet.state_dict()[name]
    gone = new == 0
    assert int(gone.sum()) == round(0.3 * old.numel())
    assert float(old[gone].abs().max()) <= float(old[~gone].abs().min())
    assert torch.equal(new[~gone], old[~gone])


def test_a_sham_is_as_far_from_the_original_as_the_model_is(
    models: DiffusionModels, specs: tuple[ModelSpec, ModelSpec]
) -> None:
    made = touched(specs[1], specs[0], "sham:3")
    models.add(made)
    states = [models.pipeline(name).unet.state_dict() for name in ("Original", "ESD", made.name)]
    moved = [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    assert moved
    for name in states[0]:
        start, end, sham = (state[name] for state in states)
        if name not in moved:
            assert torch.equal(sham, start)
            continue
        assert float((sham - start).norm()) == pytest.approx(float((end - start).norm()), rel=1e-4)
        assert not torch.allclose(sham, end)


def test_a_touched_model_has_an_identity_of_its_own(specs: tuple[ModelSpec, ModelSpec]) -> None:
    original, spec = specs
    made = [touched(spec, original, touch) for touch in ("round:4", "round:8", "begun:1", "begun:2")]
    for each in made:
        inspect(each, "image")
    assert len({fingerprint(each) for each in [spec, *made]}) == 5
    declared = [replace(each, fingerprint=fingerprint(each)) for each in (spec, original)]
    for each in made[1:]:
        assert touched(declared[0], declared[1], each.touch).fingerprint == fingerprint(each)
    other = replace(spec, inference=Inference(negative_prompt="neon"))
    assert fingerprint(touched(other, original, "round:4")) != fingerprint(made[0])


def test_what_only_language_models_have_is_refused(specs: tuple[ModelSpec, ModelSpec]) -> None:
    original, spec = specs
    with pytest.raises(CheckpointError, match="only language models are touched so"):
        inspect(touched(spec, original, "exit:1"), "image")
    with pytest.raises(CheckpointError, match="only image models are touched so"):
        inspect(touched(original, original, "begun:1"), "text")
