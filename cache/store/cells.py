"""Writing evidence within a transaction: a context's row, then a cell and its places in the index."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields

from sqlalchemy import Connection, Table, and_, bindparam, delete, insert, select, update

from cache.store import codec, schema
from cache.store.keys import Context

CONTEXT_FIELDS = tuple(field.name for field in fields(Context))


def put_context(connection: Connection, context: Context) -> int:
    """Number of a context's row, which is made if there is none and mended where it says something else."""
    table = schema.contexts
    values = {name: getattr(context, name) for name in CONTEXT_FIELDS}
    number = connection.execute(select(table.c.id).where(table.c.key == context.key)).scalar_one_or_none()
    if number is not None:
        connection.execute(update(table).where(table.c.id == number).values(**values))
        return int(number)
    made = insert(table).values(key=context.key, **values).returning(table.c.id)
    return int(connection.execute(made).scalar_one())


def put_cell(connection: Connection, owner: int, digests: Sequence[str], payload: bytes) -> int:
    """Number of a new cell with the evidence of these probes, which is the newest of each from now on.

    Args:
        connection: of a transaction.
        owner: number of the context's row.
        digests: of the probes, in the order of the payload's rows; of a digest that comes twice the last row counts.
        payload: as `codec` makes it.
    """
    index = schema.evidence
    made = (
        insert(schema.cells)
        .values(context=owner, created=time.time(), checksum=codec.checksum(payload), payload=payload)
        .returning(schema.cells.c.id)
    )
    cell = int(connection.execute(made).scalar_one())
    newest = {digest: row for row, digest in enumerate(digests)}
    rows = [{"context": owner, "digest": key, "cell": cell, "row": row} for key, row in newest.items()]
    replace_rows(connection, index, rows)
    return cell


def replace_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Put rows in the place of those with the same primary key."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key.columns]
    same = and_(*(table.c[name] == bindparam(f"old_{name}") for name in keys))
    connection.execute(
        delete(table).where(same), [{f"old_{name}": row[name] for name in keys} for row in rows]
    )
    connection.execute(insert(table), [dict(row) for row in rows])


def grow_version(connection: Connection) -> None:
    """Say that something new is known; also mends a row that was lost."""
    table = schema.meta
    value = connection.execute(select(table.c.value).where(table.c.key == "version")).scalar_one_or_none()
    known = int(value) if value is not None and str(value).isdecimal() else 0
    replace_rows(connection, table, [{"key": "version", "value": str(known + 1)}])
