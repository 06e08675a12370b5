"""Which pictures a cell of evidence names, by the hash of their files."""

from __future__ import annotations

from collections.abc import Sequence

from cache.store import codec
from cache.store.keys import VALUE_KINDS


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
    if kind in VALUE_KINDS:
        said = codec.decode_values(payload, rows)
        return [_named(value) if kind == "trajectories" else () for value in said]
    codec.check_rows(payload, rows)
    return [()] * len(rows)


def _named(value: object) -> tuple[str, ...]:
    """The strip of frames that a trajectory names."""
    picture = value.get("picture") if isinstance(value, dict) else None
    return (picture,) if isinstance(picture, str) else ()
