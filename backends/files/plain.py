"""What may be opened, how much of it, and what counts as a number: one place for probes, results and weights.

Only plain files of a stated size are opened: never a named pipe, a device or a folder, whatever a link points to. What
is compressed is unpacked up to a limit. Knows nothing of what the files hold; callers put the file's name before the
message of `NotPlain` and raise their own kind of error.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

MOST_BYTES = 512 * 2**20
"""Of a file of text (probes, results of other tools) that is read whole."""
MOST_UNPACKED = 1024 * 2**20
"""Of what a compressed file of text may become."""
MOST_DIGITS = 400
"""A float has at most 309 before its point; a longer whole number is taken as infinite instead of being worked out."""
COMPRESSED = (".gz", ".xz", ".zst", ".bz2")
_CHUNK = 2**20


class NotPlain(Exception):
    """A file that must not or cannot be opened; the message is one line for a person, without the file's name."""


def open_plain(path: Path, most: int = MOST_BYTES) -> BinaryIO:
    """The file, open for reading, its size checked; a named pipe or device is refused before it can block.

    Args:
        path: links are followed.
        most: bytes that the file may have.

    Raises:
        NotPlain: it is not there, no plain file, larger than `most`, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise NotPlain(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode):
        os.close(handle)
        raise NotPlain(f"is {_kind(state.st_mode)}, not a file")
    if state.st_size > most:
        os.close(handle)
        raise NotPlain(
            f"is larger ({state.st_size / 2**20:,.0f} MB) than the {most / 2**20:,.0f} MB that are read"
        )
    return os.fdopen(handle, "rb")


def read_plain(path: Path, most: int = MOST_BYTES, most_unpacked: int = MOST_UNPACKED) -> bytes:
    """All bytes of a plain file; one that ends in .gz, .xz, .zst or .bz2 is unpacked.

    Raises:
        NotPlain: as `open_plain`; what is compressed is damaged or unpacks to more than `most_unpacked`.
    """
    with open_plain(path, most) as file:
        opened = _unpacking(path.suffix.lower())
        try:
            if opened is None:
                return file.read(most)
            with opened(file) as unpacked:
                return _up_to(unpacked, most_unpacked)
        except (lzma.LZMAError, EOFError, OSError, ValueError) as error:
            raise NotPlain(f"cannot be unpacked ({str(error)[:120]})") from error


def without_compression(path: Path) -> Path:
    """The name without `.gz`, `.xz`, `.zst` or `.bz2`, which tells what the unpacked file is."""
    return path.with_suffix("") if path.suffix.lower() in COMPRESSED else path


def parse_json(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The JSON in a text; whole numbers of more than `MOST_DIGITS` digits become infinite.

    Args:
        text: of the file.
        pairs: makes an object of its names and values, as `object_pairs_hook` of `json`; sees names that are twice.

    Raises:
        json.JSONDecodeError: it is no JSON; has `lineno` and `colno`.
        NotPlain: it is nested too deeply.
    """
    try:
        return json.loads(text, parse_int=_whole, object_pairs_hook=pairs)
    except RecursionError as error:
        raise NotPlain("is nested too deeply") from error


def json_decoder(
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> json.JSONDecoder:
    """A decoder that reads whole numbers as `parse_json` does, for callers that read many values one by one.

    Args:
        pairs: makes an object of its names and values, a name given twice included; None makes a dict.
    """
    return json.JSONDecoder(parse_int=_whole, object_pairs_hook=pairs)


def number(value: object) -> float:
    """A finite number, also from a string that is one; NaN where it is none (a flag, a list, a tensor, 1e999)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    if isinstance(value, str) and len(value) > MOST_DIGITS:
        return math.nan
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return read if math.isfinite(read) else math.nan


def storable(text: str) -> str:
    """The text with lone surrogates, which no file or database takes, replaced."""
    if text.isascii():  # nearly always, and at once
        return text
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _whole(digits: str) -> int | float:
    return (
        int(digits) if len(digits) <= MOST_DIGITS else math.copysign(math.inf, -1 if digits[0] == "-" else 1)
    )


def _unpacking(suffix: str) -> Callable[[BinaryIO], Any] | None:
    if suffix == ".gz":
        return lambda file: gzip.GzipFile(fileobj=file)
    if suffix == ".xz":
        return lambda file: lzma.LZMAFile(file)
    if suffix == ".bz2":
        return lambda file: bz2.BZ2File(file)
    if suffix == ".zst":
        import pyarrow

        return lambda file: pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd")
    return None


def _up_to(file: Any, most: int) -> bytes:
    """Everything in an unpacking file, read in pieces so that a bomb is noticed before it takes the memory."""
    pieces: list[bytes] = []
    size = 0
    while piece := cast(bytes, file.read(_CHUNK)):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise NotPlain(f"unpacks to more than the {most / 2**20:,.0f} MB that are read")
    return b"".join(pieces)


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in kinds if test(mode)), "a device")
