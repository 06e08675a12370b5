"""Which pictures a cell of evidence names, by the hash of their files."""

from __future__ import annotations

from collections.abc import Sequence

from cache.store import codec


def pictures_named(kind: str, payload: bytes, rows: Sequence[int]) -> list[tuple[str, ...]]:
    """Hashes of the pictures of each of the rows of a cell, none for evidence of other kinds.

    Args:
        kind: of the cell's context.
        payload: of the cell.
        rows: positions in the cell.

    Raises:
        DamagedCell: the payload is no cell of this kind, or has no such rows.
    """
    if kind == "images":
        return [(name,) for name in codec.image_names(payload, rows)]
    codec.check_rows(payload, rows)
    return [()] * len(rows)
