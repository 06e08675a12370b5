"""What each public method of unlearning leaves on disk, as its code writes it, and what becomes of it here.

The savers were looked up in the repositories that `docs/formats.md` names; its table has a row for each.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from backends.errors import CheckpointError
from backends.image.checkpoints.folders import load_pipeline
from backends.image.pipelines import DiffusionModels
from backends.study import ModelSpec
from tests import tiny_versions as tiny
from tests.tiny_image import write_tiny_stable_diffusion

TABLE = (Path(__file__).parents[4] / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stable_diffusion(tmp_path_factory.mktemp("methods") / "sd")


@pytest.fixture(scope="module")
def pipe(folder: Path) -> Any:
    return load_pipeline(folder, torch.float32)


def unet_of(pipe: Any, part: str = "attn2", by: float = 0.05) -> dict[str, torch.Tensor]:
    return tiny.moved(pipe.unet.state_dict(), part, by)


def only(pipe: Any, part: str = "attn2") -> dict[str, torch.Tensor]:
    return tiny.only(unet_of(pipe, part), part)


def by_module(state: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in state.items():
        module, _, leaf = name.rpartition(".")
        found.setdefault(f"unet.{module}", {})[leaf] = tensor
    return found


def compvis(pipe: Any, average: Any = None) -> dict[str, Any]:
    return tiny.compvis(unet_of(pipe), pipe.text_encoder.state_dict(), average)


def compvis_delta(pipe: Any) -> dict[str, Any]:
    names = tiny.compvis_names(list(pipe.unet.state_dict()), levels=2, layers=1)
    part = only(pipe, "attn2.to_k") | only(pipe, "attn2.to_v")
    return {"state_dict": {f"model.diffusion_model.{names[name]}": tensor for name, tensor in part.items()}}


def ddpm(pipe: Any) -> list[Any]:
    whole = unet_of(pipe)
    adam = {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]}
    return [tiny.prefixed(whole, "module."), adam, 300, whole]


def encoder(pipe: Any) -> Any:
    moved = copy.deepcopy(pipe.text_encoder)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.mul_(1.05).add_(1e-3)
    return moved


def as_advunlearn_saves(text_encoder: Any) -> dict[str, torch.Tensor]:
    """State dict of its CustomTextEncoder: the encoder, and its three parts once more under names of their own."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in text_encoder.state_dict().items()}
    again = {name.replace("embeddings.", "embedding.", 1): tensor for name, tensor in state.items()}
    return tiny.prefixed(state, "text_encoder.text_model.") | again


FILES: dict[str, tuple[str, str, Callable[[Any], Any], str]] = {
    # method in the table: component that changed, file, content, part of the names that changed ("" for all)
    "ESD": ("unet", "esd-cat-from-cat-esdx.safetensors", only, "attn2"),
    "ESD, alternative script": ("unet", "esd.pt", lambda pipe: by_module(only(pipe)), "attn2"),
    "ESD before 2025": ("unet", "diffusers-cat-ESDx1-UNET.pt", unet_of, "attn2"),
    "UCE": ("unet", "uce-cat.safetensors", lambda pipe: only(pipe, "attn2.to_v"), "attn2.to_v"),
    "UCE before 2025": ("unet", "erased-cat-towards_uncond.pt", unet_of, "attn2"),
    "RECE": ("unet", "0.1000-3.pt", unet_of, "attn2"),
    "SalUn": ("unet", "diffusers-cls_1.pt", unet_of, "attn2"),
    "SalUn, CompVis": ("unet", "compvis-cls_1.pt", lambda pipe: compvis(pipe)["state_dict"], "attn2"),
    "EraseDiff": ("unet", "erasediff-epoch_5.pt", lambda pipe: compvis(pipe)["state_dict"], "attn2"),
    "EraseDiff, SalUn and Selective Amnesia on DDPM": ("unet", "ckpt_latest.pth", ddpm, "attn2"),
    "Selective Amnesia": ("unet", "last.ckpt", lambda pipe: compvis(pipe, pipe.unet.state_dict()), "attn2"),
    "Concept Ablation": (
        "unet",
        "delta.bin",
        lambda pipe: {"unet": only(pipe), "modifier_token": {}},
        "attn2",
    ),
    "Concept Ablation, CompVis": ("unet", "delta-last.ckpt", compvis_delta, "attn2.to_"),
    "SPM": ("unet", "spm_last.safetensors", lambda pipe: tiny.kohya(pipe.unet.state_dict()), ""),
    "AdvUnlearn": (
        "text_encoder",
        "TextEncoder-adv.pt",
        lambda pipe: as_advunlearn_saves(encoder(pipe)),
        "",
    ),
}
FOLDERS = ("MACE", "Forget-Me-Not", "AdvUnlearn on the hub", "Receler")
REFUSED = {"SAeUron": "sparse autoencoder", "SLUG": "not in the base model"}


