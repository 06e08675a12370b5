"""Every adapter shape draws what diffusers or PEFT itself draws with it: alpha, patterns, DoRA, wherever they stand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from backends.checkpoints.identity import identity
from backends.errors import CheckpointError
from backends.image.checkpoints.folders import load_pipeline
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest
from backends.study import ModelSpec, Sampling
from tests import tiny_versions as tiny
from tests.tiny_image import write_tiny_stable_diffusion

CROSS = ["attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0"]
SAMPLING = Sampling(steps=2, guidance=3.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stable_diffusion(tmp_path_factory.mktemp("lora") / "sd")


def drawn_by_us(folder: Path, weights: Path) -> tuple[Any, tuple[str, ...]]:
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    models.add(ModelSpec("Version", "unlearned", str(folder), weights=str(weights)))
    (found,) = (
        p for p in models.sample([ImageRequest("Version", "a cat", 1)], SAMPLING, lambda: False) if p.done
    )
    return found.pixels, models.versions["Version"].notes


def drawn_by(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    images = pipe(
        ["a cat"],
        num_inference_steps=2,
        guidance_scale=3.0,
        output_type="np",
        generator=[torch.Generator().manual_seed(1)],
    ).images
    return (np.asarray(images[0]).clip(0, 1) * 255).round().astype(np.uint8)


def agree(ours: Any, theirs: Any) -> bool:
    return int(np.abs(ours.astype(int) - theirs.astype(int)).max()) <= 1


def trained(module: Any, config: LoraConfig) -> Any:
    """A module with an adapter whose numbers are no start values."""
    torch.manual_seed(5)
    adapted = get_peft_model(copy.deepcopy(module), config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return adapted


def injected(module: Any, config: LoraConfig) -> Any:
    """The same without PEFT's wrapper around the module, as diffusers' training scripts do it."""
    torch.manual_seed(5)
    adapted = copy.deepcopy(module)
    adapted.add_adapter(config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return adapted


def saved_by_diffusers(folder: Path, to: Path, config: LoraConfig, *, metadata: bool = True) -> Path:
    """`save_lora_weights` of a UNet's adapter, as diffusers' training scripts write it."""
    unet = load_pipeline(folder, torch.float32).unet
    adapted = injected(unet, config)
    stated = {"unet_lora_adapter_metadata": adapted.peft_config["default"].to_dict()} if metadata else {}
    StableDiffusionPipeline.save_lora_weights(to, get_peft_model_state_dict(adapted), **stated)
    return to / "pytorch_lora_weights.safetensors"


CONFIGS: dict[str, Callable[[], LoraConfig]] = {
    "alpha beyond the rank": lambda: LoraConfig(r=4, lora_alpha=16, target_modules=CROSS),
    "rank-stabilised": lambda: LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=CROSS),
    "patterns": lambda: LoraConfig(
        r=4,
        lora_alpha=8,
        rank_pattern={"attn2.to_k": 2},
        alpha_pattern={"attn2.to_k": 6, "up_blocks.*to_q": 12},
        target_modules=CROSS,
    ),
    "convolutions": lambda: LoraConfig(r=2, lora_alpha=6, target_modules=[*CROSS, "conv1", "proj_in"]),
    "DoRA": lambda: LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=CROSS),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_alpha_in_the_metadata_is_used_as_diffusers_uses_it(kind: str, folder: Path, tmp_path: Path) -> None:
    path = saved_by_diffusers(folder, tmp_path, CONFIGS[kind]())
    with safe_open(path, "pt") as file:
        assert "lora_adapter_metadata" in (file.metadata() or {})
    theirs = load_pipeline(folder, torch.float32)
    theirs.load_lora_weights(tmp_path)
    ours, notes = drawn_by_us(folder, path)
    assert agree(ours, drawn_by(theirs))
    assert "from the file's metadata" in notes[0]
    again, _ = drawn_by_us(folder, tmp_path)  # the folder by itself is the same
    assert np.array_equal(ours, again)


def test_without_metadata_alpha_is_the_rank_as_in_diffusers(folder: Path, tmp_path: Path) -> None:
    config = LoraConfig(r=4, lora_alpha=16, target_modules=CROSS)
    path = saved_by_diffusers(folder, tmp_path, config, metadata=False)
    theirs = load_pipeline(folder, torch.float32)
    theirs.load_lora_weights(tmp_path)
    ours, notes = drawn_by_us(folder, path)
    assert agree(ours, drawn_by(theirs))
    assert "no alpha is stated" in notes[0]


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_peft_folder_is_used_as_peft_uses_it(kind: str, folder: Path, tmp_path: Path) -> None:
    theirs = load_pipeline(folder, torch.float32)
    adapted = trained(theirs.unet, CONFIGS[kind]())
    adapted.save_pretrained(tmp_path / "peft")
    theirs.unet = adapted.base_model.model
    expected = drawn_by(theirs)
    ours, notes = drawn_by_us(folder, tmp_path / "peft")
    assert agree(ours, expected)
    assert "from adapter_config.json" in notes[0]
    again, _ = drawn_by_us(folder, tmp_path / "peft" / "adapter_model.safetensors")
    assert np.array_equal(ours, again)


def test_adapters_of_both_parts_and_of_the_text_encoder_alone(folder: Path, tmp_path: Path) -> None:
    theirs = load_pipeline(folder, torch.float32)
    words = LoraConfig(r=4, lora_alpha=2, target_modules=["q_proj", "v_proj"])
    unet = injected(theirs.unet, LoraConfig(r=2, lora_alpha=8, target_modules=CROSS))
    text = injected(theirs.text_encoder, words)
    StableDiffusionPipeline.save_lora_weights(
        tmp_path / "both",
        get_peft_model_state_dict(unet),
        get_peft_model_state_dict(text),
        unet_lora_adapter_metadata=unet.peft_config["default"].to_dict(),
        text_encoder_lora_adapter_metadata=text.peft_config["default"].to_dict(),
    )
    theirs.load_lora_weights(tmp_path / "both")
    assert agree(drawn_by_us(folder, tmp_path / "both")[0], drawn_by(theirs))

    alone = load_pipeline(folder, torch.float32)
    wrapped = trained(alone.text_encoder, words)
    wrapped.save_pretrained(tmp_path / "text")
    alone.text_encoder = wrapped.base_model.model
    assert agree(drawn_by_us(folder, tmp_path / "text")[0], drawn_by(alone))


def test_a_module_saves_its_own_adapter(folder: Path, tmp_path: Path) -> None:
    theirs = load_pipeline(folder, torch.float32)
    torch.manual_seed(5)
    theirs.unet.add_adapter(LoraConfig(r=4, lora_alpha=16, init_lora_weights=False, target_modules=CROSS))
    theirs.unet.save_lora_adapter(tmp_path / "own")
    assert agree(drawn_by_us(folder, tmp_path / "own")[0], drawn_by(theirs))


def test_kohyas_alphas_are_used(folder: Path, tmp_path: Path) -> None:
    theirs = load_pipeline(folder, torch.float32)
    state = tiny.kohya(theirs.unet.state_dict())
    state |= {name: torch.tensor(5.0) for name in state if name.endswith(".alpha")}
    path = tiny.write(tmp_path / "kohya.safetensors", state)
    theirs.load_lora_weights(dict(state))
    ours, notes = drawn_by_us(folder, path)
    assert agree(ours, drawn_by(theirs))
    assert "from its alpha tensors" in notes[0]


def test_what_is_no_low_rank_product_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    unet = load_pipeline(folder, torch.float32).unet
    whole = tiny.kohya(unet.state_dict())
    one = next(name for name in whole if name.endswith("lora_down.weight"))
    module = one.removesuffix(".lora_down.weight")
    mid = whole | {f"{module}.lora_mid.weight": torch.zeros(2, 2, 1, 1)}
    with pytest.raises(CheckpointError, match=module.removeprefix("lora_unet_")):
        drawn_by_us(folder, tiny.write(tmp_path / "mid.safetensors", mid))
    for mark, kind in (("hada_w1_a", "LoHa"), ("lokr_w1", "LoKr")):
        path = tiny.write(tmp_path / f"{kind}.safetensors", {f"{module}.{mark}": torch.zeros(2, 2)})
        with pytest.raises(CheckpointError, match=f"a {kind} adapter"):
            drawn_by_us(folder, path)


def test_settings_that_cannot_be_read_are_refused(folder: Path, tmp_path: Path) -> None:
    path = saved_by_diffusers(folder, tmp_path, LoraConfig(r=4, lora_alpha=16, target_modules=CROSS))
    tensors = load_file(path)
    for stated in (
        "no JSON",
        "[1]",
        json.dumps({"unet.lora_alpha": "much"}),
        json.dumps({"unet.alpha_pattern": 3}),
    ):
        save_file(tensors, path, metadata={"lora_adapter_metadata": stated})
        with pytest.raises(CheckpointError, match="cannot be read"):
            drawn_by_us(folder, path)
    save_file(
        tensors, path, metadata={"lora_adapter_metadata": json.dumps({"unet.init_lora_weights": "pissa"})}
    )
    with pytest.raises(CheckpointError, match="changed base"):
        drawn_by_us(folder, path)


def test_the_same_tensors_with_another_alpha_are_another_model(folder: Path, tmp_path: Path) -> None:
    path = saved_by_diffusers(folder, tmp_path, LoraConfig(r=4, lora_alpha=16, target_modules=CROSS))
    spec = ModelSpec("Version", "unlearned", str(folder), weights=str(path))
    tensors = load_file(path)
    seen = {identity(spec).fingerprint}
    for metadata in (None, {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 4})}):
        save_file(tensors, path, metadata=metadata)
        seen.add(identity(spec).fingerprint)
    assert len(seen) == 3
