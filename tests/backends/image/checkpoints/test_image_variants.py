"""Pipelines beside the four families: parts left out, distilled models, pixels and tokens instead of latents."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
from backends.interfaces import ImageRequest, PartialImage
from backends.study import ModelSpec, Sampling
from tests import tiny_versions as tiny
from tests.tiny_families import FAMILIES
from tests.tiny_variants import VARIANTS

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning"),  # diffusers' own Chroma
]

SAMPLING = Sampling(steps=4, guidance=3.0, size=16)
WITH_LOSSES = ("sd3 without its T5", "flux schnell", "lcm")


@dataclass(frozen=True)
class Loaded:
    """A variant's name, its models by name, its denoiser, and what the version's file holds."""

    variant: str
    models: DiffusionModels
    denoiser: str
    part: dict[str, torch.Tensor]


@pytest.fixture(scope="module", params=list(VARIANTS))
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    top = tmp_path_factory.mktemp("variants")
    folder = VARIANTS[request.param](top / "model")
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    models.add(ModelSpec("Again", "unlearned", str(folder)))
    pipe = models.pipeline("Original")
    denoiser = "transformer" if "transformer" in pipe.components else "unet"
    state = pipe.components[denoiser].state_dict()
    part = {name: tensor + 0.3 for name, tensor in state.items() if "attn" in name or "attention" in name}
    save_file(part, top / "plain.safetensors")
    save_file(tiny.prefixed(part, f"{denoiser}."), top / "prefixed.safetensors")
    for name in ("plain", "prefixed"):
        models.add(ModelSpec(name, "unlearned", str(folder), weights=str(top / f"{name}.safetensors")))
    return Loaded(request.param, models, denoiser, part)


def partials(loaded: Loaded, *asked: tuple[str, int]) -> list[PartialImage]:
    requests = [ImageRequest(name, "a cat", seed) for name, seed in asked]
    return list(loaded.models.sample(requests, SAMPLING, lambda: False))


def drawn(loaded: Loaded, *asked: tuple[str, int]) -> list[np.ndarray]:
    done = [each for each in partials(loaded, *asked) if each.done]
    return [each.pixels for each in sorted(done, key=lambda each: each.index)]


def test_an_unchanged_version_draws_the_originals_pictures_bit_for_bit(loaded: Loaded) -> None:
    asked = [(name, seed) for name in ("Original", "Again") for seed in (1, 2)]
    one, two, again_one, again_two = drawn(loaded, *asked)
    assert one.shape == (16, 16, 3)
    assert np.array_equal(one, again_one) and np.array_equal(two, again_two)
    assert not np.array_equal(one, two)
    assert loaded.models.identity_check("Original", SAMPLING) == ""


def test_company_in_a_batch_does_not_change_the_noise(loaded: Loaded) -> None:
    (alone,) = drawn(loaded, ("Original", 2))
    _, beside = drawn(loaded, ("Original", 1), ("Original", 2))
    # Arithmetic on a larger batch rounds otherwise; other noise would be another picture.
    assert np.abs(alone.astype(int) - beside.astype(int)).max() <= 2


def test_previews_end_at_the_picture_or_are_left_out(loaded: Loaded) -> None:
    steps = partials(loaded, ("Original", 1))
    assert steps[-1].done and all(not each.done for each in steps[:-1])
    if loaded.variant == "amused":
        assert len(steps) == 1
        return
    assert [each.step for each in steps[:-1]] == [1, 2, 3, 4]
    apart = np.abs(steps[-2].pixels.astype(int) - steps[-1].pixels.astype(int))
    assert apart.max() <= 1


def test_a_part_of_the_denoiser_changes_the_tensors_that_it_names_and_no_other(loaded: Loaded) -> None:
    original = loaded.models.pipeline("Original").components
    for version in ("plain", "prefixed"):
        parts = loaded.models.pipeline(version).components
        changed = {
            (name, key)
            for name, module in original.items()
            if isinstance(module, torch.nn.Module)
            for key, tensor in module.state_dict().items()
            if not torch.equal(tensor, parts[name].state_dict()[key])
        }
        assert changed == {(loaded.denoiser, key) for key in loaded.part}
        report = loaded.models.report(version, "Original")
        assert (report.matched, report.changed, report.unchanged) == (len(loaded.part), len(loaded.part), 0)
        # Half is more than some of these random weights are large, and that is said; nothing else differs.
        assert not [said for said in report.differences if "relative difference" not in said]
    one, plain, prefixed = drawn(loaded, ("Original", 1), ("plain", 1), ("prefixed", 1))
    assert not np.array_equal(one, plain) and np.array_equal(plain, prefixed)


def test_losses_are_numbers_or_are_refused_in_a_sentence(loaded: Loaded, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), (90, 10, 200)).save(tmp_path / "a.png")
    picture = RealPicture("a.png", tmp_path / "a.png", "a cat")
    pipe = loaded.models.pipeline("Original")
    if "flux" in loaded.variant or "sd3" in loaded.variant:
        pipe.default_sample_size = 8
    if loaded.variant not in WITH_LOSSES:
        with pytest.raises(ModelError, match=f"of a {type(pipe).__name__} are not supported"):
            list(denoising_losses(pipe, [picture], (10, 500), lambda: False))
        return
    ((_, losses),) = denoising_losses(pipe, [picture], (10, 500), lambda: False)
    assert len(losses) == 2 and all(loss > 0 for loss in losses)


@pytest.mark.parametrize(("family", "part"), [("sd2", "unet"), ("sdxl", "unet"), ("sd3", "transformer")])
def test_a_folder_without_its_denoiser_is_refused_while_it_is_loaded(
    family: str, part: str, tmp_path: Path
) -> None:
    folder = FAMILIES[family](tmp_path / family)
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), part: [None, None]}))
    with pytest.raises(CheckpointError, match="diffusers cannot load this pipeline"):
        load_pipeline(folder, torch.float32)
