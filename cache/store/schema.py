"""Tables of the store and how its file is opened. Knows nothing of what the payloads mean.

Evidence is written in cells: a cell is one batch of probes of one context, one compressed payload, one transaction.
`evidence` says in which cell, at which row, the newest evidence of a probe lies.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import (
    BLOB,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
)
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from backends.errors import StoreError
from backends.files.disk import NOTHING_LOST, free_bytes, full

SCHEMA_VERSION = 1
APPLICATION_ID = 0x554E4C42
"""SQLite's application_id, "UNLB": tells our files from other databases."""
BUSY_MILLISECONDS = 30_000
ROOM = 256 * 1024
"""Bytes that a write needs beside what is written: pages of the index, the write-ahead log and its own index."""
GROW_VERSION = """
INSERT INTO main.meta (key, value) VALUES ('version', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1
"""
"""Also mends a row that was lost."""

metadata = MetaData()

meta = Table(
    "meta", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False)
)

contexts = Table(
    "contexts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("fingerprint", String, nullable=False, index=True),
    Column("tokenizer", String, nullable=False),
    Column("protocol", String, nullable=False),
    Column("settings", String, nullable=False),
    Column("numerics", String, nullable=False),
    Column("code_version", Integer, nullable=False),
)

cells = Table(
    "cells",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("context", ForeignKey("contexts.id"), nullable=False),
    Column("created", Float, nullable=False),
    Column("checksum", String, nullable=False),
    Column("payload", BLOB, nullable=False),
)

damage = Table("damage", metadata, Column("cell", ForeignKey("cells.id"), primary_key=True))
"""Cells that cannot be read. A table of its own: a row with a broken page cannot be updated, let alone deleted."""

evidence = Table(
    "evidence",
    metadata,
    Column("context", ForeignKey("contexts.id"), primary_key=True),
    Column("digest", String, primary_key=True),
    Column("cell", ForeignKey("cells.id"), nullable=False, index=True),
    Column("row", Integer, nullable=False),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    Column("key", String, primary_key=True),
    Column("study", String, nullable=False, index=True),
    Column("created", String, nullable=False),
    Column("record", String, nullable=False),
)

memos = Table(
    "memos",
    metadata,
    Column("key", String, primary_key=True),
    Column("checksum", String, nullable=False),
    Column("payload", BLOB, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("key", String, primary_key=True),
    Column("collection", String, nullable=False, index=True),
    Column("modality", String, nullable=False),
    Column("tool", String, nullable=False),
    Column("protocol", String, nullable=False),
    Column("model", String, nullable=False),
    Column("part", String, nullable=False),
    Column("method", String, nullable=False),
    Column("step", Float),
    Column("line", String, nullable=False),
    Column("created", String, nullable=False),
    Column("source", String, nullable=False, index=True),
    Column("settings", String, nullable=False),
    Column("metrics", ForeignKey("result_metrics.id"), nullable=False),
    Column("numbers", BLOB, nullable=False),
)
"""Runs of other tools: one row a run, its metrics as one packed vector, so that thousands are read at once."""

result_metrics = Table(
    "result_metrics",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("names", String, nullable=False, unique=True),
)

result_examples = Table(
    "result_examples",
    metadata,
    Column("key", ForeignKey("results.key"), primary_key=True),
    Column("checksum", String, nullable=False),
    Column("payload", BLOB, nullable=False),
)
"""What other tools say of single examples; a table of its own, so that reading the numbers does not touch it."""

networks = Table(
    "networks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("digest", String, nullable=False, unique=True),
)
"""Networks that stored pictures were looked at with, beside the judges."""

features = Table(
    "features",
    metadata,
    Column("network", ForeignKey("networks.id"), primary_key=True),
    Column("subject", String, primary_key=True),
    Column("created", Float, nullable=False),
    Column("checksum", String, nullable=False),
    Column("vector", BLOB, nullable=False),
    sqlite_with_rowid=False,
)
"""What a network makes of a picture, a prompt or a pair of pictures (`backends.features`): float32, little-endian."""

LATER = (result_metrics, results, result_examples, networks, features)
"""Tables that caches from before them do not have."""


def open_engine(path: Path) -> Engine:
    """Engine on the file, created with its tables where it is new.

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
    return engine


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
            "the disk refuses to be written: a quota or a limit of file sizes is reached, the folder was taken away, "
            "or it is failing",
            where=where,
            how="Mend that, or choose another folder with UNLEARNBOARD_CACHE; what was stored stays",
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
        return StoreError("the cache is damaged", where=where, how="Move the file away; a new one is made")
    if "locked" in said or "busy" in said:
        return StoreError(
            f"another process kept the cache busy for {BUSY_MILLISECONDS // 1000} s",
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
            _complete(connection)
            return
        metadata.create_all(connection)
        connection.execute(
            insert(meta), [{"key": "store_id", "value": uuid.uuid4().hex}, {"key": "version", "value": "0"}]
        )
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")


def _complete(connection: Connection) -> None:
    """Add the tables that came later; a cache from before them is complete otherwise."""
    present = {
        row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    later = [table for table in LATER if table.name not in present]
    if later:
        metadata.create_all(connection, tables=later)


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
