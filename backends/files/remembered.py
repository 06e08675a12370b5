"""Digests of files, remembered in the cache folder, so that weights of many gigabytes are hashed once.

What is trusted: that the operating system notes every change of a file's content in its stamps. A digest is found again
by path, device, inode, size, time of modification and time of change (ctime, which no program can set back), and is
kept only where the youngest of these stamps is older than `YOUNG` seconds when the file has been read: within that time
a file may change again without a new stamp, on file systems that count in seconds (git calls this "racily clean"). A
file that changed while it was read is not remembered either. On Windows there is no time of change; a file whose time
of modification is in whole seconds, as copying programs set it, is hashed every time there.
What is not noticed: changes below the file system (a disk edited while it was not mounted). `forget_all` is for those.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from backends.files.disk import write_whole
from backends.files.places import cache_folder

YOUNG = 3.0
"""Seconds; the coarsest file systems in use (FAT) stamp in steps of two."""

Stamp = tuple[str, int, int, int, int, int]


def remembered(what: str, files: Sequence[Path], compute: Callable[[], str]) -> str:
    """A digest of files, found again as long as they have the stamps they had (best effort).

    Args:
        what: kind of digest: different ones of the same files are kept apart.
        files: that it is made from.
        compute: makes it.
    """
    before = [_stamp(file) for file in files]
    note = _notes() / blake3(json.dumps([what, before]).encode()).hexdigest(length=16)
    old = [stamp for stamp in before if _is_old(stamp)]
    if len(old) == len(before):
        try:
            return note.read_text()
        except OSError:
            pass
    digest = compute()
    if len(old) == len(before) and [_stamp(file) for file in files] == before:
        with suppress(OSError):  # a read-only cache only costs the time to hash again
            write_whole(note, digest.encode())  # half a digest would be another model's
    return digest


def forget_all() -> None:
    """Every file is hashed again when it is asked for next."""
    _forgotten.append(time.time())
    shutil.rmtree(_notes(), ignore_errors=True)


def times_forgotten() -> int:
    """How often all digests were forgotten in this process: what was made of them counts no more."""
    return len(_forgotten)


def is_settled(modified: int, changed: int) -> bool:
    """Whether a file with these times, in nanoseconds, cannot change again without new ones; 0 for a missing file."""
    if os.name == "nt" and modified:
        return modified % 1_000_000_000 != 0 and _age(modified) > YOUNG
    return _age(changed) > YOUNG


_forgotten: list[float] = []


def _notes() -> Path:
    return cache_folder() / "digests"


def _stamp(file: Path) -> Stamp:
    path = file.resolve()
    s = path.stat()
    return str(path), s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns


def _is_old(stamp: Stamp) -> bool:
    return is_settled(*stamp[-2:])


def _age(nanoseconds: int) -> float:
    return time.time() - nanoseconds / 1e9
