"""Taking in the demo's recorded evidence on a disk that is full."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from backends.errors import StoreError
from cache.store import open_store
from cache.store.recorded_pack import RECORDED, import_recorded


def test_a_full_disk_is_said_with_its_remedy_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / RECORDED).write_bytes(lzma.compress(b"evidence"))
    store = open_store(tmp_path / "cache" / "evidence.sqlite")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(StoreError, match=r"the disk is full.*recorded evidence.*Free some space"):
        import_recorded(pack, store)
    assert not list(store.path.parent.glob(".pack-*"))
