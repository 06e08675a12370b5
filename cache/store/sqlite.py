"""The store's database in one SQLite file. The one module that knows SQLite.

Several threads and processes may have the file open (write-ahead log); one at a time writes, the others wait.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection, Engine, create_engine, event, insert
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from backends.errors import StoreError
from backends.files.disk import NOTHING_LOST, free_bytes, full
from cache.store.interface import BrokenPage
from cache.store.schema import SCHEMA_VERSION, meta, metadata

APPLICATION_ID = 0x554E4C42
"""SQLite's application_id, "UNLB": tells our files from other databases."""
BUSY_MILLISECONDS = 30_000
MOST_FAULTS = 20
ROOM = 256 * 1024
"""Bytes that a write needs beside what is written: pages of the index, the write-ahead log and its own index."""


class SqliteDatabase:
    """See `interface.Database`."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._path = path
        self._engine = engine
        self._watch = _Watch(path)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with; BrokenPage where a part cannot be read."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            raise explain(error, self._path) from error

    @contextmanager
    def writing(self, size: int = 0) -> Iterator[Connection]:
        """A transaction of `size` bytes, 0 where unknown."""
        try:
            with self._engine.begin() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        except DatabaseError as error:
            raise explain(error, self._path, size) from error

    def changes(self) -> tuple[int, int]:
        """Another pair after every commit, of this process or another."""
        try:
            return self._watch.changes()
        except sqlite3.DatabaseError as error:
            raise explain_sqlite(error, self._path) from error

    def schema_version(self, connection: Connection) -> int:
        """Version of the tables that the file has."""
        return _marks(connection).version

    def set_schema_version(self, connection: Connection, version: int) -> None:
        """Say that the tables are of this version now."""
        connection.exec_driver_sql(f"PRAGMA user_version={version:d}")

    def faults(self) -> list[str]:
        """What SQLite finds wrong with the pages and indices of the file, a line each; empty where all is well."""
        try:
            with self.reading() as connection:
                said = connection.exec_driver_sql(f"PRAGMA integrity_check({MOST_FAULTS})").scalars().all()
        except BrokenPage as error:
            return [error.what]
        return [str(line) for line in said if line != "ok"]

    def compact(self) -> None:
        """One small file without companions; nobody may have it open, idle connections included."""
        self.close()  # leaving the write-ahead log needs the file for itself
        with self.reading() as connection:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
        self.close()

    def close(self) -> None:
        """Give back all connections."""
        self._watch.close()
        self._engine.dispose()


class _Watch:
    """A connection that never writes, so that SQLite tells it of every commit, of this process or another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened = 0

    def changes(self) -> tuple[int, int]:
        """Which connection this is, and its number of changes: it says nothing about another connection's."""
        with self._lock:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, check_same_thread=False)
                self._connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
                self._opened += 1
            return self._opened, int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Give it back; the next question opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def open_database(path: Path) -> SqliteDatabase:
    """The database in a file, created with its tables where it is new.

    Raises:
        StoreError: the file cannot be opened, is not ours, or is of a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the cache folder cannot be made ({error.strerror})",
            where=str(path.parent),
            how="Choose a folder you can write to with UNLEARNBOARD_CACHE",
        ) from error
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _prepare_connection)
    try:
        _create(engine, path)
    except DatabaseError as error:
        engine.dispose()
        raise explain(error, path) from error
    except StoreError:
        engine.dispose()
        raise
    return SqliteDatabase(engine, path)


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
            (application_id,) = theirs.execute("PRAGMA application_id").fetchone()
            (version,) = theirs.execute("PRAGMA user_version").fetchone()
            check_version(application_id, version, source)
            with closing(sqlite3.connect(target)) as ours:
                theirs.backup(ours)
    except sqlite3.DatabaseError as error:
        said = str(error)
        if "full" in said or "disk I/O" in said:
            raise explain_sqlite(error, target, source.stat().st_size) from error
        if "not a database" in said:
            raise explain_sqlite(error, source) from error
        raise StoreError(f"the cache cannot be read ({said})", where=str(source)) from error


def explain(error: DatabaseError, path: Path, needed: int = 0) -> StoreError:
    """The database's complaint as a sentence that says what to do; `needed` as for `explain_sqlite`."""
    return explain_sqlite(error.orig or error, path, needed)


