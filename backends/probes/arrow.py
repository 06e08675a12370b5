"""Rows of Parquet and Arrow files (Feather, the data sets library's streams). The meaning of columns is decided
elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backends.errors import StudyError
from backends.files.plain import MOST_UNPACKED
from backends.probes.rows import MOST_ROWS, FileOptions, RepeatedKeys, Row, Rows


def arrow_rows(path: Path, data: bytes, asked: FileOptions) -> Rows:
    """The rows of a table; a column that appears twice is kept as `RepeatedKeys` says.

    Raises:
        StudyError: the file is damaged, too large when unpacked, or a split was asked for.
    """
    import pyarrow as pa

    if asked.split:
        raise StudyError("a table has no splits", where=str(path), how="Leave `split` out")
    parquet = data.startswith(b"PAR1")
    try:
        table = (_parquet if parquet else _arrow)(path, data)
        names = table.schema.names
        twice = {name for name in names if names.count(name) > 1}
        if twice:  # a row is a mapping of names
            table = table.rename_columns([f"{place} {name}" for place, name in enumerate(names)])
        rows = table.to_pylist()
    except (OSError, pa.ArrowException, ValueError, RecursionError, MemoryError) as error:
        first = (str(error).splitlines() or [""])[0]
        kind = "Parquet file" if path.suffix.lower() == ".parquet" else "Parquet or Arrow file"
        raise StudyError(f"this {kind} cannot be read ({first[:120]})", where=str(path)) from error
    if twice:
        rows = [_named(row, names, twice) for row in rows]
    where = [Row(f"row {number}", row) for number, row in enumerate(rows, start=1)]
    return Rows(where, "Parquet" if parquet else "Arrow")


def _named(row: dict[str, Any], names: list[str], twice: set[str]) -> RepeatedKeys:
    return RepeatedKeys(dict(zip(names, row.values(), strict=True)), twice)


def _parquet(path: Path, data: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    if file.metadata.num_rows > MOST_ROWS or size > MOST_UNPACKED:
        raise StudyError(
            f"{file.metadata.num_rows:,} rows of {size / 2**20:,.0f} MB are more than the {MOST_ROWS:,} rows and "
            f"{MOST_UNPACKED / 2**20:,.0f} MB that are read",
            where=str(path),
            how="Keep only the rows that you need",
        )
    return file.read()


def _arrow(path: Path, data: bytes) -> Any:
    """Of a file, as Feather is one, or of a stream, as the data sets library writes."""
    import pyarrow as pa

    buffer = pa.BufferReader(data)
    if data.startswith(b"ARROW1"):
        file = pa.ipc.open_file(buffer)
        batches = (file.get_batch(number) for number in range(file.num_record_batches))
    else:
        file = pa.ipc.open_stream(buffer)
        batches = iter(file)
    kept = []
    for batch in batches:
        kept.append(batch)
        if (
            sum(each.num_rows for each in kept) > MOST_ROWS
            or sum(each.nbytes for each in kept) > MOST_UNPACKED
        ):
            raise StudyError(
                f"it holds more than the {MOST_ROWS:,} rows and {MOST_UNPACKED / 2**20:,.0f} MB that are read",
                where=str(path),
                how="Keep only the rows that you need",
            )
    return pa.Table.from_batches(kept, schema=file.schema)
