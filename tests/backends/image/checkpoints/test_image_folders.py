"""Whole folders beside an original: half precision is rounding, not unlearning; what cannot belong is said."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from app.cli.models import lines
from backends.checkpoints.loader_report import LoaderReport, ModelCheck
from backends.image.checkpoints.folders import load_pipeline
from backends.image.pipelines import DiffusionModels
from backends.study import ModelSpec
from tests import tiny_versions as tiny
from tests.tiny_image import write_tiny_stable_diffusion


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stable_diffusion(tmp_path_factory.mktemp("folders") / "sd")


def half(original: Path, to: Path, *, part: str = "", variant: str | None = None) -> Path:
    """The original as MACE and the hub have it: float16, some tensors moved."""
    pipe = load_pipeline(original, torch.float32)
    with torch.no_grad():
        for name, parameter in pipe.unet.named_parameters():
            if part and part in name:
                parameter.add_(0.05)
    pipe.to(torch.float16).save_pretrained(to, variant=variant)
    return to


def reported(original: Path, folder: Path, **more: Any) -> tuple[LoaderReport, DiffusionModels]:
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("Original", "original", str(original)))
    models.add(ModelSpec("Version", "unlearned", str(folder), **more))
    return models.report("Version", "Original"), models


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_a_half_precision_folder_differs_in_what_was_unlearned_only(
    original: Path, tmp_path: Path, variant: str | None
) -> None:
    report, models = reported(original, half(original, tmp_path / "mace", part="attn2", variant=variant))
    unet = load_pipeline(original, torch.float32).unet.state_dict()
    assert report.changed == len(tiny.only(unet))
    assert report.rounded > 50
    assert {block.component for block in report.blocks} == {"unet"}
    assert not report.differences
    alone = DiffusionModels("cpu", "float32")
    alone.add(ModelSpec("Original", "original", str(original)))
    moved = sum(tensor.numel() * tensor.element_size() for tensor in tiny.only(unet).values())
    assert models.bytes() <= alone.bytes() + moved


def test_a_full_precision_folder_beside_a_half_precision_original(original: Path, tmp_path: Path) -> None:
    narrow = half(original, tmp_path / "half")
    report, _ = reported(narrow, original)
    assert (report.changed, report.share) == (0, 0.0)
    assert report.rounded > 50
    unet = load_pipeline(original, torch.float32).unet.state_dict()
    part = tiny.write(tmp_path / "whole.safetensors", tiny.moved(unet, by=0.05))
    changed, _ = reported(narrow, narrow, weights=str(part))
    assert changed.changed == len(tiny.only(unet))
    assert changed.rounded > 20


def test_versions_in_half_precision_take_turns_with_few_tensors_on_disk(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.image.pipelines.SHARE", 0.0)
    report, models = reported(original, half(original, tmp_path / "mace", part="attn2"))
    assert models.bytes() == reported(original, original)[1].bytes()
    assert report.rounded > 50
    assert report.changed == len(tiny.only(load_pipeline(original, torch.float32).unet.state_dict()))


def test_a_folder_that_equals_the_original_says_so(original: Path, tmp_path: Path) -> None:
    shutil.copytree(original, tmp_path / "copy")
    report, _ = reported(original, tmp_path / "copy")
    (line,) = lines({"Version": ModelCheck(report)})
    assert "none differs from the original's" in line
    rounded, _ = reported(original, half(original, tmp_path / "half"))
    (line,) = lines({"Version": ModelCheck(rounded)})
    assert "more by rounding only" in line


def test_weights_that_cannot_belong_to_the_base_are_doubted_with_numbers(
    original: Path, tmp_path: Path
) -> None:
    unet = load_pipeline(original, torch.float32).unet.state_dict()
    torch.manual_seed(3)
    other = {name: tensor.std() * torch.randn_like(tensor) + tensor.mean() for name, tensor in unet.items()}
    vector = {name: 0.01 * torch.randn_like(tensor) for name, tensor in unet.items()}
    mask = {name: (torch.rand_like(tensor) > 0.5).float() for name, tensor in unet.items()}
    for name, content, told in (
        ("other", other, "another base model, or of a mask"),
        ("vector", vector, "typical of a task vector"),
        ("mask", mask, "another base model, or of a mask"),
    ):
        path = tiny.write(tmp_path / f"{name}.safetensors", content)
        report, _ = reported(original, original, weights=str(path))
        assert told in report.differences[0], report.differences
        assert "relative difference" in report.differences[0]


def test_part_of_another_base_is_doubted_however_little_it_is(original: Path, tmp_path: Path) -> None:
    unet = tiny.only(load_pipeline(original, torch.float32).unet.state_dict(), "attn2.to_v")
    torch.manual_seed(3)
    other = {name: tensor.std() * torch.randn_like(tensor) for name, tensor in unet.items()}
    path = tiny.write(tmp_path / "part.safetensors", other)
    report, _ = reported(original, original, weights=str(path))
    assert "another base model" in report.differences[0]


def test_strong_unlearning_is_not_doubted(original: Path, tmp_path: Path) -> None:
    unet = copy.deepcopy(load_pipeline(original, torch.float32).unet.state_dict())
    torch.manual_seed(3)
    moved = {
        name: tensor + 0.5 * tensor.std(unbiased=False) * torch.randn_like(tensor)
        for name, tensor in unet.items()
    }
    path = tiny.write(tmp_path / "far.safetensors", moved)
    report, _ = reported(original, original, weights=str(path))
    assert not report.differences
