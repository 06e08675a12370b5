"""Damaging a store as a failing disk does, for tests of what becomes of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def damage(path: Path, kind: str, *, cells: int | None = None) -> int:
    """Change a byte in the cells of one kind of evidence, in all or in the first few; returns how many they were."""
    query = "SELECT cells.id, payload FROM cells JOIN contexts ON contexts.id = context WHERE kind = ?"
    with closing(sqlite3.connect(path)) as connection, connection:
        found = connection.execute(f"{query} ORDER BY cells.id", (kind,)).fetchall()[:cells]
        for cell, payload in found:
            middle = len(payload) // 2
            broken = payload[:middle] + bytes([payload[middle] ^ 0xFF]) + payload[middle + 1 :]
            connection.execute("UPDATE cells SET payload = ? WHERE id = ?", (broken, cell))
    return len(found)
