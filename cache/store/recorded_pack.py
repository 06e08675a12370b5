"""The pack's recorded evidence: one compressed store, taken into the person's cache once.

Compressed because a repository should be small (57 % of the size). Knows nothing about what is in it.
"""

from __future__ import annotations

import lzma
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from backends.checkpoints.tensors import file_digest
from backends.errors import StoreError
from backends.files.disk import kept
from cache.store import Store
from cache.store.merge import merge
from cache.store.opening import open_store

RECORDED = "evidence.sqlite.xz"
UNPACKED = 4
"""Times the size of the compressed store that taking it in needs: once unpacked, once in the cache."""


def compress(store: Path, pack: Path) -> None:
    """Writes a sealed store into the pack."""
    with store.open("rb") as source, lzma.open(pack / RECORDED, "wb", preset=9) as target:
        shutil.copyfileobj(source, target)


def unpack(pack: Path, store: Path) -> None:
    """Writes the pack's store, as it is, to a file."""
    with lzma.open(pack / RECORDED, "rb") as source, store.open("wb") as target:
        shutil.copyfileobj(source, target)


def import_recorded(pack: Path, store: Store) -> None:
    """Absorbs the pack's evidence, unless this store took in this very file before.

    Raises:
        StoreError: the pack's file is damaged, or the cache cannot be written.
    """
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
            unpack(pack, unpacked)
            with closing(open_store(unpacked)) as theirs:
                merge(store, theirs, pack / "images")
    except (lzma.LZMAError, EOFError) as error:
        raise StoreError(
            "the demo's recorded evidence is damaged",
            where=str(recorded),
            how="Restore the file from the repository",
        ) from error
    store.put_memo(mark, b"taken in")
