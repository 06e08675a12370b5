"""Files that are written whole or not at all, and what is said where a disk is full.

A full disk is the one fault that everybody meets at night: the sentence says how much was needed, how much is there,
and that nothing was lost.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backends.errors import BoardError, StoreError

FULL = (errno.ENOSPC, errno.EDQUOT)
NOTHING_LOST = (
    "Free some space or choose another folder with UNLEARNBOARD_CACHE; what was stored is kept, and the same "
    "command resumes"
)


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in its place: written beside it, then renamed, so that no half file has its name or takes up space.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


@contextmanager
def kept(what: str, folder: Path, needed: int = 0, kind: type[BoardError] = StoreError) -> Iterator[None]:
    """Writing, whose failure is one sentence.

    Args:
        what: is written ("a picture").
        folder: where to.
        needed: bytes; 0 where that is not known.
        kind: of the error.

    Raises:
        BoardError: of that kind; it cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise kind(full(folder, needed, what), where=str(folder), how=NOTHING_LOST) from error
        raise kind(
            f"{what} cannot be written ({error.strerror or error})",
            where=str(folder),
            how="Free some space or choose another folder with UNLEARNBOARD_CACHE",
        ) from error


def full(folder: Path, needed: int = 0, what: str = "") -> str:
    """`the disk is full: a picture needs 1.2 MB, 0.3 MB are free`, if known."""
    free = free_bytes(folder)
    facts = []
    if needed:
        facts.append(f"{what or 'this'} needs {size(needed)}")
    elif what:
        facts.append(f"there is not enough space for {what}")
    if free is not None:
        facts.append(f"{size(free)} are free")
    # Free space that would do means that a quota is used up, or that some was freed meanwhile.
    quota = " or its quota is used up" if needed and free is not None and free > needed else ""
    return f"the disk is full{quota}" + (f": {', '.join(facts)}" if facts else "")


def free_bytes(folder: Path) -> int | None:
    """Space on the disk of a folder, or of the nearest one above it that is there."""
    place = next((each for each in (folder, *folder.parents) if each.exists()), None)
    try:
        return shutil.disk_usage(place).free if place is not None else None
    except OSError:
        return None


def size(count: int) -> str:
    """Bytes for people: `0.3 MB`, `12 kB`."""
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{max(count, 0) / 1e3:,.0f} kB"
