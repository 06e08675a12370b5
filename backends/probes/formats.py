"""Files of probes as rows of named values: which reader a file is for, by its name.

JSON Lines, JSON, CSV and TSV, Parquet and Arrow, each also compressed (.gz, .xz, .zst, .bz2). The meaning of columns is
decided in `columns.py`.
"""

from __future__ import annotations

from pathlib import Path

from backends.errors import StudyError
from backends.files.plain import COMPRESSED, NotPlain, read_plain, without_compression
from backends.probes.arrow import arrow_rows
from backends.probes.json_rows import json_rows
from backends.probes.rows import MOST_ROWS, FileOptions, Rows
from backends.probes.tables import table_rows
from backends.probes.text import NotText, decode

LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".csv", ".tsv")
ARROW = (".parquet", ".arrow", ".feather")
SUFFIXES = (*LINES, *TABLES, *ARROW)


def read_rows(path: Path, asked: FileOptions) -> Rows:
    """The rows of a file, in its order.

    Args:
        path: the file.
        asked: what a person said of it.

    Raises:
        StudyError: the file is missing, is in none of the formats, or is damaged as a whole.
    """
    kind = without_compression(path).suffix.lower()
    if kind not in SUFFIXES:
        _check_there(path)
        raise StudyError(
            f"{kind or 'no suffix'} is not a supported format",
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