def loaded(folder: Path, **spec: Any) -> DiffusionModels:
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    models.add(ModelSpec("Version", "unlearned", **({"source": str(folder)} | spec)))
    return models


@pytest.mark.parametrize("method", FILES)
def test_a_methods_file_changes_what_the_method_changed(
    method: str, folder: Path, pipe: Any, tmp_path: Path
) -> None:
    component, file, content, part = FILES[method]
    path = tiny.write(tmp_path / file, content(pipe))
    report = loaded(folder, weights=str(path)).report("Version", "Original")
    assert {block.component for block in report.blocks} == {component}
    state = getattr(pipe, component).state_dict()
    expected = [name for name in state if part in name and not name.endswith("position_ids")]
    if method == "SPM":
        assert report.changed == len(content(pipe)) // 3
        return  # its random numbers are larger than any training makes them, which is said
    elif method == "Concept Ablation, CompVis":
        assert report.changed == len([n for n in state if "attn2.to_k" in n or "attn2.to_v" in n])
    else:
        assert report.changed == len(expected)
    assert not report.differences


@pytest.mark.parametrize("method", FOLDERS)
def test_a_methods_folder_changes_what_the_method_changed(
    method: str, folder: Path, pipe: Any, tmp_path: Path
) -> None:
    other = copy.deepcopy(pipe)
    spec: dict[str, str] = {}
    if method == "Receler":
        spec = {"weights": str(tiny.write_erasers(tmp_path / "receler", pipe.unet))}
    elif method == "AdvUnlearn on the hub":
        encoder(pipe).save_pretrained(tmp_path / "text_encoder")
        spec = {"weights": str(tmp_path / "text_encoder")}
    else:
        with torch.no_grad():
            for name, parameter in other.unet.named_parameters():
                if "attn2" in name:
                    parameter.add_(0.05)
        other = other.to(torch.float16) if method == "MACE" else other
        other.save_pretrained(tmp_path / "pipeline")
        spec = {"source": str(tmp_path / "pipeline")}
    report = loaded(folder, **spec).report("Version", "Original")
    if method == "Receler":
        assert report.added > 0 and report.changed == 0
    else:
        component = "text_encoder" if method == "AdvUnlearn on the hub" else "unet"
        assert {block.component for block in report.blocks} == {component}
    assert not report.differences


@pytest.mark.parametrize("method", REFUSED)
def test_what_is_no_weight_of_the_model_is_refused_in_a_sentence(
    method: str, folder: Path, pipe: Any, tmp_path: Path
) -> None:
    if method == "SAeUron":
        held = tmp_path / "sae"
        held.mkdir()
        (held / "cfg.json").write_text(json.dumps({"d_in": 8, "k": 4}))
        names = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")
        tiny.write(held / "sae.safetensors", {name: torch.zeros(4, 4) for name in names})
        path = held
    else:  # gradients of a CLIP model in OpenCLIP's layout, from which SLUG makes its step in memory
        grads = tiny.openclip(pipe.text_encoder.state_dict(), "transformer.")
        path = tiny.write(tmp_path / "forget_grads.pt", grads)
    with pytest.raises(CheckpointError, match=REFUSED[method]):
        loaded(folder, weights=str(path))


def test_one_tensor_with_two_values_is_refused(folder: Path, pipe: Any, tmp_path: Path) -> None:
    state = as_advunlearn_saves(encoder(pipe))
    state["final_layer_norm.bias"] = state["final_layer_norm.bias"] + 1
    path = tiny.write(tmp_path / "TextEncoder.pt", state)
    with pytest.raises(CheckpointError, match="twice, with different values"):
        loaded(folder, weights=str(path))


def test_the_table_has_every_method() -> None:
    rows = re.findall(r"(?m)^\| ([^|]+?) \|", TABLE.partition("## Versions of image models")[2])
    missing = [method for method in (*FILES, *FOLDERS, *REFUSED) if method not in rows]
    assert not missing
