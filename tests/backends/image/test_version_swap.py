"""Versions that are swapped into the original's modules: the same pictures to the bit, in the memory of one model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from backends.errors import ModelError
from backends.image import pipelines
from backends.image.checkpoints.folders import load_pipeline
from backends.image.pipelines import DiffusionModels
from backends.image.version_swap import inside, keep, tensors_of
from backends.interfaces import ImageRequest
from backends.study import ModelSpec, Sampling
from tests.tiny_image import write_tiny_pipeline

SAMPLING = Sampling(steps=3, guidance=2.0)
NAMES = ("Original", "One", "Two", "Three")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An original, and weights that move a share of everything."""
    root = tmp_path_factory.mktemp("turns")
    folder = write_tiny_pipeline(root / "original")
    unet = load_pipeline(folder, torch.float32).unet.state_dict()
    for number, name in enumerate(NAMES[1:]):
        generator = torch.Generator().manual_seed(number)
        moved = {n: t + 0.05 * torch.randn(t.shape, generator=generator) for n, t in unet.items()}
        save_file(moved, root / f"{name}.safetensors")
    return folder


def specs(folder: Path) -> list[ModelSpec]:
    original = ModelSpec("Original", "original", str(folder))
    paths = {name: str(folder.parent / f"{name}.safetensors") for name in NAMES[1:]}
    return [original, *(ModelSpec(n, "unlearned", str(folder), weights=path) for n, path in paths.items())]


def loaded(folder: Path, share: float, monkeypatch: pytest.MonkeyPatch) -> DiffusionModels:
    monkeypatch.setattr(pipelines, "SHARE", share)
    models = DiffusionModels("cpu", "float32")
    for spec in specs(folder):
        models.add(spec)
    return models


def drawn(models: DiffusionModels, *names: str) -> list[np.ndarray]:
    requests = [ImageRequest(name, "cat", seed) for name in names for seed in (1, 2)]
    done = [part for part in models.sample(requests, SAMPLING, lambda: False) if part.done]
    return [part.pixels for part in sorted(done, key=lambda part: part.index)]


def test_pictures_are_the_same_to_the_bit_and_memory_is_that_of_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, turns = loaded(folder, 9.0, monkeypatch), loaded(folder, 0.25, monkeypatch)
    alone = DiffusionModels("cpu", "float32")
    alone.add(specs(folder)[0])
    assert held.bytes() > 3 * alone.bytes()
    assert turns.bytes() == alone.bytes()
    for names in (NAMES, ("Two", "Original", "One"), ("Original",)):
        pairs = zip(drawn(held, *names), drawn(turns, *names), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)
    assert turns.bytes() == alone.bytes()


def test_the_pipeline_of_a_version_is_whole_and_its_original_untouched(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = loaded(folder, 0.25, monkeypatch)
    found = models.pipeline("One").unet.state_dict()
    expected = load_file(folder.parent / "One.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    original = load_pipeline(folder, torch.float32).unet.state_dict()
    ours = models.pipeline("Original").unet.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in original.items())
    report = models.report("One", "Original")
    assert (report.matched, report.changed) == (len(expected), len(expected))
    assert models.identity_check("Original", SAMPLING) == ""
    assert models.identity_check("One", SAMPLING) != ""  # its folder is the original's


def test_a_folder_that_differs_in_its_tensors_only_takes_turns_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = write_tiny_pipeline(tmp_path / "retained", seed=1)
    retained, half = ModelSpec("R", "retained", str(other)), dialled(specs(folder)[0], "R", str(other))
    drawings = []
    for share in (9.0, 0.25):
        monkeypatch.setattr(pipelines, "SHARE", share)
        models = DiffusionModels("cpu", "float32")
        models.add(specs(folder)[0])
        alone = models.bytes()
        for spec in (retained, half):
            models.add(spec)
        assert (models.bytes() == alone) == (share < 1)
        assert models.identity_check("R", SAMPLING) == ""
        (doubt,) = models.report("R", "Original").differences  # it is another random model
        assert "another base model" in doubt
        drawings.append(drawn(models, "R", "Original", half.name))
    assert all(np.array_equal(one, two) for one, two in zip(*drawings, strict=True))
    assert not np.array_equal(drawings[0][0], drawings[0][2])


def test_a_folder_with_other_settings_keeps_modules_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = write_tiny_pipeline(tmp_path / "other", seed=1)
    path = other / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "act_fn": "gelu"}))
    models = loaded(folder, 0.25, monkeypatch)
    alone = models.bytes()
    models.add(ModelSpec("Other", "unlearned", str(other)))
    assert models.bytes() > 1.5 * alone
    assert models.pipeline("Other").unet.config.act_fn == "gelu"