def explain_sqlite(error: BaseException, path: Path, needed: int = 0) -> StoreError:
    """SQLite's own complaint as a sentence that says what to do.

    Args:
        error: the complaint.
        path: the database.
        needed: bytes that were to be written; 0 where that is not known.
    """
    said = str(error).lower()
    where = str(path)
    free = free_bytes(path.parent)
    # SQLite tells of a disk that is full in several ways, by the file of its three that it was writing.
    if "full" in said or ("disk i/o" in said and free is not None and free < needed + ROOM):
        # Pages, index and write-ahead log are written besides.
        wanted = 2 * needed + ROOM if needed else ROOM
        return StoreError(full(path.parent, wanted, "the cache"), where=where, how=NOTHING_LOST)
    if "disk i/o" in said:
        return StoreError(
            "the disk cannot be written: a quota or file size limit is reached, the folder was removed, or the "
            "disk is failing",
            where=where,
            how="Fix that, or choose another folder with UNLEARNBOARD_CACHE; what was stored is kept",
        )
    if "readonly" in said or "unable to open" in said:
        return StoreError(
            "the cache cannot be written",
            where=where,
            how="Make its folder writable or choose another with UNLEARNBOARD_CACHE",
        )
    if "not a database" in said:
        return StoreError(
            "this file is not an UnlearnBoard cache", where=where, how="Move it away or name another"
        )
    if "malformed" in said:
        return BrokenPage("the cache is damaged", where=where, how="Move the file away; a new one is made")
    if "locked" in said or "busy" in said:
        return StoreError(
            f"another process locked the cache for {BUSY_MILLISECONDS // 1000} s",
            where=where,
            how="Stop it or wait, then try again",
        )
    return StoreError(f"the cache cannot be used ({error})", where=where)


def check_version(application_id: int, version: int, path: Path) -> None:
    """Refuse other programs' databases and those of newer versions.

    Raises:
        StoreError: either of the two.
    """
    if application_id != APPLICATION_ID:
        raise StoreError(
            "this file is another program's database", where=str(path), how="Move it away or name another"
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the cache was written by a newer UnlearnBoard (version {version}, this one reads {SCHEMA_VERSION})",
            where=str(path),
            how="Update UnlearnBoard or choose another folder with UNLEARNBOARD_CACHE",
        )


def _prepare_connection(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    # WAL with NORMAL: a killed process loses nothing it committed, a power cut at most the last cells.
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    connection.execute("PRAGMA synchronous=NORMAL")


def _create(engine: Engine, path: Path) -> None:
    with engine.connect() as connection:
        tables, application_id, version = _marks(connection)
        if tables:
            check_version(application_id, version, path)
        _use_wal(connection)
    with engine.begin() as connection:
        # Two processes may open a new file at once: the second waits here and then finds the tables made.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if _marks(connection).tables:
            return
        metadata.create_all(connection)
        connection.execute(
            insert(meta), [{"key": "store_id", "value": uuid.uuid4().hex}, {"key": "version", "value": "0"}]
        )
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")


class _Marks(NamedTuple):
    tables: int
    application_id: int
    version: int


def _marks(connection: Connection) -> _Marks:
    return _Marks(
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one(),
        connection.exec_driver_sql("PRAGMA application_id").scalar_one(),
        connection.exec_driver_sql("PRAGMA user_version").scalar_one(),
    )


def _use_wal(connection: Connection) -> None:
    """Switch to write-ahead logging; SQLite does not wait for this one lock by itself."""
    for attempt in range(50):
        try:
            if connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one() == "wal":
                return
        except OperationalError as error:
            if "locked" not in str(error.orig) or attempt == 49:
                raise
        time.sleep(0.05)
