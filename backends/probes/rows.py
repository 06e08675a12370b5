"""Files of probes as rows of named values, whatever holds them: which reader a file is for, by its name.

JSON Lines, JSON, CSV and TSV, Parquet and Arrow, each also compressed (.gz, .xz, .zst, .bz2). What columns mean is told
elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from backends.errors import StudyError
from backends.files.plain import COMPRESSED, NotPlain, read_plain, without_compression
from backends.probes.text import NotText, decode

LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".csv", ".tsv")
ARROW = (".parquet", ".arrow", ".feather")
SUFFIXES = (*LINES, *TABLES, *ARROW)
MOST_ROWS = 2_000_000
"""More probes than anybody evaluates; a small file can hold billions of equal rows."""


class RowProblem(Exception):
    """Why one row cannot be used; collected, so that a person sees the first few at once."""


class NothingAsked(RowProblem):
    """A row whose prompt or text is empty."""


class Row(NamedTuple):
    """One row of a file: where it stands ("line 3"), its values by column, and why it cannot be read, or ""."""

    where: str
    values: Mapping[str, Any]
    problem: str = ""


class Rows(NamedTuple):
    """All rows of a file in its order, what held them, what a person should know of that; `texts`: a list of texts."""

    rows: list[Row]
    container: str
    notes: tuple[str, ...] = ()
    texts: bool = False


class Repeated(dict[str, Any]):
    """An object or row in which `names` are given more than once; it holds the last value of each."""

    def __init__(self, values: Mapping[str, Any], names: Collection[str]) -> None:
        super().__init__(values)
        self.names = frozenset(names)


class Asked(NamedTuple):
    """What a person said of a file.

    Attributes:
        encoding: of its text, or "".
        split: which of several in one file, or "".
        skip: rows that cannot be read may be left out.
        columns: that the study maps; they are known ones, too.
    """

    encoding: str = ""
    split: str = ""
    skip: bool = False
    columns: frozenset[str] = frozenset()


def read_rows(path: Path, asked: Asked) -> Rows:
    """The rows of a file, in its order.

    Args:
        path: the file.
        asked: what a person said of it.

    Raises:
        StudyError: the file is missing, is in none of the formats, or is damaged as a whole.
    """
    from backends.probes.arrow import arrow_rows
    from backends.probes.json_rows import json_rows
    from backends.probes.tables import table_rows

    kind = without_compression(path).suffix.lower()
    if kind not in SUFFIXES:
        _check_there(path)
        raise StudyError(
            f"{kind or 'no suffix'} is none of the formats that can be read",
            where=str(path),
            how=f"Save it as one of {', '.join(SUFFIXES)}",
        )
    data = _bytes(path)
    if kind in ARROW:
        found = arrow_rows(path, data, asked)
        said = ""
    else:
        try:
            text, said = decode(data, asked.encoding, keep_rest=asked.skip)
        except NotText as error:
            raise StudyError(error.what, where=str(path), how=error.how) from error
        found = (table_rows if kind in TABLES else json_rows)(path, text, asked)
    if len(found.rows) > MOST_ROWS:
        raise StudyError(
            f"{len(found.rows):,} rows are more than the {MOST_ROWS:,} that are read", where=str(path)
        )
    packed = path.suffix.lower() if path.suffix.lower() in COMPRESSED else ""
    container = "; ".join(
        part for part in (found.container, said, packed and f"unpacked from {packed}") if part
    )
    return found._replace(container=container)


def shown(value: object) -> str:
    """A value as it may stand in a message."""
    if isinstance(value, str | list | tuple) and len(value) > 200:
        value = value[:200]
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError, TypeError):
        return "something nested too deeply"
    return text if len(text) <= 60 else text[:57] + "..."


def _bytes(path: Path) -> bytes:
    _check_there(path)
    try:
        return read_plain(path)
    except NotPlain as error:
        raise StudyError(f"the file {error}", where=str(path)) from error


def _check_there(path: Path) -> None:
    try:
        if path.is_dir():
            held = sorted(
                each.name for each in path.iterdir() if without_compression(each).suffix in SUFFIXES
            )
            how = f"Name one of its files: {', '.join(held[:5])}" if held else "Name a file"
            raise StudyError("this is a folder, a probe file was expected", where=str(path), how=how)
        if not path.exists():
            raise StudyError("there is no such probe file", where=str(path), how="Check the path")
    except (OSError, ValueError) as error:
        raise StudyError(f"the file cannot be read ({error})", where=str(path)) from error
