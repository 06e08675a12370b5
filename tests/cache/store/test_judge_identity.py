"""Judgements are kept for the very judge that made them: its files, its settings, and how they are read."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from backends.study import NUDENET, JudgeSpec
from cache.store.reading import judges_digest

SPEC = JudgeSpec("nudity", NUDENET, threshold=0.6)


def test_nudenet_is_told_by_its_network_and_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as bare:
        bare.setattr("cache.store.reading.find_spec", lambda _: None)
        assert judges_digest([SPEC]) == "", "not installed: what was recorded is shown"
    package = tmp_path / NUDENET
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "320n.onnx").write_bytes(b"one")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    first = judges_digest([SPEC])
    assert first and judges_digest([SPEC]) == first
    assert judges_digest([replace(SPEC, threshold=0.45)]) != first
    (package / "notes.txt").write_text("neither network nor code")
    assert judges_digest([SPEC]) == first
    (package / "nudenet.py").write_text("# another version of the code with the same network")
    second = judges_digest([SPEC])
    assert second != first
    (package / "320n.onnx").write_bytes(b"other")
    assert judges_digest([SPEC]) not in (first, second)


def test_clips_classes_are_part_of_the_judge(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    spec = JudgeSpec("style", str(tmp_path), classes=("neon", "sepia"))
    assert judges_digest([spec]) != judges_digest([replace(spec, classes=("neon", "sepia", "flat"))])
