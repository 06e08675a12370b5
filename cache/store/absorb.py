"""Taking over another store: the shipped pack, or a colleague's file. Copies inside SQLite, decodes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from backends.errors import StoreError
from cache.store import sqlite
from cache.store.image_files import ImageFiles

_CONTEXT_COLUMNS = "key, kind, fingerprint, tokenizer, protocol, settings, numerics, code_version"

# What the other store has and this one lacks (a damaged cell counts as lacking).
_NEW_EVIDENCE = """
CREATE TEMP TABLE taken AS
SELECT mine.id AS context, theirs.digest, theirs.cell, theirs.row
FROM other.evidence AS theirs
JOIN other.contexts AS their_context ON their_context.id = theirs.context
JOIN main.contexts AS mine ON mine.key = their_context.key
LEFT JOIN main.evidence AS held ON held.context = mine.id AND held.digest = theirs.digest
WHERE theirs.cell NOT IN (SELECT cell FROM other.damage)
AND (held.cell IS NULL OR held.cell IN (SELECT cell FROM main.damage))
"""
_COPY_CELLS = """
INSERT INTO main.cells (id, context, created, checksum, payload)
SELECT source.id + :shift, wanted.context, source.created, source.checksum, source.payload
FROM (SELECT DISTINCT cell, context FROM taken) AS wanted JOIN other.cells AS source ON source.id = wanted.cell
"""
_COPY_INDEX = """
INSERT OR REPLACE INTO main.evidence (context, digest, cell, row)
SELECT context, digest, cell + :shift, row FROM taken
"""
_GROW_VERSION = """
INSERT INTO main.meta (key, value) VALUES ('version', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1
"""

_HAS_FEATURES = "SELECT 1 FROM other.sqlite_master WHERE type = 'table' AND name = 'features'"
_COPY_NETWORKS = """
INSERT OR IGNORE INTO main.networks (kind, name, digest) SELECT kind, name, digest FROM other.networks
"""
_COPY_FEATURES = """
INSERT OR IGNORE INTO main.features (network, subject, created, checksum, vector)
SELECT mine.id, theirs.subject, theirs.created, theirs.checksum, theirs.vector
FROM other.features AS theirs
JOIN other.networks AS their_network ON their_network.id = theirs.network
JOIN main.networks AS mine ON mine.digest = their_network.digest
"""


def absorb(path: Path, images: ImageFiles, other: Path, pictures: Path) -> int:
    """Copy everything of `other` that the store at `path` lacks; see `Store.absorb`."""
    if not other.is_file():
        raise StoreError("there is no such cache", where=str(other))
    try:
        connection = sqlite3.connect(path, isolation_level=None, uri=True)
        try:
            connection.execute(f"PRAGMA busy_timeout={sqlite.BUSY_MILLISECONDS}")
            _attach(connection, other)
            mark = _mark(connection, other)
            if _is_known(connection, mark):
                return 0
            images.copy_from(pictures)
            return _copy(connection, mark)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        needed = other.stat().st_size if other.is_file() else 0
        raise sqlite.explain_sqlite(
            error, other if "not a database" in str(error) else path, needed
        ) from error


def _attach(connection: sqlite3.Connection, other: Path) -> None:
    # Immutable: the pack may lie where nothing can be written, not even a lock. A store with a write-ahead log is
    # somebody's live cache and is opened as such, or what its log holds would be missed.
    live = other.with_name(f"{other.name}-wal").exists()
    options = "mode=ro" if live else "mode=ro&immutable=1"
    connection.execute("ATTACH DATABASE ? AS other", (f"{other.resolve().as_uri()}?{options}",))
    application_id = connection.execute("PRAGMA other.application_id").fetchone()[0]
    version = connection.execute("PRAGMA other.user_version").fetchone()[0]
    sqlite.check_version(application_id, version, other)


def _mark(connection: sqlite3.Connection, other: Path) -> str:
    """Which store at which state; found again in our `meta` once it was absorbed.

    Raises:
        StoreError: it does not say.
    """
    found = dict(connection.execute("SELECT key, value FROM other.meta WHERE key IN ('store_id', 'version')"))
    if len(found) < 2:
        raise StoreError(
            "the cache is damaged (it does not say which one it is)",
            where=str(other),
            how="Ask for another copy",
        )
    return f"absorbed {found['store_id']} {found['version']}"


def _is_known(connection: sqlite3.Connection, mark: str) -> bool:
    return connection.execute("SELECT 1 FROM main.meta WHERE key = ?", (mark,)).fetchone() is not None


def _copy(connection: sqlite3.Connection, mark: str) -> int:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            f"INSERT OR IGNORE INTO main.contexts ({_CONTEXT_COLUMNS}) SELECT {_CONTEXT_COLUMNS} FROM other.contexts"
        )
        connection.execute(_NEW_EVIDENCE)
        shift = connection.execute("SELECT coalesce(max(id), 0) FROM main.cells").fetchone()[0]
        connection.execute(_COPY_CELLS, {"shift": shift})
        taken: int = connection.execute(_COPY_INDEX, {"shift": shift}).rowcount
        connection.execute("INSERT OR IGNORE INTO main.runs SELECT * FROM other.runs")
        connection.execute("INSERT OR IGNORE INTO main.memos SELECT * FROM other.memos")
        if connection.execute(_HAS_FEATURES).fetchone() is not None:  # caches from before it have none
            connection.execute(_COPY_NETWORKS)
            connection.execute(_COPY_FEATURES)
        connection.execute("INSERT OR REPLACE INTO main.meta VALUES (?, '')", (mark,))
        connection.execute(_GROW_VERSION)
        connection.execute("COMMIT")
    except sqlite3.DatabaseError:
        if connection.in_transaction:  # a full disk has taken it back already
            connection.execute("ROLLBACK")
        raise
    return taken
