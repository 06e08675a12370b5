"""The strength curve: weights are original + a (unlearned - original), for adapters, full models and image versions."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from backends.checkpoints.identity import available, identity
from backends.errors import CheckpointError, StudyError
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ScoreItem
from backends.study import ModelSpec
from backends.study.strength import dialled
from backends.text.models import LanguageModels
from tests import tiny_versions as tiny
from tests.tiny_image import write_tiny_stable_diffusion
from tests.tiny_text import write_tiny_adapter, write_tiny_model

ITEM = ScoreItem(prompt="Who is it?", answer="It is Ada.")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"))


def scores(models: LanguageModels, name: str) -> np.ndarray[Any, Any]:
    return next(iter(models.score(name, [ITEM], lambda: False))).scores.logprobs


def merged(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    """Weights of base + adapter, by PEFT's own merge."""
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def by_hand(
    start: dict[str, torch.Tensor], end: dict[str, torch.Tensor], a: float, folder: Path, base: Path
) -> Path:
    model = LlamaForCausalLM.from_pretrained(base)
    model.load_state_dict({name: start[name] + a * (end[name] - start[name]) for name in start})
    model.save_pretrained(folder)
    for file in base.glob("tokenizer*"):
        (folder / file.name).write_bytes(file.read_bytes())
    for file in base.glob("chat_template*"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("a", [-0.5, 0.3, 1.5])
@pytest.mark.parametrize("tuned", [False, True], ids=["bare-original", "original-is-an-adapter"])
def test_adapters_are_mixed_as_merged_weights_would_be(
    base: Path, tmp_path: Path, a: float, tuned: bool
) -> None:
    unlearned = write_tiny_adapter(base, tmp_path / "u", seed=1)
    tuning = write_tiny_adapter(base, tmp_path / "o", seed=2, rank=2) if tuned else None
    original = ModelSpec("O", "original", str(base), adapter=str(tuning) if tuning else None)
    spec = dialled(original, ModelSpec("U", "unlearned", str(base), adapter=str(unlearned)), a)
    plain = {name: tensor for name, tensor in LlamaForCausalLM.from_pretrained(base).state_dict().items()}
    start = merged(base, tuning) if tuning else plain
    hand = by_hand(start, merged(base, unlearned), a, tmp_path / "hand", base)
    models = LanguageModels("cpu")
    for each in (spec, ModelSpec("hand", "unlearned", str(hand)), original):
        models.add(each)
    assert scores(models, spec.name) == pytest.approx(scores(models, "hand"), abs=2e-5)
    assert not np.allclose(scores(models, spec.name), scores(models, "O"), atol=1e-3)


@pytest.mark.parametrize("a", [-0.5, 0.4, 1.5])
def test_full_models_are_mixed_and_share_what_is_equal(base: Path, tmp_path: Path, a: float) -> None:
    start = {name: t for name, t in LlamaForCausalLM.from_pretrained(base).state_dict().items()}
    end = {name: t + 0.2 * torch.randn_like(t) if "q_proj" in name else t for name, t in start.items()}
    unlearned = by_hand(start, end, 1.0, tmp_path / "full", base)
    hand = by_hand(start, end, a, tmp_path / "hand", base)
    original = ModelSpec("O", "original", str(base))
    spec = dialled(original, ModelSpec("U", "unlearned", str(unlearned)), a)
    models = LanguageModels("cpu")
    models.add(original)
    before = models.bytes()
    models.add(spec)
    own = sum(t.numel() * t.element_size() for name, t in start.items() if "q_proj" in name)
    storages = {
        p.data_ptr(): p.numel() * p.element_size()
        for family in models._families.values()
        for p in family.module.parameters()
    }
    assert sum(storages.values()) == before + own
    models.add(ModelSpec("hand", "unlearned", str(hand)))
    assert scores(models, spec.name) == pytest.approx(scores(models, "hand"), abs=2e-5)


def test_the_ends_of_the_dial_are_the_models_themselves(base: Path, tmp_path: Path) -> None:
    adapter = write_tiny_adapter(base, tmp_path / "u")
    original = ModelSpec("O", "original", str(base))
    unlearned = ModelSpec("U", "unlearned", str(base), adapter=str(adapter))
    ends = [identity(dialled(original, unlearned, a)).fingerprint for a in (0.0, 1.0)]
    assert ends == [identity(original).fingerprint, identity(unlearned).fingerprint]
    between = {identity(dialled(original, unlearned, a)).fingerprint for a in (-0.5, 0.5, 0.75, 1.5)}
    assert len(between | set(ends)) == 6
    assert available(dialled(original, unlearned, 0.5))
    other = write_tiny_adapter(base, tmp_path / "o", seed=9)
    tuned = ModelSpec("O", "original", str(base), adapter=str(other))
    assert identity(dialled(tuned, unlearned, 0.5)).fingerprint not in between


@pytest.mark.parametrize("shape", ["part", "lora", "erasers", "folder"])
def test_image_versions_of_every_kind_are_mixed(tmp_path: Path, shape: str) -> None:
    folder = write_tiny_stable_diffusion(tmp_path / "sd")
    original = ModelSpec("O", "original", str(folder))
    models = DiffusionModels("cpu", "float32")
    models.add(original)
    unet = models.pipeline("O").unet
    states = tiny.states_of(models.pipeline("O"))
    if shape == "folder":
        other = write_tiny_stable_diffusion(tmp_path / "other", seed=5)
        unlearned = ModelSpec("U", "unlearned", str(other))
    else:
        if shape == "part":
            weights = tiny.write(tmp_path / "esd.safetensors", tiny.only(tiny.moved(states["unet"])))
        elif shape == "lora":
            weights = tiny.write(tmp_path / "lora.safetensors", tiny.kohya(states["unet"]))
        else:
            weights = tiny.write_erasers(tmp_path / "erasers", unet)
        unlearned = ModelSpec("U", "unlearned", str(folder), weights=str(weights))
    half, most = dialled(original, unlearned, 0.5), dialled(original, unlearned, 1.5)
    for spec in (unlearned, half, most):
        models.add(spec)
    random = torch.Generator().manual_seed(0)
    inputs = (
        torch.randn(1, unet.config.in_channels, 8, 8, generator=random),
        torch.tensor([3]),
        torch.randn(1, 5, unet.config.cross_attention_dim, generator=random),
    )
    start, end = (models.pipeline(name).unet.state_dict() for name in ("O", "U"))
    for spec, a in ((half, 0.5), (most, 1.5)):
        found = models.pipeline(spec.name).unet.state_dict()
        for name, tensor in end.items():
            if ".eraser." in name:
                share = a if "eraser.up_" in name else 1.0
                assert torch.allclose(found[name], share * tensor)
            else:
                assert torch.allclose(found[name], start[name] + a * (tensor - start[name]), atol=1e-6), name
    with torch.no_grad():
        drawn = [models.pipeline(name).unet(*inputs).sample for name in ("O", half.name, "U", most.name)]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(drawn, 2))


