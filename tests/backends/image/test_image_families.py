"""SD 2, SDXL, SD 3 and Flux go the whole way of Stable Diffusion 1: drawn, shown as they form, unlearned, measured."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image
from safetensors.torch import save_file

from backends.errors import CheckpointError, ModelError
from backends.image.checkpoints.folders import load_pipeline
from backends.image.denoiser_calls import packed, unpacked
from backends.image.denoising import denoising_losses
from backends.image.pipelines import DiffusionModels
from backends.image.prompts import truncated_part
from backends.image.real_pictures import RealPicture
from backends.image.steps import run_in_steps
from backends.interfaces import ImageRequest, PartialImage
from backends.study import ModelSpec, Sampling
from tests import tiny_versions as tiny
from tests.tiny_families import FAMILIES

# diffusers' sigmas are made by numpy from tensors, of which numpy 2 warns
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDE = 16
SAMPLING = Sampling(steps=5, guidance=3.0, size=SIDE)


@dataclass(frozen=True)
class Family:
    """A tiny pipeline's folder, the pipeline, its denoiser's name and its parts by name."""

    name: str
    folder: Path
    pipe: Any
    denoiser: str
    states: tiny.States


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    folder = FAMILIES[request.param](tmp_path_factory.mktemp("families") / request.param)
    pipe = load_pipeline(folder, torch.float32)
    main = "transformer" if hasattr(pipe, "transformer") else "unet"
    return Family(request.param, folder, pipe, main, tiny.states_of(pipe))


def models_of(family: Family, **weights: Path) -> DiffusionModels:
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(family.folder)))
    for name, path in weights.items():
        models.add(ModelSpec(name, "unlearned", str(family.folder), weights=str(path)))
    return models


def drawn(models: DiffusionModels, *names: str, seeds: tuple[int, ...] = (1,)) -> list[PartialImage]:
    requests = [ImageRequest(name, "a cat", seed) for name in names for seed in seeds]
    done = [each for each in models.sample(requests, SAMPLING, lambda: False) if each.done]
    return sorted(done, key=lambda each: each.index)


def test_the_same_seed_is_the_same_noise_for_every_model(family: Family) -> None:
    models = models_of(family)
    alone = models.bytes()
    models.add(ModelSpec("Again", "unlearned", str(family.folder)))
    assert models.bytes() == alone
    one, two, again, _ = drawn(models, "Original", "Again", seeds=(1, 2))
    assert one.pixels.shape == (SIDE, SIDE, 3)
    assert np.array_equal(one.pixels, again.pixels)
    assert not np.array_equal(one.pixels, two.pixels)
    assert models.identity_check("Original", SAMPLING) == ""


def test_the_picture_predicted_so_far_is_shown_at_every_step(family: Family) -> None:
    request = [ImageRequest("Original", "a cat", 1)]
    partials = list(models_of(family).sample(request, SAMPLING, lambda: False))
    assert [(each.step, each.done) for each in partials] == [
        *((number, False) for number in range(1, 6)),
        (5, True),
    ]
    apart = np.abs(partials[-2].pixels.astype(int) - partials[-1].pixels.astype(int))
    # The last prediction is the picture; SD 2's DDIM ends a little before, at the noise of its first timestep.
    assert apart.max() <= (10 if family.name == "sd2" else 1)


def part_of(family: Family) -> dict[str, torch.Tensor]:
    """Some of the denoiser's tensors, moved."""
    state = family.states[family.denoiser]
    mark = "attn2" if family.denoiser == "unet" else "attn.to_"
    found = {name: tensor + 0.3 for name, tensor in state.items() if mark in name}
    assert found
    return found


def test_part_of_the_denoiser_is_an_unlearned_version(family: Family, tmp_path: Path) -> None:
    part = part_of(family)
    plain, prefixed = tmp_path / "part.safetensors", tmp_path / "prefixed.safetensors"
    save_file(part, plain)
    save_file(tiny.prefixed(part, f"{family.denoiser}."), prefixed)
    models = models_of(family, Plain=plain, Prefixed=prefixed)
    original, one, other = drawn(models, "Original", "Plain", "Prefixed")
    assert not np.array_equal(original.pixels, one.pixels)
    assert np.array_equal(one.pixels, other.pixels)
    report = models.report("Plain", "Original")
    assert (report.matched, report.changed, report.unchanged) == (len(part), len(part), 0)
    assert report.missing == len(family.states[family.denoiser]) - len(part)
    assert {block.component for block in report.blocks} == {family.denoiser}
    # Half is more than these random weights are large, and that is said; nothing else differs.
    assert not [said for said in report.differences if "relative difference" not in said]


