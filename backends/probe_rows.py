"""Files of probes as rows of named values: JSONL, JSON, CSV, TSV and Parquet. What columns mean is told elsewhere."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from backends.errors import StudyError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
TABLES = (".csv", ".tsv")


class Row(NamedTuple):
    """One row of a file: where it stands ("line 3"), and its values by column."""

    where: str
    values: Mapping[str, Any]


def read_rows(path: Path, lists: Collection[str]) -> list[Row]:
    """The rows of a file, in its order.

    Args:
        path: the file.
        lists: columns whose cells hold lists; in CSV as JSON or with `|` between the items.

    Raises:
        StudyError: the file is missing, is in none of the formats, or is damaged.
    """
    if path.suffix.lower() == ".parquet":
        return list(_parquet_rows(path))
    return list(_rows(path, _text(path), lists))


def shown(value: object) -> str:
    """A value as it may stand in a message."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= 60 else text[:57] + "..."


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StudyError("there is no such probe file", where=str(path), how="Check the path") from None
    except IsADirectoryError:
        raise StudyError("this is a folder, a probe file was expected", where=str(path)) from None
    except OSError as error:
        raise StudyError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise StudyError(
            f"line {line} is not {'UTF-16' if utf16 else 'UTF-8'} text",
            where=str(path),
            how="Save the file as UTF-8",
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise StudyError(f"line {line} has NUL characters", where=str(path), how="Save the file as UTF-8")
    return text


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        rows = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise StudyError("there is no such probe file", where=str(path), how="Check the path") from None
    except (OSError, ArrowException) as error:
        first = (str(error).splitlines() or [""])[0]
        raise StudyError(
            f"this is no Parquet file that can be read ({first[:120]})", where=str(path)
        ) from error
    for number, values in enumerate(rows, start=1):
        yield Row(f"row {number}", values)


def _rows(path: Path, text: str, lists: Collection[str]) -> Iterator[Row]:
    suffix = path.suffix.lower()
    if suffix in {".jsonl", ".ndjson"}:
        return _json_lines(path, text)
    if suffix == ".json":
        return _json_list(path, text)
    if suffix in TABLES:
        return _table_rows(path, text, lists)
    raise StudyError(
        f"{suffix or 'no suffix'} is none of the formats that can be read",
        where=str(path),
        how=f"Save it as one of {', '.join(SUFFIXES)}",
    )


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    # split at "\n" only: str.splitlines would also split at U+2028, which may stand inside a JSON string
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield Row(f"line {number}", _object(_json(path, line, number), f"line {number}", path))


def _json_list(path: Path, text: str) -> Iterator[Row]:
    if not text.strip():
        return
    document = _json(path, text, None)
    if not isinstance(document, list):
        raise StudyError(
            "a JSON list of objects was expected", where=str(path), how="Put one object a probe into [ ]"
        )
    for number, item in enumerate(document, start=1):
        yield Row(f"item {number}", _object(item, f"item {number}", path))


def _json(path: Path, text: str, line: int | None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {line or error.lineno}, column {error.colno}"
        raise StudyError(f"this is no valid JSON: {error.msg}", where=f"{path}, {where}") from error
    except RecursionError:
        raise StudyError("the JSON is nested too deeply", where=f"{path}, line {line or 1}") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        where = f"{path}, line {line}" if line else str(path)
        raise StudyError(
            "a whole number here has thousands of digits", where=where, how="Put it in quotes as text"
        ) from None


def _object(value: Any, where: str, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise StudyError(f"an object was expected, not {shown(value)}", where=f"{path}, {where}")
    return value


def _table_rows(path: Path, text: str, lists: Collection[str]) -> Iterator[Row]:
    header = text.partition("\n")[0]
    delimiter = (
        "\t" if "\t" in header and "," not in header else ";" if ";" in header and "," not in header else ","
    )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
        for column in columns:
            if columns.count(column) > 1:
                raise StudyError(f"the column {column!r} is there twice", where=f"{path}, line 1")
        for number, cells in enumerate((cells for cells in reader if cells), start=1):
            where = f"row {number} (line {reader.line_num})"
            if len(cells) != len(columns):
                raise StudyError(
                    f"{len(cells)} cells, but the header has {len(columns)}",
                    where=f"{path}, {where}",
                    how='Put text that holds the separator into "quotes"',
                )
            pairs = zip(columns, cells, strict=True)
            yield Row(where, {column: _cell(cell, is_list=column in lists) for column, cell in pairs})
    except csv.Error as error:
        raise StudyError(f"this is no valid CSV: {error}", where=f"{path}, line {reader.line_num}") from error


def _cell(cell: str, *, is_list: bool) -> Any:
    """A cell as JSON would have it: a list where the column holds lists, None where nothing is written."""
    if not cell.strip():
        return None
    if not is_list:
        return cell
    if cell.lstrip().startswith("["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell  # an answer may begin with a bracket
    return [item.strip() for item in cell.split("|")]
