"""What is done with a store's SQLite file as a whole: a copy of it, and whether its pages are whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from backends.errors import StoreError
from cache.store import schema

MOST_FAULTS = 20


def copy_database(source: Path, target: Path) -> None:
    """Copy a store's file with what its write-ahead log holds; the source is only read.

    Args:
        source: may lie where nothing can be written, and may be open elsewhere.
        target: is not there yet.

    Raises:
        StoreError: the source is no store, is of a newer version or cannot be read; the target does not fit.
    """
    # Immutable: not even a lock is written. A store with a log is somebody's live cache, whose log must be minded.
    live = source.with_name(f"{source.name}-wal").exists()
    address = f"{source.resolve().as_uri()}?mode=ro{'' if live else '&immutable=1'}"
    try:
        with closing(sqlite3.connect(address, uri=True)) as theirs:
            _check(theirs, source)
            with closing(sqlite3.connect(target)) as ours:
                theirs.backup(ours)
    except sqlite3.DatabaseError as error:
        said = str(error)
        if "full" in said or "disk I/O" in said:
            raise schema.explain_sqlite(error, target, source.stat().st_size) from error
        if "not a database" in said:
            raise schema.explain_sqlite(error, source) from error
        raise StoreError(f"the cache cannot be read ({said})", where=str(source)) from error


def faults(path: Path) -> list[str]:
    """What SQLite finds wrong with the pages and indices of a store's file, a line each; empty where all is well.

    Raises:
        StoreError: the file cannot be opened.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute(f"PRAGMA busy_timeout={schema.BUSY_MILLISECONDS}")
            found = connection.execute(f"PRAGMA integrity_check({MOST_FAULTS})").fetchall()
    except sqlite3.DatabaseError as error:
        if "malformed" in str(error):
            return [str(error)]
        raise schema.explain_sqlite(error, path) from error
    return [line for (line,) in found if line != "ok"]


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    schema.check_version(application_id, version, path)
