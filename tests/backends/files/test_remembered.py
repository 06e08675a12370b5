"""Remembered digests: found again, and never for another content, however the file got it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from backends.files import remembered as module
from backends.files.remembered import forget_all, remembered


class Hashing:
    """Counts how often a file was read."""

    def __init__(self, file: Path) -> None:
        self.file, self.reads = file, 0

    def __call__(self) -> str:
        self.reads += 1
        return self.file.read_text()

    def asked(self, what: str = "file") -> str:
        return remembered(what, [self.file], self)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hashing:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "weights"
    path.write_text("one")
    return Hashing(path)


@pytest.fixture
def old(file: Hashing, monkeypatch: pytest.MonkeyPatch) -> Hashing:
    """As if all stamps were older than what counts as young."""
    monkeypatch.setattr(module, "YOUNG", -1e9)
    return file


def test_an_old_file_is_read_once(old: Hashing) -> None:
    assert [old.asked(), old.asked()] == ["one", "one"] and old.reads == 1


def test_a_young_file_is_read_every_time(file: Hashing, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change again within the same stamp; the coarsest ones are of two seconds."""
    assert module.YOUNG > 2
    monkeypatch.setattr(module, "YOUNG", 1e9)
    assert [file.asked(), file.asked()] == ["one", "one"] and file.reads == 2


def test_a_change_with_the_old_time_put_back_is_noticed(file: Hashing) -> None:
    file.asked()
    stamp = os.stat(file.file)
    file.file.write_text("two")
    os.utime(file.file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert file.asked() == "two" and file.reads == 2


def test_a_replacement_in_place_with_equal_size_and_time_is_noticed(old: Hashing) -> None:
    old.asked()
    stamp = os.stat(old.file)
    old.file.write_text("two")
    os.utime(old.file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert os.stat(old.file).st_mtime_ns == stamp.st_mtime_ns
    assert old.asked() == "two"


def test_another_file_moved_to_the_place_with_the_same_time_is_noticed(old: Hashing, tmp_path: Path) -> None:
    old.asked()
    other = tmp_path / "other"
    other.write_text("two")
    shutil.copystat(old.file, other)
    other.replace(old.file)
    assert old.asked() == "two"


def test_a_file_that_changes_while_it_is_read_is_not_remembered(old: Hashing) -> None:
    def while_changing() -> str:
        said = old()
        old.file.write_text("longer")
        return said

    assert remembered("file", [old.file], while_changing) == "one"
    assert old.asked() == "longer"


def test_different_digests_of_one_file_are_kept_apart(old: Hashing) -> None:
    old.asked("weights")
    assert remembered("version", [old.file], lambda: "another") == "another"


def test_everything_can_be_read_again(old: Hashing) -> None:
    old.asked()
    forget_all()
    old.asked()
    assert old.reads == 2


def test_a_cache_that_cannot_be_written_costs_time_only(
    old: Hashing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").write_text("")
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "plain"))
    assert [old.asked(), old.asked()] == ["one", "one"] and old.reads == 2
