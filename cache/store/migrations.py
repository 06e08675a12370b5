"""Bringing a store of an older version to `schema.SCHEMA_VERSION`: one small step a version, each one transaction.

A step is done whole or not at all, whatever is killed. Of two processes that open an old store at once, the second
waits and then finds it done.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Table, delete, inspect, select, text

from backends.files.disk import kept
from cache.store import schema
from cache.store.cells import grow_version, replace_rows
from cache.store.image_files import ImageFiles
from cache.store.interface import Database
from cache.store.side_files import import_recorded, remove, side_files

Tell = Callable[[str], None]
TO_REMOVE = "files to remove"
"""Row of `meta` with the files that are in the store now: path from its folder, size and time of change of each."""
_NAMED = 3
"""Files that a sentence names."""


class Step(NamedTuple):
    """How a store becomes one of `version`, from the one before it."""

    version: int
    run: Callable[[Connection, Path, Tell], None]


def migrate(database: Database, tell: Tell) -> None:
    """Bring a store up to date; nothing is done to one that is.

    Args:
        database: of this version or an older one.
        tell: hears what is done and what could not be read, in sentences.

    Raises:
        StoreError: the store cannot be written; it is as it was before the step.
    """
    with database.reading() as connection:
        version = database.schema_version(connection)
    folder = database.path.parent
    for step in STEPS:
        if version >= step.version:
            continue
        with database.writing() as connection:
            if database.schema_version(connection) < step.version:  # or another process was quicker
                with kept("the content of an older cache", folder):
                    step.run(connection, folder, tell)
                database.set_schema_version(connection, step.version)
    _tidy_up(database, tell)


def add_column(connection: Connection, table: Table, name: str) -> None:
    """Give a table of an older store one of its columns, empty in every row; nothing is done where it is there.

    A store so old that a step made the whole table has the column already.
    """
    if name not in {column["name"] for column in inspect(connection).get_columns(table.name)}:
        kind = table.c[name].type.compile(connection.dialect)
        connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}"))


def _add_later_tables(connection: Connection, _folder: Path, _tell: Tell) -> None:
    """Tables for imported results and for what networks say, which the first stores do not have."""
    schema.metadata.create_all(connection)


def _take_in_side_files(connection: Connection, folder: Path, tell: Tell) -> None:
    """What stood in files beside the database becomes evidence; the files are removed once that is written."""
    files = side_files(folder)
    if not files:
        return
    tell(
        f"The cache was made by an older UnlearnBoard: {_count(len(files))} beside it are imported into "
        f"it once: {folder}"
    )
    stamps = {path: stamp for path in files if (stamp := _stamp(path)) is not None}
    taken = import_recorded(connection, folder, ImageFiles(folder / "images"))
    if taken.unreadable:
        named = ", ".join(str(path.relative_to(folder)) for path in taken.unreadable[:_NAMED])
        more = len(taken.unreadable) - _NAMED
        tell(
            f"{_count(len(taken.unreadable))} beside the cache cannot be read and are left in place; their content "
            f"is computed again: {named}{f' and {more} more' if more > 0 else ''}"
        )
    listed = [[path.relative_to(folder).as_posix(), *stamps[path]] for path in taken.read if path in stamps]
    replace_rows(connection, schema.meta, [{"key": TO_REMOVE, "value": json.dumps(listed)}])
    grow_version(connection)


STEPS = (Step(2, _add_later_tables), Step(3, _take_in_side_files))


def _tidy_up(database: Database, tell: Tell) -> None:
    """Remove the files that are in the store, also after a kill between the step and this."""
    table = schema.meta
    with database.reading() as connection:
        listed = connection.execute(
            select(table.c.value).where(table.c.key == TO_REMOVE)
        ).scalar_one_or_none()
    if listed is None:
        return
    folder = database.path.parent
    known = {folder / name: (size, changed) for name, size, changed in json.loads(listed)}
    left = [path for path, stamp in known.items() if _stamp(path) not in (stamp, None)]
    left += remove([path for path in known if path not in left])
    if left:
        tell(
            f"{_count(len(left))} that were imported into the cache have changed or cannot be removed, and are left "
            f"in place: {left[0]}{f' and {len(left) - 1} more' if len(left) > 1 else ''}"
        )
    with database.writing() as connection:
        connection.execute(delete(table).where(table.c.key == TO_REMOVE))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change; None where there is no such file."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files:,} files"
