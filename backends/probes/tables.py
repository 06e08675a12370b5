"""Rows of CSV and TSV: the separator is found from the header and said. The meaning of columns is decided elsewhere."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from backends.errors import StudyError
from backends.files.plain import MOST_BYTES, without_compression
from backends.probes.names import is_known
from backends.probes.rows import FileOptions, RepeatedKeys, Row, Rows

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def table_rows(path: Path, text: str, asked: FileOptions) -> Rows:
    """The rows of a table; a cell without anything in it is None.

    Raises:
        StudyError: the header cannot be used, or a split was asked for.
    """
    if asked.split:
        raise StudyError("a table has no splits", where=str(path), how="Leave `split` out")
    csv.field_size_limit(
        MOST_BYTES
    )  # for the whole program; its own limit, 131,072, is less than a long text
    name = "TSV" if without_compression(path).suffix.lower() == ".tsv" else "CSV"
    separator, skipped = _separator(text, "\t" if name == "TSV" else ",", asked)
    said = (
        name
        if (name, separator) in (("CSV", ","), ("TSV", "\t"))
        else (f"{name}, separated by {SEPARATORS.get(separator, repr(separator))}")
    )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    columns: list[str] = []
    try:
        for _ in range(skipped):
            next(reader)
        columns = _header(path, next(reader, []), asked)
        twice = {column for column in columns if column and columns.count(column) > 1}
        for cells in reader:
            if any(cell and not cell.isspace() for cell in cells):
                rows.append(_row(len(rows) + 1, reader.line_num, columns, cells, twice))
    except csv.Error as error:
        if not rows:
            raise StudyError(
                f"this is not valid {name}: {error}", where=f"{path}, line {reader.line_num}"
            ) from error
        rows.append(
            Row(f"line {reader.line_num}", {}, f"this is not valid {name}: {error}; the rest is not read")
        )
    return Rows(rows, said)


def _row(number: int, line: int, columns: list[str], cells: list[str], twice: set[str]) -> Row:
    where = f"row {number} (line {line})"
    if len(cells) > len(columns) and not any(map(str.strip, cells[len(columns) :])):
        cells = cells[: len(columns)]  # separators at the end of a line, as spreadsheets leave them
    if len(cells) != len(columns):
        how = "put text that holds the separator into quotes"
        return Row(where, {}, f"{len(cells)} cells, but the header has {len(columns)}; {how}")
    values = {
        column: cell if cell and not cell.isspace() else None
        for column, cell in zip(columns, cells, strict=True)
    }
    return Row(where, RepeatedKeys(values, twice) if twice else values)


def _separator(text: str, usual: str, asked: FileOptions) -> tuple[str, int]:
    """What parts the cells, and how many lines come before the header: a first line `sep=;` says it itself."""
    first = text.partition("\n")[0].strip()
    if first.lower().startswith("sep=") and len(first) == 5:
        return first[4], 1
    result = {}
    for separator in (usual, *(each for each in SEPARATORS if each != usual)):
        try:
            names = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
        except csv.Error:
            continue
        known = sum(name.strip() in asked.columns or is_known(name.strip()) for name in names if name.strip())
        result[separator] = (known, len(names))
    if not result:
        return usual, 0
    best = max(result, key=lambda separator: result[separator])
    return (best, 0) if result[best][0] > result.get(usual, (0, 0))[0] or not result[best][0] else (usual, 0)


def _header(path: Path, cells: list[str], asked: FileOptions) -> list[str]:
    columns = [column.strip() for column in cells]
    if columns and columns[0].startswith(("{", '["', "[{")):
        raise StudyError(
            "its first line looks like JSON",
            where=f"{path}, line 1",
            how="Rename it to end in .jsonl or .json",
        )
    return columns
