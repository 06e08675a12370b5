"""The pack's recorded evidence: one compressed store, taken into the person's cache once.

Compressed because a repository should be small (57 % of the size). Knows nothing about what is in it.
"""

from __future__ import annotations

import json
import lzma
import shutil
import tempfile
from pathlib import Path

from backends.checkpoints.tensors import file_digest
from backends.errors import StoreError
from backends.files.disk import kept, write_whole
from cache.store import Store

RECORDED = "evidence.sqlite.xz"
UNPACKED = 4
"""Times the size of the compressed store that taking it in needs: once unpacked, once in the cache."""
KEPT_FILES = ("checks", "denoising")
"""What a cache keeps beside its store: loader reports, and losses on real pictures."""


def compress(store: Path, pack: Path) -> None:
    """Writes a sealed store into the pack."""
    with store.open("rb") as source, lzma.open(pack / RECORDED, "wb", preset=9) as target:
        shutil.copyfileobj(source, target)


def keep_files(cache: Path, pack: Path) -> None:
    """Copies what a cache keeps in files of its own into the pack."""
    for name in KEPT_FILES:
        shutil.rmtree(pack / name, ignore_errors=True)
        _copy_missing(cache / name, pack / name)
    for path in (pack / "checks").glob("*.json"):
        if json.loads(path.read_text(encoding="utf-8"))["report"] is None:
            path.unlink()  # whether the original draws the same twice is for every machine to find out


def _copy_missing(source: Path, target: Path) -> None:
    for path in sorted(source.glob("*")):
        if not (target / path.name).exists():
            write_whole(target / path.name, path.read_bytes())


def take_in(pack: Path, store: Store) -> None:
    """Absorbs the pack's evidence, unless this store took in this very file before.

    Raises:
        StoreError: the pack's file is damaged, or the cache cannot be written.
    """
    for name in KEPT_FILES:
        with kept("the demo's recorded evidence", store.path.parent):
            _copy_missing(pack / name, store.path.parent / name)
    recorded = pack / RECORDED
    if not recorded.is_file():
        return
    mark = f"pack {file_digest(recorded)}"
    if store.memo(mark) is not None:
        return
    try:
        with (
            kept("the demo's recorded evidence", store.path.parent, UNPACKED * recorded.stat().st_size),
            tempfile.TemporaryDirectory(dir=store.path.parent, prefix=".pack-") as folder,
        ):
            unpacked = Path(folder) / "evidence.sqlite"
            with lzma.open(recorded, "rb") as source, unpacked.open("wb") as target:
                shutil.copyfileobj(source, target)
            store.absorb(unpacked, pack / "images")
    except (lzma.LZMAError, EOFError) as error:
        raise StoreError(
            "the demo's recorded evidence is damaged",
            where=str(recorded),
            how="Restore the file from the repository",
        ) from error
    store.put_memo(mark, b"taken in")