def test_the_whole_denoiser_is_one_too(family: Family, tmp_path: Path) -> None:
    save_file({**family.states[family.denoiser], **part_of(family)}, tmp_path / "whole.safetensors")
    models = models_of(family, Whole=tmp_path / "whole.safetensors")
    assert models.versions["Whole"].shape == f"whole {family.denoiser}"
    assert models.report("Whole", "Original").changed == len(part_of(family))


def test_a_lora_is_one_as_diffusers_merges_it(family: Family, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    names = [name for name in part_of(family) if name.endswith("to_k.weight")]
    lora = {}
    for name in names:
        shape = family.states[family.denoiser][name].shape
        key = f"{family.denoiser}.{name.removesuffix('.weight')}"
        lora[f"{key}.lora_A.weight"] = torch.randn(2, shape[1], generator=generator)
        lora[f"{key}.lora_B.weight"] = torch.randn(shape[0], 2, generator=generator)
    save_file(lora, tmp_path / "lora.safetensors")
    models = models_of(family, LoRA=tmp_path / "lora.safetensors")
    merged = copy.deepcopy(family.pipe)
    merged.load_lora_weights(dict(lora))
    merged.fuse_lora(components=[family.denoiser])
    merged.unload_lora_weights()
    expected = getattr(merged, family.denoiser).state_dict()
    found = models.versions["LoRA"].tensors[family.denoiser]
    assert set(found) == set(names)
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in names)
    original, one = drawn(models, "Original", "LoRA")
    assert not np.array_equal(original.pixels, one.pixels)


def test_each_text_encoder_is_one_as_a_folder(family: Family, tmp_path: Path) -> None:
    parts = [part for part in family.states if part.startswith("text_encoder")]
    paths = {}
    for part in parts:
        encoder = copy.deepcopy(getattr(family.pipe, part))
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.mul_(1.5)
        encoder.save_pretrained(tmp_path / part)
        paths[part] = tmp_path / part
    models = models_of(family, **paths)
    original, *others = drawn(models, "Original", *parts)
    for part, other in zip(parts, others, strict=True):
        assert set(models.versions[part].tensors) == {part}
        # The first text encoder of Flux gives the pooled text only, of which a tiny model makes little.
        assert models.report(part, "Original").changed_parameters > 0
        assert not np.array_equal(original.pixels, other.pixels)


def test_tensors_that_fit_two_text_encoders_are_not_guessed_at(tmp_path: Path) -> None:
    folder = FAMILIES["sd3"](tmp_path / "sd3")
    state = load_pipeline(folder, torch.float32).text_encoder_2.state_dict()
    moved = {name: tensor + 1 for name, tensor in state.items() if "position_ids" not in name}
    save_file(moved, tmp_path / "text.safetensors")
    models = DiffusionModels("cpu", "float32")
    with pytest.raises(CheckpointError, match="tensors fit text_encoder and text_encoder_2 equally well"):
        models.add(ModelSpec("A", "unlearned", str(folder), weights=str(tmp_path / "text.safetensors")))
    save_file(tiny.prefixed(moved, "text_encoder_2."), tmp_path / "named.safetensors")
    models.add(ModelSpec("B", "unlearned", str(folder), weights=str(tmp_path / "named.safetensors")))
    assert set(models.versions["B"].tensors) == {"text_encoder_2"}


