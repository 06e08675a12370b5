"""Another store, opened to be read: in a copy, so that it stays as it is even where its version is older."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.errors import StoreError
from backends.files.disk import kept
from cache.store.side_files import SIDE_FOLDERS
from cache.store.sqlite_files import copy_database
from cache.store.store import Store

EVIDENCE = "evidence.sqlite"
"""Name of the database in a cache folder."""


def database_of(path: Path) -> Path:
    """The database of a cache that is named by its folder or by the file itself.

    Raises:
        StoreError: there is none.
    """
    file = path / EVIDENCE if path.is_dir() else path
    if not file.is_file():
        raise StoreError(
            "there is no such cache",
            where=str(path),
            how=f"Name a folder with {EVIDENCE}, or such a file",
        )
    return file


@contextmanager
def opened(database: Path, room: Path) -> Iterator[Store]:
    """The store in a database, in a copy of this version that lasts as long as the context; pictures are not copied.

    Args:
        database: is only read.
        room: folder in which there is space for the copy.

    Raises:
        StoreError: it is no store, cannot be read, is of a newer version, or the copy does not fit.
    """
    with kept("a copy of the other cache", room, database.stat().st_size):
        room.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=room, prefix=".other-")
    with folder as name:
        copy = Path(name) / EVIDENCE
        copy_database(database, copy)
        with kept("a copy of the other cache", room):
            for side in SIDE_FOLDERS:
                if (database.parent / side).is_dir():
                    shutil.copytree(database.parent / side, Path(name) / side)
        try:
            store = Store.open(copy)
        except StoreError as error:
            raise StoreError(error.what, where=str(database), how="Ask for another copy") from error
        try:
            yield store
        except StoreError as error:
            if error.where != str(copy):
                raise
            raise StoreError(error.what, where=str(database), how="Ask for another copy") from error
        finally:
            store.close()
