"""Another store, opened to be read: in a copy, so that it stays as it is even where its version is older."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backends.errors import StoreError
from backends.files.disk import kept
from backends.files.plain import NotPlain, read_plain
from cache.store.interface import Store
from cache.store.opening import open_store
from cache.store.side_files import side_files
from cache.store.sqlite import copy_database

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


@dataclass(frozen=True, slots=True)
class OtherStore:
    """Another store that can be read.

    Attributes:
        store: of this version.
        unreadable: files beside its database that were not understood, by their paths in its folder.
    """

    store: Store
    unreadable: tuple[str, ...]


@contextmanager
def opened(database: Path, room: Path) -> Iterator[OtherStore]:
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
        unreadable = _copy_side_files(database.parent, Path(name))
        try:
            store = open_store(copy, tell=lambda _: None)  # what it says is of the copy
        except StoreError as error:
            raise StoreError(error.what, where=str(database), how="Get another copy") from error
        left = [path.relative_to(name).as_posix() for path in side_files(Path(name))]
        try:
            yield OtherStore(store, (*unreadable, *left))
        except StoreError as error:
            if error.where != str(copy):
                raise
            raise StoreError(error.what, where=str(database), how="Get another copy") from error
        finally:
            store.close()


def _copy_side_files(source: Path, target: Path) -> list[str]:
    """Copy what older versions kept beside the database; returns what could not be read."""
    unreadable = []
    for path in side_files(source):
        place = path.relative_to(source)
        try:
            content = read_plain(path)
        except NotPlain:
            unreadable.append(place.as_posix())
            continue
        with kept("a copy of the other cache", target, len(content)):
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            (target / place).write_bytes(content)
    return unreadable