@pytest.mark.parametrize("name", ["sd2", "sdxl"])
def test_a_checkpoint_of_stabilitys_code_gives_its_unet_and_text_encoders(name: str, tmp_path: Path) -> None:
    folder = FAMILIES[name](tmp_path / name)
    states = tiny.states_of(load_pipeline(folder, torch.float32))
    moved = {part: tiny.moved(state, "", 0.5) for part, state in states.items()}
    names = tiny.compvis_names(list(moved["unet"]), levels=2, layers=1)
    content = {f"model.diffusion_model.{names[key]}": tensor for key, tensor in moved["unet"].items()}
    if name == "sd2":
        content |= tiny.openclip(moved["text_encoder"], "cond_stage_model.model.")
    else:
        content |= tiny.prefixed(moved["text_encoder"], "conditioner.embedders.0.transformer.")
        content |= tiny.openclip(moved["text_encoder_2"], "conditioner.embedders.1.model.")
    save_file({key: tensor.contiguous() for key, tensor in content.items()}, tmp_path / "all.safetensors")
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    models.add(ModelSpec("All", "unlearned", str(folder), weights=str(tmp_path / "all.safetensors")))
    assert models.versions["All"].notes == ()
    for part in states.keys() - {"vae"}:
        found = getattr(models.pipeline("All"), part).state_dict()
        assert all(torch.equal(found[key], tensor) for key, tensor in moved[part].items()), part


def test_a_lora_in_stabilitys_names_is_that_in_diffusers_names(tmp_path: Path) -> None:
    """Names from sgm's UNet: input blocks 1 to 3 are level 0 (3 halves it), 4 and 5 level 1."""
    folder = FAMILIES["sdxl"](tmp_path / "sdxl")
    unet = load_pipeline(folder, torch.float32).unet.state_dict()
    block = "transformer_blocks_0_attn2_to_k"
    pairs = {
        f"input_blocks_3_1_{block}": "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
        f"middle_block_1_{block}": "mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
        f"output_blocks_1_1_{block}": "up_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k",
        "output_blocks_2_0_in_layers_2": "up_blocks.1.resnets.0.conv1",
        "input_blocks_2_0_op": "down_blocks.0.downsamplers.0.conv",
        "input_blocks_0_0": "conv_in",
    }
    lora = {}
    for theirs, ours in pairs.items():
        weight = unet[f"{ours}.weight"]
        lora[f"lora_unet_{theirs}.lora_down.weight"] = torch.ones(2, *weight.shape[1:])
        lora[f"lora_unet_{theirs}.lora_up.weight"] = torch.ones(weight.shape[0], 2, *[1] * (weight.ndim - 2))
        lora[f"lora_unet_{theirs}.alpha"] = torch.tensor(1.0)
    save_file(lora, tmp_path / "kohya.safetensors")
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("K", "unlearned", str(folder), weights=str(tmp_path / "kohya.safetensors")))
    found = models.versions["K"].tensors["unet"]
    assert set(found) == {f"{ours}.weight" for ours in pairs.values()}
    assert all(torch.allclose(tensor, unet[name] + 1) for name, tensor in found.items())


@pytest.mark.parametrize(
    "name",
    [
        "double_blocks.0.img_attn.qkv.weight",
        "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",
        "lora_unet_single_blocks_0_linear1.lora_up.weight",
    ],
)
def test_the_layout_of_fluxs_own_code_is_named(tmp_path: Path, name: str) -> None:
    folder = FAMILIES["flux"](tmp_path / "flux")
    save_file({name: torch.ones(2, 2)}, tmp_path / "own.safetensors")
    with pytest.raises(CheckpointError, match="have the layout of the original"):
        DiffusionModels("cpu", "float32").add(
            ModelSpec("X", "unlearned", str(folder), weights=str(tmp_path / "own.safetensors"))
        )


def test_settings_of_a_pipeline_are_kept(tmp_path: Path) -> None:
    """SDXL's own: whether no negative prompt means zeros, or the states of an empty text."""
    folder = FAMILIES["sdxl"](tmp_path / "sdxl")
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "force_zeros_for_empty_prompt": False}))
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    assert models.pipeline("Original").config.force_zeros_for_empty_prompt is False
    assert models.identity_check("Original", SAMPLING) == ""


def real_picture(tmp_path: Path) -> RealPicture:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return RealPicture("picture.png", tmp_path / "picture.png", "a cat")


