"""Making a store ready to be compressed as a whole: cells without compression of their own, which repeat each other."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cache.store import codec


def loosen(path: Path) -> None:
    """Rewrites every cell of a sealed store without compression, and forgets what was derived from the cells before.

    The probes' tokens are the same in the cells of all models, and a compressor that sees all of them keeps one.

    Raises:
        DamagedCell: a cell cannot be read.
    """
    connection = sqlite3.connect(path)
    try:
        with connection:
            for cell, payload in connection.execute("SELECT id, payload FROM cells").fetchall():
                loose = codec.uncompressed(payload)
                connection.execute(
                    "UPDATE cells SET payload = ?, checksum = ? WHERE id = ?",
                    (loose, codec.checksum(loose), cell),
                )
            connection.execute("DELETE FROM memos")
        connection.execute("VACUUM")
    finally:
        connection.close()
