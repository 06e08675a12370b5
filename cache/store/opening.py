"""Opening a store: the one place that puts the database of a file, its migrations and the store together."""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from pathlib import Path

from cache.store import sqlite
from cache.store.interface import Store
from cache.store.migrations import migrate
from cache.store.store import DatabaseStore

log = getLogger(__name__)


def open_store(path: Path, tell: Callable[[str], None] = log.warning) -> Store:
    """Open the store, made where it is new; one of an older version is brought up to date, once.

    Args:
        path: the database file; images go into `images/` beside it.
        tell: hears, in sentences, what is done to an older store and what of it could not be read.

    Raises:
        StoreError: read-only, full, damaged, another program's file, or of a newer version.
    """
    database = sqlite.open_database(path)
    try:
        migrate(database, tell)
    except BaseException:
        database.close()
        raise
    return DatabaseStore(database)