def test_denoising_losses_are_those_of_the_pipelines_own_call(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the denoiser is given here is what the pipeline gives it, but for the noisy picture and the time."""
    pipe = copy.deepcopy(family.pipe)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    main = getattr(pipe, family.denoiser)
    own: Callable[..., Any] = main.forward

    def seen(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return own(*args, **kwargs)

    monkeypatch.setattr(main, "forward", seen)
    if family.denoiser == "transformer":
        pipe.default_sample_size = 8
    ((_, losses),) = denoising_losses(pipe, [real_picture(tmp_path)], (10, 500), lambda: False)
    assert len(losses) == 2 and all(loss > 0 for loss in losses)
    guidance = {"guidance_scale": 1.0, "num_inference_steps": 1, "height": SIDE, "width": SIDE}
    pipe("a cat", output_type="np", **guidance)
    (_, ours), (_, theirs) = calls[0], calls[-1]
    for name in ("encoder_hidden_states", "pooled_projections", "guidance", "img_ids", "txt_ids"):
        if isinstance(theirs.get(name), torch.Tensor):
            mine = ours[name] if name.endswith("ids") else ours[name][:1]
            assert torch.allclose(mine, theirs[name], atol=1e-6), name
    for name, value in (theirs.get("added_cond_kwargs") or {}).items():
        assert torch.allclose(ours["added_cond_kwargs"][name][:1], value, atol=1e-6), name


def test_tokens_of_latents_are_taken_apart_as_they_were_laid() -> None:
    latents = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    assert torch.equal(unpacked(packed(latents)), latents)
    from diffusers import FluxPipeline

    assert torch.equal(packed(latents), FluxPipeline._pack_latents(latents, 2, 3, 4, 4))


def test_losses_of_other_pipelines_are_refused_in_a_sentence(tmp_path: Path) -> None:
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    unet = UNet2DModel(8, 3, 3, block_out_channels=(8,), norm_num_groups=2, **blocks)
    with pytest.raises(ModelError, match="of a DDPMPipeline are not supported"):
        list(denoising_losses(DDPMPipeline(unet, DDPMScheduler()), [real_picture(tmp_path)], (1,), bool))


def test_what_is_cut_is_counted_for_the_encoder_that_reads_most(family: Family) -> None:
    long = "cat " * 30
    said = truncated_part(family.pipe, long)
    if family.name in ("sd2", "sdxl"):
        assert "92 tokens long and the model reads 77" in said
    else:
        assert said == ""
        assert "and the model reads" in truncated_part(family.pipe, "cat " * 600)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (DDIMScheduler, {}),
        (DDIMScheduler, {"prediction_type": "v_prediction"}),
        (PNDMScheduler, {"skip_prk_steps": True}),
        (PNDMScheduler, {"skip_prk_steps": True, "prediction_type": "v_prediction"}),
        (DPMSolverMultistepScheduler, {}),
        (DPMSolverMultistepScheduler, {"prediction_type": "v_prediction", "use_karras_sigmas": True}),
        (UniPCMultistepScheduler, {"prediction_type": "sample"}),
        (EulerDiscreteScheduler, {}),
        (HeunDiscreteScheduler, {}),
        (FlowMatchEulerDiscreteScheduler, {"shift": 3.0}),
    ],
)
def test_the_clean_prediction_is_the_picture_that_was_noised(kind: Any, settings: dict[str, Any]) -> None:
    """A model that knows the noise predicts the picture exactly, whatever the scheduler tells of it."""
    scheduler = kind(**settings)
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.rand(1, 4, 8, 8, generator=generator) * 2 - 1 for _ in range(2))
    flow = isinstance(scheduler, FlowMatchEulerDiscreteScheduler)
    scheduler.set_timesteps(10)
    start = scheduler.timesteps[3:4]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(3)
    noisy = scheduler.scale_noise(clean, start, noise) if flow else scheduler.add_noise(clean, noise, start)
    asked = "flow" if flow else scheduler.config.prediction_type
    kept = scheduler.alphas_cumprod[int(start)] if not flow else torch.zeros(())
    said = {
        "flow": noise - clean,
        "epsilon": noise,
        "sample": clean,
        "v_prediction": kept**0.5 * noise - (1 - kept) ** 0.5 * clean,
    }[asked]

    class Pipeline:
        def __init__(self) -> None:
            self.scheduler = scheduler

        def __call__(self) -> Any:
            self.scheduler.step(said, start[0], noisy, return_dict=False)
            self.images = [0]
            return self

    step = next(iter(run_in_steps(Pipeline(), {}, lambda: False)))
    assert step.clean is not None
    # Karras' timesteps are rounded, so that the velocity's own alpha is a little off.
    near = 0.05 if scheduler.config.get("use_karras_sigmas") else 1e-4
    assert torch.allclose(step.clean, clean, atol=near)
