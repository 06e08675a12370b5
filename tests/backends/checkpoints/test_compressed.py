"""Compressed weights are the weights: same identity, same answers, unpacked once; damaged ones are named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from backends.checkpoints import compressed
from backends.checkpoints.hub import version_path
from backends.checkpoints.identity import available, identity, inspect, resolve
from backends.errors import CheckpointError
from backends.interfaces import ScoreItem
from backends.study import ModelSpec
from backends.text.models import LanguageModels
from tests.tiny_text import write_tiny_adapter, write_tiny_model


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def packed(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    for file in list(target.rglob("*.safetensors")):
        compressed.compress(file)
    assert not list(target.rglob("*.safetensors"))
    return target


def weights(value: int) -> bytes:
    noise = np.random.default_rng(value).integers(0, 255, 4096, np.uint8)
    return save({"a": noise})


def test_a_model_and_an_adapter_are_the_same_compressed(tmp_path: Path) -> None:
    base = write_tiny_model(tmp_path / "base")
    adapter = write_tiny_adapter(base, tmp_path / "adapter")
    plain = ModelSpec("Plain", "unlearned", str(base), adapter=str(adapter))
    small = ModelSpec(
        "Small",
        "unlearned",
        str(packed(base, tmp_path / "small")),
        adapter=str(packed(adapter, tmp_path / "small-adapter")),
    )
    assert available(small)
    inspect(small, "text")
    assert identity(small) == identity(plain)
    found = []
    for spec in (plain, small):
        models = LanguageModels("cpu")
        models.add(spec)
        (scored,) = models.score(spec.name, [ScoreItem("Who?", "Ada Quill.")], lambda: False)
        found.append(scored.scores.logprobs.tolist())
    assert found[0] == found[1]


def test_a_file_is_unpacked_once_and_again_when_it_changed(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "part.safetensors"
    file.write_bytes(weights(1))
    compressed.compress(file)
    assert compressed.is_here(file) and not file.exists()
    first = version_path(str(file))
    assert first.read_bytes() == weights(1) and first.is_relative_to(cache)
    made = first.stat().st_mtime_ns
    assert version_path(str(file)) == first and first.stat().st_mtime_ns == made
    file.write_bytes(weights(2))
    assert version_path(str(file)) == file, "what is not compressed is taken as it is"
    compressed.compress(file)
    assert version_path(str(file)).read_bytes() == weights(2)


def test_a_damaged_file_is_named_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(weights(7))
    file = compressed.compress(folder / "adapter_model.safetensors")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match=r"adapter: these compressed weights are damaged"):
        resolve(str(folder))
    assert not list((cache / "unpacked").iterdir())


def test_what_unpacks_to_more_than_it_states_is_refused_before_it_fills_the_disk(
    tmp_path: Path, cache: Path
) -> None:
    file = tmp_path / "part.safetensors"
    file.write_bytes(weights(1) + bytes(64 * 2**20))
    compressed.compress(file)
    with pytest.raises(CheckpointError, match="more than the safetensors file inside states"):
        version_path(str(file))
    file.write_bytes(bytes(2**20))
    compressed.compress(file)
    with pytest.raises(CheckpointError, match=r"no safetensors file is inside|no whole"):
        version_path(str(file))
    assert not list((cache / "unpacked").iterdir())
