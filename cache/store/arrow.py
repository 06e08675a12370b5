"""Arrow tables as bytes, compressed: how packed numbers lie in the store."""

from __future__ import annotations

import pyarrow as pa


def packed(table: pa.Table) -> bytes:
    """The table as an Arrow stream (IPC, zstd)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpacked(payload: bytes) -> pa.Table:
    """Inverse of `packed`."""
    return pa.ipc.open_stream(payload).read_all()
