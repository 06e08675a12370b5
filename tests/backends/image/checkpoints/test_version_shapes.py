"""Every checkpoint shape of the field gives the weights it means; nothing else is read, and nothing is run."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.errors import CheckpointError
from backends.image.checkpoints.folders import load_pipeline
from backends.image.checkpoints.weights import read_version
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest
from backends.study import ModelSpec, Sampling
from tests import tiny_versions as tiny
from tests.tiny_image import write_tiny_stable_diffusion


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stable_diffusion(tmp_path_factory.mktemp("shapes") / "sd")


@pytest.fixture(scope="module")
def pipe(folder: Path) -> Any:
    return load_pipeline(folder, torch.float32)


def version(path: Path, pipe: Any, *, ema: bool = False) -> Any:
    base = {k: m.state_dict() for k, m in pipe.components.items() if isinstance(m, torch.nn.Module)}
    configs = {"unet": pipe.unet.config, "vae": pipe.vae.config}
    return read_version(path, base, configs, ema=ema)


def shapes(pipe: Any) -> dict[str, tuple[str, Any]]:
    """File name and content of every shape that replaces attn2 tensors by themselves plus one half."""
    states = tiny.states_of(pipe)
    unet = tiny.moved(states["unet"])
    part = tiny.only(unet)
    text = states["text_encoder"]
    return {
        "part": ("part.safetensors", part),
        "part with prefix": ("prefix.safetensors", tiny.prefixed(part, "unet.")),
        "whole": ("whole.pt", unet),
        "whole with prefix": ("whole-prefix.pth", tiny.prefixed(unet, "unet.")),
        "delta": ("delta.bin", {"unet": part, "modifier_token": {}}),
        "compvis": ("model.ckpt", tiny.compvis(unet, text)),
        "compvis with the original as average": ("ema.ckpt", tiny.compvis(unet, text, states["unet"])),
        "list": ("ckpt.pth", [tiny.prefixed(unet, "module."), {"state": {}}, 7, states["unet"]]),
    }


NAMES = (
    *("part", "part with prefix", "whole", "whole with prefix", "delta"),
    *("compvis", "compvis with the original as average", "list"),
)


@pytest.mark.parametrize("name", NAMES)
def test_every_shape_gives_the_same_changes(name: str, pipe: Any, tmp_path: Path) -> None:
    file, content = shapes(pipe)[name]
    found = version(tiny.write(tmp_path / file, content), pipe)
    expected = tiny.only(tiny.moved(pipe.unet.state_dict()))
    assert found.tensors.keys() == {"unet"}
    assert found.tensors["unet"].keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(found.tensors["unet"][key], tensor)


def test_the_averaged_copy_is_named_and_taken_on_request(pipe: Any, tmp_path: Path) -> None:
    states = tiny.states_of(pipe)
    average = tiny.moved(states["unet"], "conv_in", 2.0)
    content = tiny.compvis(tiny.moved(states["unet"]), states["text_encoder"], average)
    path = tiny.write(tmp_path / "both.ckpt", content)
    assert set(version(path, pipe).tensors["unet"]) == set(tiny.only(states["unet"]))
    assert "the file also has averaged (EMA) weights" in " ".join(version(path, pipe).notes)
    averaged = version(path, pipe, ema=True)
    assert set(averaged.tensors["unet"]) == {"conv_in.weight", "conv_in.bias"}
    assert "averaged (EMA) weights are used" in " ".join(averaged.notes)


def test_an_average_that_is_the_original_is_refused_with_the_way_out(pipe: Any, tmp_path: Path) -> None:
    states = tiny.states_of(pipe)
    content = tiny.compvis(tiny.moved(states["unet"]), states["text_encoder"], states["unet"])
    path = tiny.write(tmp_path / "both.ckpt", content)
    with pytest.raises(CheckpointError, match=r"0 % changed.*`ema = false` to take the other copy"):
        version(path, pipe, ema=True)


def test_an_average_that_is_not_there_is_refused(pipe: Any, tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "part.safetensors", tiny.only(tiny.moved(pipe.unet.state_dict())))
    lora = tiny.write(tmp_path / "spm.safetensors", tiny.kohya(pipe.unet.state_dict()))
    erasers = tiny.write_erasers(tmp_path / "receler", pipe.unet)
    for each in (path, lora, erasers):
        with pytest.raises(CheckpointError, match="this file has none"):
            version(each, pipe, ema=True)


def test_a_lora_is_merged_as_diffusers_does(pipe: Any, tmp_path: Path) -> None:
    state = tiny.kohya(pipe.unet.state_dict())
    path = tiny.write(tmp_path / "spm.safetensors", state)
    found = version(path, pipe).tensors
    merged = copy.deepcopy(pipe)
    merged.load_lora_weights(dict(state))
    merged.fuse_lora()
    merged.unload_lora_weights()
    expected = merged.unet.state_dict()
    changed = {
        key for key, tensor in expected.items() if not torch.equal(tensor, pipe.unet.state_dict()[key])
    }
    assert len(changed) == len(state) // 3
    assert found["unet"].keys() == changed
    for key in changed:
        assert torch.allclose(found["unet"][key], expected[key], atol=1e-5)


def test_a_lora_in_diffusers_names_is_the_same(pipe: Any, tmp_path: Path) -> None:
    names = {
        n.removesuffix(".weight").replace(".", "_"): n.removesuffix(".weight") for n in pipe.unet.state_dict()
    }
    renamed = {}
    for key, tensor in tiny.kohya(pipe.unet.state_dict()).items():
        module, _, what = key.removeprefix("lora_unet_").partition(".")
        if what != "alpha":
            letter = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}[what]
            # without alpha the scale is 1; kohya's alpha of 1 at rank 2 halves it
            renamed[f"unet.{names[module]}.{letter}"] = tensor / 2 if letter == "lora_A.weight" else tensor
    one = version(tiny.write(tmp_path / "a.safetensors", tiny.kohya(pipe.unet.state_dict())), pipe)
    other = version(tiny.write(tmp_path / "b.safetensors", renamed), pipe)
    assert one.tensors["unet"].keys() == other.tensors["unet"].keys()
    assert all(torch.allclose(one.tensors["unet"][k], t, atol=1e-6) for k, t in other.tensors["unet"].items())


def test_a_lora_for_another_model_is_refused(pipe: Any, tmp_path: Path) -> None:
    state = {key.replace("blocks_0", "blocks_7"): t for key, t in tiny.kohya(pipe.unet.state_dict()).items()}
    with pytest.raises(CheckpointError, match=r"not in the base model, such as unet\.down_blocks_7"):
        version(tiny.write(tmp_path / "spm.safetensors", state), pipe)


def test_a_text_encoder_comes_as_folder_or_file(pipe: Any, tmp_path: Path) -> None:
    encoder = copy.deepcopy(pipe.text_encoder)
    with torch.no_grad():
        next(encoder.parameters()).add_(1.0)
    encoder.save_pretrained(tmp_path / "encoder")
    found = version(tmp_path / "encoder", pipe)
    assert found.tensors.keys() == {"text_encoder"} and len(found.tensors["text_encoder"]) == 1
    again = version(tmp_path / "encoder" / "model.safetensors", pipe)
    assert again.tensors["text_encoder"].keys() == found.tensors["text_encoder"].keys()


def test_a_unet_folder_is_read(pipe: Any, tmp_path: Path) -> None:
    unet = copy.deepcopy(pipe.unet)
    with torch.no_grad():
        unet.conv_out.bias.add_(1.0)
    unet.save_pretrained(tmp_path / "unet")
    assert set(version(tmp_path / "unet", pipe).tensors["unet"]) == {"conv_out.bias"}


def test_erasers_are_added_after_the_cross_attentions(folder: Path, pipe: Any, tmp_path: Path) -> None:
    erasers = tiny.write_erasers(tmp_path / "receler", pipe.unet)
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(folder)))
    alone = models.bytes()
    models.add(ModelSpec("Receler", "unlearned", str(folder), weights=str(erasers)))
    assert alone < models.bytes() < alone * 1.1
    assert "erasers" in models.versions["Receler"].shape
    drawn = pictures(models, "Original", "Receler")
    assert not np.array_equal(drawn[0], drawn[1])

    # the same by hand, as Receler's own inference wraps the attention
    state = torch.load(erasers / "eraser_weights.pt", weights_only=True)
    wrapped = copy.deepcopy(pipe.unet)
    for name, module in wrapped.named_modules():
        if name.endswith("attn2"):
            block = name.split(".")
            mine = state[".".join(block[:3] if block[0] == "mid_block" else block[:4])]

            def add(_m: Any, _a: Any, out: torch.Tensor, mine: Any = mine) -> torch.Tensor:
                hidden = torch.nn.functional.gelu(out @ mine["down.weight"].T + mine["down.bias"])
                return out + hidden @ mine["up.weight"].T + mine["up.bias"]

            module.register_forward_hook(add)
    x, states = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 16)
    ours = models.pipeline("Receler").unet(x, 3, encoder_hidden_states=states).sample
    assert torch.allclose(wrapped(x, 3, encoder_hidden_states=states).sample, ours, atol=1e-6)


def test_half_precision_is_no_change(pipe: Any, tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in tiny.moved(pipe.unet.state_dict()).items()}
    found = version(tiny.write(tmp_path / "half.safetensors", half), pipe)
    assert set(found.tensors["unet"]) == set(tiny.only(half))
    assert all(tensor.dtype == torch.float32 for tensor in found.tensors["unet"].values())


@pytest.mark.parametrize("suffix", ["ckpt", "pt", "bin", "pth"])
def test_code_in_a_pickle_is_never_run(suffix: str, pipe: Any, tmp_path: Path) -> None:
    path = tmp_path / f"evil.{suffix}"
    marker = tmp_path / "ran"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "hook": _Run(str(marker))}, path)
    with pytest.raises(CheckpointError, match="more than tensors and plain containers"):
        version(path, pipe)
    assert not marker.exists()
    path.write_bytes(pickle.dumps(_Run(str(marker))))
    with pytest.raises(CheckpointError):
        version(path, pipe)
    assert not marker.exists()


class _Run:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_half_a_file_and_broken_weights_are_named(pipe: Any, tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "whole.pt", tiny.moved(pipe.unet.state_dict()))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="this checkpoint file is incomplete or damaged"):
        version(path, pipe)
    broken = tiny.only(tiny.moved(pipe.unet.state_dict(), by=float("nan")))
    with pytest.raises(CheckpointError, match="values that are NaN or infinite"):
        version(tiny.write(tmp_path / "nan.safetensors", broken), pipe)
    with pytest.raises(CheckpointError, match="holds no tensors"):
        version(tiny.write(tmp_path / "empty.pt", {"epoch": 3}), pipe)


def test_a_checkpoint_of_another_shape_of_model_is_refused(pipe: Any, tmp_path: Path) -> None:
    states = tiny.states_of(pipe)
    content = tiny.compvis(states["unet"], states["text_encoder"])
    content["state_dict"] = {k: v for k, v in content["state_dict"].items() if "input_blocks" not in k}
    content["state_dict"]["model.diffusion_model.extra.weight"] = torch.zeros(3)
    with pytest.raises(CheckpointError):
        version(tiny.write(tmp_path / "other.ckpt", content), pipe)


def pictures(models: DiffusionModels, *names: str) -> list[Any]:
    requests = [ImageRequest(name, "a cat", 1) for name in names]
    found = [p for p in models.sample(requests, Sampling(steps=2, guidance=3.0), lambda: False) if p.done]
    return [p.pixels for p in sorted(found, key=lambda p: p.index)]


def wrapped(pipe: Any) -> dict[str, tuple[Any, str]]:
    """The part that moved, in what training code and savers put around it, and a word of the note that says so."""
    part = tiny.only(tiny.moved(pipe.unet.state_dict()))
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in part.items():
        module, _, leaf = name.rpartition(".")
        modules.setdefault(module, {})[leaf] = tensor
    adam = {
        "state": {0: {"exp_avg": torch.zeros(3), "step": torch.tensor(1.0)}},
        "param_groups": [{"lr": 1e-4}],
    }
    return {
        "modules": (modules, ""),
        "modules under unet": ({f"unet.{name}": leaves for name, leaves in modules.items()}, ""),
        "compiled": (tiny.prefixed(part, "_orig_mod."), "_orig_mod."),
        "compiled inside": ({f"unet._orig_mod.{name}": t for name, t in part.items()}, "_orig_mod."),
        "distributed and compiled": (tiny.prefixed(part, "module._orig_mod."), "module."),
        "compiled and distributed": (tiny.prefixed(part, "_orig_mod.module."), "module."),
        "model and step": ({"model": part, "step": 7, "optimizer": adam}, "read from model"),
        "state_dict at depth": (
            {"epoch": 1, "model": {"state_dict": {"unet": part}}},
            "read from model / state_dict",
        ),
        "state_dict of a delta": (
            {"state_dict": {"unet": part, "modifier_token": {}}},
            "read from state_dict",
        ),
        "with an average": (
            {"model": part, "ema": pipe.unet.state_dict()},
            "the file also has averaged (EMA) weights",
        ),
    }


WRAPPED = (
    *("modules", "modules under unet", "compiled", "compiled inside", "distributed and compiled"),
    *("compiled and distributed", "model and step", "state_dict at depth", "state_dict of a delta"),
    *("with an average",),
)


@pytest.mark.parametrize("name", WRAPPED)
def test_whatever_is_around_the_weights_is_taken_off_and_said(name: str, pipe: Any, tmp_path: Path) -> None:
    content, said = wrapped(pipe)[name]
    found = version(tiny.write(tmp_path / "file.pt", content), pipe)
    expected = tiny.only(tiny.moved(pipe.unet.state_dict()))
    assert found.tensors.keys() == {"unet"}
    assert found.tensors["unet"].keys() == expected.keys()
    assert all(torch.equal(found.tensors["unet"][key], tensor) for key, tensor in expected.items())
    assert said in " ".join(found.notes)


def test_an_average_beside_the_weights_is_taken_on_request(pipe: Any, tmp_path: Path) -> None:
    unet = pipe.unet.state_dict()
    content = {"model": unet, "ema": tiny.prefixed(tiny.only(tiny.moved(unet)), "module."), "step": 3}
    path = tiny.write(tmp_path / "both.pt", content)
    assert set(version(path, pipe, ema=True).tensors["unet"]) == set(tiny.only(unet))
    with pytest.raises(CheckpointError, match=r"0 % changed.*`ema = true` to take the other copy"):
        version(path, pipe)


def test_containers_without_end_and_tensors_without_memory_are_refused(pipe: Any, tmp_path: Path) -> None:
    deep: Any = {"weight": torch.zeros(1)}
    for _ in range(50):
        deep = {"a": deep}
    with pytest.raises(CheckpointError, match="nested more than"):
        version(tiny.write(tmp_path / "deep.pt", deep), pipe)
    name = next(iter(pipe.unet.state_dict()))
    huge = {name: torch.zeros(1).expand(10**6, 10**6)}
    with pytest.raises(CheckpointError, match=r"has the shape \(1000000, 1000000\)"):
        version(tiny.write(tmp_path / "huge.pt", huge), pipe)


def test_a_folder_with_one_pickle_says_that_the_file_itself_would_be_read(pipe: Any, tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    file = tmp_path / "unet" / "diffusion_pytorch_model.bin"
    tiny.write(file, tiny.moved(pipe.unet.state_dict()))
    with pytest.raises(CheckpointError, match="Name the file itself"):
        version(tmp_path / "unet", pipe)
    assert set(version(file, pipe).tensors["unet"]) == set(tiny.only(pipe.unet.state_dict()))
