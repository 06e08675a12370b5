"""Zip files of strangers: unpacked with limits, and nothing but what is expected, where it is expected."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from backends.files.plain import NotPlain, open_plain

MOST_ENTRIES = 2_000_000
MOST_ARCHIVE = 256 * 2**30
"""Bytes of a zip file."""
MOST_RATIO = 200
"""Times its own size that a zip file may become, beside `ROOM`; what is packed here becomes at most four times."""
ROOM = 64 * 2**20
_MAGIC = b"PK\x03\x04"


def is_zip(path: Path) -> bool:
    """Whether a plain file begins as a zip file does."""
    try:
        with open_plain(path, MOST_ARCHIVE) as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except NotPlain:
        return False


def unpack(
    path: Path, folder: Path, names: re.Pattern[str], progress: Callable[[int, int], None] = lambda *_: None
) -> None:
    """Unpack a zip file into a folder.

    Args:
        path: of the file.
        folder: exists, and is empty.
        names: what every name in the file must match; it must let through no `..` and nothing absolute.
        progress: hears how many files are unpacked, and how many there are.

    Raises:
        NotPlain: it is no zip file, is damaged, holds another name, a link or a name twice, or unpacks to too much.
        OSError: the folder cannot be written.
    """
    with open_plain(path, MOST_ARCHIVE) as file:
        size = path.stat().st_size
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                _check(entries, size, names)
                for done, entry in enumerate(entries, 1):
                    target = folder / entry.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(entry) as source, target.open("xb") as written:
                        shutil.copyfileobj(source, written)  # no more than the size that was checked
                    progress(done, len(entries))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise NotPlain(f"cannot be unpacked ({str(error)[:120]})") from error


def _check(entries: list[zipfile.ZipInfo], size: int, names: re.Pattern[str]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise NotPlain(f"holds more than {MOST_ENTRIES:,} files")
    if sum(entry.file_size for entry in entries) > MOST_RATIO * size + ROOM:
        raise NotPlain(f"unpacks to more than {MOST_RATIO} times its size")
    seen: set[str] = set()
    for entry in entries:
        if not names.fullmatch(entry.filename):
            raise NotPlain(f"holds {ascii(entry.filename)[:80]}, which does not belong into it")
        if entry.filename in seen:
            raise NotPlain(f"holds {entry.filename} twice")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise NotPlain(f"holds {entry.filename}, which is no plain file")
        seen.add(entry.filename)
