"""A model is looked at once, and again only where its files changed; young files are looked at every time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.checkpoints import resolved
from backends.checkpoints.resolved import ResolvedModels, signature_of
from backends.checkpoints.usable import problems
from backends.errors import CheckpointError
from backends.files import remembered
from backends.study import ModelSpec, Study
from tests.tiny_text import write_tiny_adapter, write_tiny_model


@pytest.fixture
def study(tmp_path: Path) -> Study:
    base = write_tiny_model(tmp_path / "base")
    adapter = write_tiny_adapter(base, tmp_path / "adapter")
    models = (
        ModelSpec("Original", "original", str(base)),
        ModelSpec("NPO", "unlearned", str(base), adapter=str(adapter)),
        ModelSpec("Gone", "unlearned", str(tmp_path / "gone")),
        ModelSpec("Recorded", "unlearned", str(tmp_path / "gone"), fingerprint="abc:def"),
    )
    return Study("s", "text", models, ())


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Names of the models whose files are read, in order; all files count as old."""
    read: list[str] = []
    really: Callable[[ModelSpec], Any] = resolved._look_at_files

    def look(spec: ModelSpec) -> Any:
        read.append(spec.name)
        return really(spec)

    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(resolved, "_look_at_files", look)
    monkeypatch.setattr(remembered, "YOUNG", -1e9)
    yield read


def test_it_says_where_a_model_is_what_it_is_and_whether_it_runs(study: Study, looks: list[str]) -> None:
    models = ResolvedModels(study)
    assert {name: (each.here, each.can_be_evaluated) for name, each in models.items()} == {
        "Original": (True, True),
        "NPO": (True, True),
        "Gone": (False, False),
        "Recorded": (False, False),
    }
    assert models["Original"].located.folder == Path(study.original.source)
    assert models["Original"].identity != models["NPO"].identity
    assert models["Recorded"].identity.declared() == "abc:def"
    assert list(models.problems()) == ["Gone"]
    assert "there is no such folder" in str(models.problems()["Gone"])
    with pytest.raises(CheckpointError, match="there is no such folder"):
        _ = models["Gone"].identity


def test_files_are_read_once_for_all_who_ask(study: Study, looks: list[str]) -> None:
    for _ in range(3):
        ResolvedModels(study).problems()
        problems(study)
    assert sorted(looks) == ["Gone", "NPO", "Original", "Recorded"]


def test_a_changed_file_makes_another_model_and_the_others_are_not_read_again(
    study: Study, looks: list[str]
) -> None:
    before = ResolvedModels(study)
    known = {name: before[name].identity for name in ("Original", "NPO")}
    looks.clear()
    settings = Path(str(study.model("NPO").adapter)) / "adapter_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"lora_alpha": 77}))
    after = ResolvedModels(study)
    assert after["Original"].identity == known["Original"]
    assert after["NPO"].identity != known["NPO"]
    assert looks == ["NPO"]
    assert before["NPO"].identity == known["NPO"], "work that is under way means the model that it began with"
    assert before.again("NPO").identity == after["NPO"].identity


def test_a_broken_model_is_told_of_until_it_is_mended(study: Study, looks: list[str]) -> None:
    weights = Path(str(study.model("NPO").adapter)) / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    first = ResolvedModels(study).problems()
    assert str(ResolvedModels(study).problems()["NPO"]) == str(first["NPO"])
    assert looks.count("NPO") == 1
    weights.write_bytes(whole)
    assert "NPO" not in ResolvedModels(study).problems()


def test_files_that_just_changed_are_read_every_time(
    study: Study, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "YOUNG", 1e9)
    ResolvedModels(study).problems(["Original"])
    ResolvedModels(study).problems(["Original"])
    assert looks == ["Original", "Original"]


def test_forgotten_digests_are_made_again(study: Study, looks: list[str]) -> None:
    ResolvedModels(study).problems(["Original"])
    remembered.forget_all()
    ResolvedModels(study).problems(["Original"])
    assert looks == ["Original", "Original"]


def test_a_file_that_comes_or_goes_changes_the_signature(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    empty = signature_of([tmp_path, tmp_path / "none"])
    (tmp_path / "inside" / "file").write_text("x")
    full = signature_of([tmp_path, tmp_path / "none"])
    (tmp_path / "none").write_text("x")
    assert len({empty, full, signature_of([tmp_path, tmp_path / "none"])}) == 3
