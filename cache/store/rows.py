"""Whole tables of a store, row by row, and whether a row is as it was written.

Of a table with broken pages everything is read that can be; for each of the other rows there is a None.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from blake3 import blake3
from sqlalchemy import LargeBinary, Table, select, tuple_

from cache.store.interface import BrokenPage, Store
from cache.store.keys import Context
from cache.store.results import MetricNumber
from cache.store.runs import RunRecord

Row = Mapping[Any, Any]
AT_ONCE = 200
LEAST_CHECKSUM = 16
"""Hexadecimal digits; a table may keep the beginning of a longer one."""


def rows_of(store: Store, table: Table, at_once: int = AT_ONCE) -> Iterator[list[Row | None]]:
    """All rows of a table in batches, in the order of the primary key.

    Raises:
        BrokenPage: not even the keys can be read.
    """
    keys = list(table.primary_key.columns)
    with store.reading() as connection:
        known = [tuple(row) for row in connection.execute(select(*keys).order_by(*keys))]
    for start in range(0, len(known), at_once):
        yield rows_with(store, table, known[start : start + at_once])


def rows_with(store: Store, table: Table, keys: Sequence[tuple[Any, ...]]) -> list[Row | None]:
    """The rows with these primary keys, in the order of the keys; a key that is not there is left out."""
    try:
        return list(_read(store, table, keys))
    except BrokenPage:
        return [row for key in keys for row in _one(store, table, key)]


def is_sound(table: Table, row: Row) -> bool:
    """Whether a row has values of the right types, its checksum holds, and it says what its key stands for."""
    for column in table.columns:
        value = row[column.name]
        if value is None:
            if not column.nullable:
                return False
            continue
        kind = column.type.python_type
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
            return False
    said = _SAID.get(table.name)
    return has_its_checksum(table, row) and (said is None or said(row))


def has_its_checksum(table: Table, row: Row) -> bool:
    """Whether the row's bytes are those that were written; True for a table that keeps no checksums."""
    if "checksum" not in table.columns:
        return True
    payload = next(row[column.name] for column in table.columns if isinstance(column.type, LargeBinary))
    checksum = str(row["checksum"])
    return len(checksum) >= LEAST_CHECKSUM and bool(blake3(payload).hexdigest().startswith(checksum))


def _read(store: Store, table: Table, keys: Sequence[tuple[Any, ...]]) -> list[Row]:
    columns = list(table.primary_key.columns)
    query = select(table).where(tuple_(*columns).in_(keys)).order_by(*columns)
    with store.reading() as connection:
        return list(connection.execute(query).mappings())


def _one(store: Store, table: Table, key: tuple[Any, ...]) -> list[Row | None]:
    try:
        return list(_read(store, table, [key]))
    except BrokenPage:
        return [None]


def _is_context(row: Row) -> bool:
    said = {each.name: row[each.name] for each in fields(Context)}
    return bool(Context(**said).key == row["key"])


def _is_run(row: Row) -> bool:
    return RunRecord.from_row(row["key"], row["record"]) is not None


def _is_result(row: Row) -> bool:
    try:
        settings = json.loads(row["settings"])
    except (ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and len(row["numbers"]) % (8 * len(MetricNumber._fields)) == 0


_SAID = {"contexts": _is_context, "runs": _is_run, "results": _is_result}
"""Tables whose rows can be held against their keys."""