def dialled(original: ModelSpec, name: str, source: str) -> ModelSpec:
    return ModelSpec(f"{name} half", "unlearned", source, strength=0.5, origin=original.source)


@pytest.mark.parametrize("how", ["close", "forget", "error", "stop"])
def test_the_original_is_back_however_a_turn_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    models = loaded(folder, 0.25, monkeypatch)
    before = drawn(models, "Original")
    seen: list[int] = []
    many = Sampling(steps=200)
    pictures = models.sample([ImageRequest("One", "cat", 1)], many, lambda: how == "stop" and bool(seen))
    next(pictures)
    if how == "close":
        pictures.close()  # type: ignore[attr-defined]
    elif how == "error":
        with pytest.raises(RuntimeError):
            pictures.throw(RuntimeError("broken off"))  # type: ignore[attr-defined]
    elif how == "stop":
        seen.append(1)
        assert not any(part.done for part in pictures)
    # Where it is only forgotten, the next call ends it.
    assert all(
        np.array_equal(one, other) for one, other in zip(before, drawn(models, "Original"), strict=True)
    )
    assert not any(part.done for part in pictures)


def test_what_another_thread_draws_is_not_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = loaded(folder, 0.25, monkeypatch)
    refused: list[str] = []

    def ask() -> bool:
        try:
            models.pipeline("Original")
        except ModelError as error:
            refused.append(str(error))
        return False

    request = [ImageRequest("One", "cat", 1)]
    assert [part.done for part in models.sample(request, SAMPLING, ask)][-1]
    assert refused and "These models are busy" in refused[0]


def test_a_version_that_finds_no_disk_is_held_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "file"))
    full = loaded(folder, 0.25, monkeypatch)
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path))
    turns = loaded(folder, 0.25, monkeypatch)
    assert full.bytes() > 3 * turns.bytes()
    pairs = zip(drawn(full, *NAMES), drawn(turns, *NAMES), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bits_come_and_go_exactly(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.BatchNorm2d(4).to(dtype)
    module.weight.data = torch.tensor([0.0, -0.0, 1e-8, float("inf")]).to(dtype)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    changed = {
        "weight": torch.tensor([-0.0, 0.0, float("-inf"), 3.0]).to(dtype),
        "running_mean": torch.randn(4).to(dtype),
        "num_batches_tracked": torch.tensor(7),
    }
    kept = keep({"unet": module}, {"unet": changed})
    assert kept is not None
    with inside(kept):
        assert same_bits(module.state_dict(), {**before, **changed})
    assert same_bits(module.state_dict(), before)
    assert same_bits(tensors_of(kept)["unet"], changed)


def bits(tensor: Tensor) -> list[int]:
    found: list[int] = tensor.detach().reshape(-1).view(torch.uint8).tolist()
    return found


def same_bits(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(bits(one[name]) == bits(other[name]) for name in other)


def test_one_tensor_under_two_names_is_changed_once() -> None:
    module = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    module["b"].weight = module["a"].weight
    before = module["a"].weight.detach().clone()
    ones = {"a.weight": torch.ones(2, 2), "b.weight": torch.ones(2, 2)}
    kept = keep({"text_encoder": module}, {"text_encoder": ones})
    assert kept is not None
    with inside(kept):
        assert torch.equal(module["b"].weight, torch.ones(2, 2))
    assert torch.equal(module["a"].weight, before)
    assert keep({"m": module}, {"m": {**ones, "b.weight": torch.zeros(2, 2)}}) is None