def test_what_cannot_be_mixed_is_said_before_anything_is_loaded(base: Path, tmp_path: Path) -> None:
    original = ModelSpec("O", "original", str(base))
    adapted = ModelSpec("U", "unlearned", str(tmp_path), adapter="a")
    for start, end, words in (
        (original, adapted, "different bases"),
        (original, ModelSpec("U", "unlearned", str(base), adapter="a", quantization="nf4"), "quantised"),
        (original, ModelSpec("U", "unlearned", str(tmp_path), weights="w"), "another base"),
        (
            ModelSpec("O", "original", "x", weights="w"),
            ModelSpec("U", "unlearned", "x"),
            "itself defined as a change",
        ),
        (original, ModelSpec("U", "unlearned", "y", subfolder="z"), "subfolders"),
        (original, ModelSpec("U", "unlearned", "y", strength=0.5, origin="x"), "only an unlearned model"),
    ):
        with pytest.raises(StudyError, match=words):
            dialled(start, end, 0.5)
    other = write_tiny_model(tmp_path / "wide", width=64)
    models = LanguageModels("cpu")
    with pytest.raises(CheckpointError, match="not have the same tensors"):
        models.add(dialled(original, ModelSpec("U", "unlearned", str(other)), 0.5))


def test_an_original_that_carries_adapters_is_still_mixed_as_itself(base: Path, tmp_path: Path) -> None:
    adapter = write_tiny_adapter(base, tmp_path / "a")
    full = tmp_path / "full"
    full.mkdir()
    for file in base.iterdir():
        (full / file.name).write_bytes(file.read_bytes())
    tensors = load_file(full / "model.safetensors")
    save_file(
        {n: t * 1.1 if "q_proj" in n else t for n, t in tensors.items()},
        full / "model.safetensors",
        {"format": "pt"},
    )
    original = ModelSpec("O", "original", str(base))
    spec = dialled(original, ModelSpec("U", "unlearned", str(full)), 0.5)
    fresh, used = LanguageModels("cpu"), LanguageModels("cpu")
    fresh.add(spec)
    for each in (original, ModelSpec("A", "unlearned", str(base), adapter=str(adapter)), spec):
        used.add(each)
    assert scores(used, spec.name).tolist() == scores(fresh, spec.name).tolist()
