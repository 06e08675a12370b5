"""The pack's recorded evidence: one compressed store, taken into the person's cache once.

Compressed because a repository should be small (57 % of the size). Knows nothing about what is in it.
"""

from __future__ import annotations

import lzma
import shutil
import tempfile
from pathlib import Path

from backends.errors import StoreError
from backends.tensors import file_digest
from cache.store import Store

RECORDED = "evidence.sqlite.xz"


def compress(store: Path, pack: Path) -> None:
    """Writes a sealed store into the pack."""
    with store.open("rb") as source, lzma.open(pack / RECORDED, "wb", preset=9) as target:
        shutil.copyfileobj(source, target)


def take_in(pack: Path, store: Store) -> None:
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
        with tempfile.TemporaryDirectory(dir=store.path.parent, prefix=".pack-") as folder:
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
    except OSError as error:
        raise StoreError(
            f"the cache cannot be written ({error.strerror})",
            where=str(store.path.parent),
            how="Free some space, or choose another folder with --cache",
        ) from error
    store.put_memo(mark, b"taken in")
