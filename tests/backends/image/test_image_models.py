"""Sets of diffusion models: the same noise for all, shared tensors, steps that stop, files that do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backends.checkpoints.mixing import with_changes
from backends.errors import CheckpointError, ModelError
from backends.image.checkpoints.folders import load_pipeline
from backends.image.checkpoints.weights import read_version, share_equal
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest, PartialImage
from backends.study import ModelSpec, Sampling
from tests.tiny_image import SIDE, write_tiny_pipeline, write_tiny_stable_diffusion, write_tiny_weights

SAMPLING = Sampling(steps=4, guidance=2.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_pipeline(tmp_path_factory.mktemp("image") / "original")


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    return write_tiny_weights(folder.parent / "esd.safetensors", folder)


@pytest.fixture
def models(folder: Path, weights: Path) -> DiffusionModels:
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    models.add(ModelSpec("ESD", "unlearned", str(folder), weights=str(weights)))
    return models


def read_changes(path: Path, unet: torch.nn.Module) -> dict[str, torch.Tensor]:
    return dict(read_version(path, {"unet": unet.state_dict()}, {}).tensors["unet"])


def never() -> bool:
    return False


def finished(
    models: DiffusionModels, *requests: ImageRequest, sampling: Sampling = SAMPLING
) -> list[PartialImage]:
    done = [partial for partial in models.sample(requests, sampling, never) if partial.done]
    return sorted(done, key=lambda partial: partial.index)


def close(one: PartialImage, other: PartialImage) -> bool:
    return bool(np.abs(one.pixels.astype(int) - other.pixels.astype(int)).max() <= 1)


def test_a_picture_does_not_depend_on_the_batch_it_is_made_in(models: DiffusionModels) -> None:
    requests = [ImageRequest("Original", "A cat image in neon style.", seed) for seed in (1, 2, 3)]
    together = finished(models, *requests)
    alone = [finished(models, request)[0] for request in requests]
    assert all(close(one, other) for one, other in zip(together, alone, strict=True))
    assert not close(together[0], together[1])


def test_a_request_may_have_a_guidance_of_its_own(models: DiffusionModels) -> None:
    requests = [
        ImageRequest(name, "a neon cat", seed, guidance)
        for seed, guidance in ((1, 1.0), (2, None), (1, 7.5), (2, 1.0))
        for name in ("Original", "ESD")
    ]
    together = finished(models, *requests)
    for request, picture in zip(requests, together, strict=True):
        settings = SAMPLING if request.guidance is None else replace(SAMPLING, guidance=request.guidance)
        (alone,) = finished(models, replace(request, guidance=None), sampling=settings)
        assert close(picture, alone)
    assert not close(together[0], together[4])


def test_models_start_from_the_same_noise(folder: Path) -> None:
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    models.add(ModelSpec("Again", "unlearned", str(folder)))
    one, other = finished(models, ImageRequest("Original", "cat", 7), ImageRequest("Again", "cat", 7))
    assert np.array_equal(one.pixels, other.pixels)


def test_unlearned_weights_change_the_picture_and_leave_the_original_alone(
    models: DiffusionModels, folder: Path
) -> None:
    one, other = finished(models, ImageRequest("Original", "cat", 7), ImageRequest("ESD", "cat", 7))
    assert not np.array_equal(one.pixels, other.pixels)
    fresh = DiffusionModels("cpu", "float32")
    fresh.add(ModelSpec("Original", "original", str(folder)))
    assert np.array_equal(finished(fresh, ImageRequest("Original", "cat", 7))[0].pixels, one.pixels)


def test_a_version_costs_only_what_differs(folder: Path, weights: Path) -> None:
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    alone = models.bytes()
    models.add(ModelSpec("ESD", "unlearned", str(folder), weights=str(weights)))
    assert alone < models.bytes() <= alone + weights.stat().st_size


def test_a_full_folder_shares_what_is_equal(folder: Path, tmp_path: Path) -> None:
    pipe = load_pipeline(folder, torch.float32)
    with torch.no_grad():
        pipe.unet.conv_out.bias += 1
    pipe.save_pretrained(tmp_path / "edited")
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    alone = models.bytes()
    models.add(ModelSpec("Edited", "unlearned", str(tmp_path / "edited")))
    assert models.bytes() == alone + pipe.unet.conv_out.bias.numel() * 4
    one, other = finished(models, ImageRequest("Original", "cat", 1), ImageRequest("Edited", "cat", 1))
    assert not close(one, other)


def test_a_picture_forms_step_by_step(models: DiffusionModels) -> None:
    partials = list(models.sample([ImageRequest("ESD", "cat", 1)], SAMPLING, never))
    assert [partial.step for partial in partials if not partial.done] == [1, 2, 3, 4]
    assert [partial.done for partial in partials].count(True) == 1
    assert all(
        partial.pixels.shape == (SIDE, SIDE, 3) and partial.pixels.dtype == np.uint8 for partial in partials
    )
    assert np.array_equal(partials[-2].pixels, partials[-1].pixels)


def test_stop_ends_it_within_a_step(models: DiffusionModels) -> None:
    seen: list[int] = []
    requests = [ImageRequest("Original", "cat", 1), ImageRequest("ESD", "cat", 1)]
    for partial in models.sample(requests, Sampling(steps=50), lambda: len(seen) >= 2):
        seen.append(partial.step)
    assert len(seen) <= 4
    assert finished(models, requests[0])[0].done


def test_leaving_early_ends_the_work(models: DiffusionModels) -> None:
    import threading

    before = threading.active_count()
    pictures = models.sample([ImageRequest("Original", "cat", 1)], Sampling(steps=200), never)
    next(pictures)
    pictures.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("  ", "The prompt is empty")],
)
def test_prompts_that_cannot_be_drawn(models: DiffusionModels, prompt: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        finished(models, ImageRequest("Original", prompt, 1))


def test_what_is_cut_off_a_long_prompt_is_noted(models: DiffusionModels) -> None:
    assert finished(models, ImageRequest("ESD", "cat " * 15 + "rocket neon", 1))[0].done
    assert models.notes and "19 tokens long and the model reads 16" in models.notes[0]
    assert '"cat rocket neon" is cut off' in models.notes[0]
    finished(models, ImageRequest("Original", "cat", 1))
    assert len(models.notes) == 1


def test_a_size_that_cannot_be_drawn(models: DiffusionModels) -> None:
    with pytest.raises(ModelError, match="25 x 25 pixels; sides must be multiples of 3"):
        finished(models, ImageRequest("Original", "cat", 1), sampling=Sampling(steps=2, size=25))


def test_a_prefix_before_the_names_is_understood(folder: Path, tmp_path: Path, weights: Path) -> None:
    prefixed = write_tiny_weights(tmp_path / "prefixed.safetensors", folder, prefix="unet.")
    unet = load_pipeline(folder, torch.float32).unet
    assert read_changes(prefixed, unet).keys() == read_changes(weights, unet).keys()


def test_weights_that_change_nothing_are_refused(folder: Path, tmp_path: Path) -> None:
    same = write_tiny_weights(tmp_path / "same.safetensors", folder, by=0.0)
    with pytest.raises(CheckpointError, match="0 % changed"):
        DiffusionModels("cpu", "float32").add(ModelSpec("Same", "unlearned", str(folder), weights=str(same)))


def test_weights_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    save_file({"text_model.x": torch.zeros(3)}, tmp_path / "other.safetensors")
    unet = load_pipeline(folder, torch.float32).unet
    with pytest.raises(CheckpointError, match="1 of its 1 tensors are not in the base model"):
        read_changes(tmp_path / "other.safetensors", unet)
    save_file({"conv_out.bias": torch.zeros(3)}, tmp_path / "shape.safetensors")
    with pytest.raises(CheckpointError, match=r"conv_out.bias has the shape \(3,\)"):
        read_changes(tmp_path / "shape.safetensors", unet)


def test_unchanged_tensors_are_the_same_storage(folder: Path, weights: Path) -> None:
    unet = load_pipeline(folder, torch.float32).unet
    edited = with_changes(unet, read_changes(weights, unet))
    pairs = zip(unet.named_parameters(), edited.named_parameters(), strict=True)
    assert all((one is other) == ("attn2" not in name) for (name, one), (_, other) in pairs)
    assert share_equal(edited, unet).differing == sum("attn2" in name for name, _ in unet.named_parameters())


def test_a_folder_with_code_of_its_own_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "code")
    index = tmp_path / "code" / "model_index.json"
    values = json.loads(index.read_text())
    values["_class_name"] = ["pipeline", "Mine"]
    index.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="which is not run"):
        load_pipeline(tmp_path / "code", torch.float32)


def test_a_model_that_draws_from_noise_alone(tmp_path: Path) -> None:
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        8,
        3,
        3,
        block_out_channels=(8,),
        norm_num_groups=2,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
    )
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path / "plain")
    listed = [{f"module.{name}": tensor * 2 for name, tensor in unet.state_dict().items()}, {}, 5]
    torch.save(listed, tmp_path / "ckpt.pth")
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(tmp_path / "plain")))
    weights = str(tmp_path / "ckpt.pth")
    models.add(ModelSpec("SalUn", "unlearned", str(tmp_path / "plain"), weights=weights))
    requests = [ImageRequest(name, "-", seed) for name in ("Original", "SalUn") for seed in (1, 2)]
    partials = list(models.sample(requests, Sampling(steps=3), never))
    done = sorted((p for p in partials if p.done), key=lambda p: p.index)
    assert len(done) == 4 and {p.pixels.shape for p in done} == {(8, 8, 3)}
    assert any(not p.done for p in partials)  # shown while it forms, though DDPMPipeline has no callback
    assert not np.array_equal(done[0].pixels, done[1].pixels)
    assert not np.array_equal(done[0].pixels, done[2].pixels)
    assert np.array_equal(finished(models, requests[1], sampling=Sampling(steps=3))[0].pixels, done[1].pixels)
    assert models.identity_check("Original", Sampling(steps=3)) == ""


def test_a_class_conditional_model_is_asked_by_class(tmp_path: Path) -> None:
    from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    torch.manual_seed(0)
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=4,
        num_layers=1,
        sample_size=8,
        num_embeds_ada_norm=1000,
        out_channels=8,
        norm_num_groups=4,
    )
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4)
    DiTPipeline(transformer, vae, DDIMScheduler()).save_pretrained(tmp_path / "dit")
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(tmp_path / "dit")))
    few = Sampling(steps=2, guidance=2.0)
    three, four = finished(
        models, ImageRequest("Original", "3", 1), ImageRequest("Original", "4", 1), sampling=few
    )
    assert three.pixels.shape == (8, 8, 3) and not np.array_equal(three.pixels, four.pixels)
    with pytest.raises(ModelError, match="'a dog' is not a class of this model"):
        finished(models, ImageRequest("Original", "a dog", 1), sampling=few)


def test_a_picture_of_no_numbers_is_refused(folder: Path, tmp_path: Path) -> None:
    pipe = load_pipeline(folder, torch.float32)
    with torch.no_grad():
        pipe.unet.conv_out.bias.fill_(float("inf"))
    pipe.save_pretrained(tmp_path / "broken")
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Broken", "unlearned", str(tmp_path / "broken")))
    with pytest.raises(ModelError, match="NaN values"):
        finished(models, ImageRequest("Broken", "cat", 1))


def test_the_report_says_what_differs(
    folder: Path, weights: Path, models: DiffusionModels, tmp_path: Path
) -> None:
    report = models.report("ESD", "Original")
    unet = models.pipeline("Original").unet.state_dict()
    touched = {name: tensor for name, tensor in unet.items() if "attn2" in name}
    assert (report.matched, report.changed, report.unchanged) == (len(touched), len(touched), 0)
    assert report.missing == len(unet) - len(touched)
    assert report.changed_parameters == sum(tensor.numel() for tensor in touched.values())
    block = report.blocks[0]
    mine = [t for name, t in unet.items() if name.startswith(block.block)]
    moved = sum(t.numel() for name, t in touched.items() if name.startswith(block.block))
    expected = (0.25 * moved / sum(float(t.double().square().sum()) for t in mine)) ** 0.5
    assert block.relative_l2 == pytest.approx(expected, rel=1e-5)
    # Half is more than these random weights are large, and that is said; nothing else differs.
    assert not [said for said in report.differences if "relative difference" not in said]

    pipe = load_pipeline(folder, torch.float32)
    pipe.scheduler.register_to_config(beta_end=0.5)
    pipe.save_pretrained(tmp_path / "other")
    models.add(ModelSpec("Other", "unlearned", str(tmp_path / "other")))
    other = models.report("Other", "Original")
    assert other.changed == 0 and other.share == 0
    assert "its scheduler has beta_end = 0.5" in other.differences[0]


def test_the_original_loaded_twice_draws_the_same(models: DiffusionModels, folder: Path) -> None:
    assert models.identity_check("Original", SAMPLING) == ""
    with torch.no_grad():  # a model that is not its files any more
        models.pipeline("Original").unet.conv_out.bias.add_(0.1)
    assert "two pictures up to" in models.identity_check("Original", SAMPLING)


def test_a_stable_diffusion_folder_is_drawn_and_unlearned_like_any_other(tmp_path: Path) -> None:
    folder = write_tiny_stable_diffusion(tmp_path / "sd")
    weights = write_tiny_weights(tmp_path / "esd.safetensors", folder, prefix="unet.")
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    alone = models.bytes()
    models.add(ModelSpec("Again", "unlearned", str(folder)))
    assert models.bytes() == alone
    models.add(ModelSpec("ESD", "unlearned", str(folder), weights=str(weights)))
    assert models.bytes() <= alone + weights.stat().st_size
    requests = [ImageRequest(name, "a cat", seed) for name in ("Original", "Again", "ESD") for seed in (1, 2)]
    partials = list(models.sample(requests, Sampling(steps=5, guidance=5.0), never))
    assert any(not partial.done for partial in partials)  # the VAE decodes what is predicted so far
    assert {partial.pixels.shape for partial in partials} == {(64, 64, 3)}
    done = sorted((partial for partial in partials if partial.done), key=lambda partial: partial.index)
    assert len(done) == 6
    assert all(np.array_equal(done[k].pixels, done[k + 2].pixels) for k in (0, 1))
    assert all(not np.array_equal(done[k].pixels, done[k + 4].pixels) for k in (0, 1))
    assert close(finished(models, requests[1], sampling=Sampling(steps=5, guidance=5.0))[0], done[1])
