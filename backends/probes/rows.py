"""Rows of probe files as plain data, whatever held them: a row, all rows of a file, and why one cannot be used.

Which reader a file is for is in `formats.py`; what columns mean is told in `columns.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

MOST_ROWS = 2_000_000
"""More probes than anybody evaluates; a small file can hold billions of equal rows."""


class RowProblem(Exception):
    """Why one row cannot be used; collected, so that a person sees the first few at once."""


class EmptyPrompt(RowProblem):
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


class RepeatedKeys(dict[str, Any]):
    """An object or row in which `names` are given more than once; it holds the last value of each."""

    def __init__(self, values: Mapping[str, Any], names: Collection[str]) -> None:
        super().__init__(values)
        self.names = frozenset(names)


class FileOptions(NamedTuple):
    """How a person says that a file is read.

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


def shown(value: object) -> str:
    """A value as it may stand in a message."""
    if isinstance(value, str | list | tuple) and len(value) > 200:
        value = value[:200]
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError, TypeError):
        return "something nested too deeply"
    return text if len(text) <= 60 else text[:57] + "..."
