"""Models and unlearned weights on the hub, found in the hub's own cache, laid out as it lays it out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from backends.checkpoints.hub import version_path
from backends.checkpoints.identity import available, identity, inspect
from backends.errors import CheckpointError
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest
from backends.study import ModelSpec, Sampling
from backends.study.file import read_study
from tests.tiny_image import write_tiny_pipeline, write_tiny_weights

COMMIT = "b" * 40
WEIGHTS = "hf://lab/erased/esd/unet.safetensors"
STUDY = f"""
name = "Hub"
modality = "image"

[[models]]
name = "Original"
part = "original"
source = "hf://lab/base"
subfolder = "small"

[[models]]
name = "ESD"
part = "unlearned"
source = "hf://lab/base"
subfolder = "small"
weights = "{WEIGHTS}"

[[probes]]
file = "forget.jsonl"
role = "forget"
"""


def to_hub(cache: Path, repository: str, files: Path, commit: str = COMMIT) -> None:
    """Lay a folder's files into a hub cache: blobs by their hash, links to them by commit, and where `main` is."""
    top = cache / f"models--{repository.replace('/', '--')}"
    for file in sorted(path for path in files.rglob("*") if path.is_file()):
        content = file.read_bytes()
        blob = top / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = top / "snapshots" / commit / file.relative_to(files)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    (top / "refs").mkdir(exist_ok=True)
    (top / "refs" / "main").write_text(commit)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline's folder, whose copy is `small/` of lab/base on the hub, with weights for it in lab/erased."""
    folder = write_tiny_pipeline(tmp_path / "base" / "small")
    (tmp_path / "erased" / "esd").mkdir(parents=True)
    write_tiny_weights(tmp_path / "erased" / "esd" / "unet.safetensors", folder)
    cache = tmp_path / "hub"
    to_hub(cache, "lab/base", tmp_path / "base")
    to_hub(cache, "lab/erased", tmp_path / "erased")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return folder


def test_a_study_of_hub_models_draws_what_the_same_files_in_folders_draw(
    pipeline: Path, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "forget.jsonl").write_text('{"prompt": "cat"}\n')
    study = read_study(tmp_path / "study.toml")
    assert study.models[1].weights == WEIGHTS
    here = [
        ModelSpec("Original here", "original", str(pipeline)),
        ModelSpec(
            "ESD here",
            "unlearned",
            str(pipeline),
            weights=str(tmp_path / "erased" / "esd" / "unet.safetensors"),
        ),
    ]
    models = DiffusionModels("cpu", "float32")
    for spec, local in zip(study.models, here, strict=True):
        assert available(spec)
        inspect(spec, "image")
        assert identity(spec) == identity(local)
        models.add(spec)
        models.add(local)
    names = ("Original", "ESD", "Original here", "ESD here")
    requests = [ImageRequest(name, "cat", 1) for name in names]
    done = [each for each in models.sample(requests, Sampling(steps=2), lambda: False) if each.done]
    original, esd, *others = (each.pixels for each in sorted(done, key=lambda each: each.index))
    assert np.array_equal(original, others[0]) and np.array_equal(esd, others[1])
    assert not np.array_equal(original, esd)


def test_weights_may_be_a_folder_of_the_hub_or_all_of_a_repository(pipeline: Path) -> None:
    for weights in ("hf://lab/erased/esd", "hf://lab/erased"):
        spec = ModelSpec("ESD", "unlearned", "lab/base", subfolder="small", weights=weights)
        assert available(spec) and version_path(weights).is_dir()
    models = DiffusionModels("cpu", "float32")
    models.add(ModelSpec("ESD", "unlearned", "lab/base", subfolder="small", weights="hf://lab/erased/esd"))
    assert set(models.versions["ESD"].shape.split()) >= {"part", "unet"}


def test_what_the_hub_does_not_have_is_said(pipeline: Path) -> None:
    for weights, words in (
        ("hf://lab/erased/esd/other.safetensors", "no such file"),
        ("hf://lab/nothing/unet.safetensors", "the hub has no such repository or cannot be reached"),
    ):
        spec = ModelSpec("ESD", "unlearned", "lab/base", subfolder="small", weights=weights)
        assert not available(spec)
        with pytest.raises(CheckpointError, match=words):
            inspect(spec, "image")
        with pytest.raises(CheckpointError, match=words):
            DiffusionModels("cpu", "float32").add(spec)
    with pytest.raises(CheckpointError, match="holds no model"):
        inspect(ModelSpec("Original", "original", "lab/base", subfolder="large"), "image")


def test_a_revision_is_the_one_that_is_asked_for(pipeline: Path, tmp_path: Path) -> None:
    write_tiny_pipeline(tmp_path / "newer" / "small", seed=1)
    to_hub(tmp_path / "hub", "lab/base", tmp_path / "newer", "c" * 40)
    newest = identity(ModelSpec("O", "original", "lab/base", subfolder="small"))
    older = identity(ModelSpec("O", "original", "lab/base", subfolder="small", revision=COMMIT))
    assert newest != older and older == identity(ModelSpec("O", "original", str(pipeline)))
