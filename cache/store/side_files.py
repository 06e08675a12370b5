"""What a cache keeps in files of its own beside the store, until all of it is in the store."""

from __future__ import annotations

from pathlib import Path

from backends.files.disk import kept, write_whole
from backends.files.plain import NotPlain, read_plain

SIDE_FOLDERS = ("denoising", "costs", "checks", "judges", "films")


def merge_side_files(source: Path, target: Path) -> int:
    """Copy the files that a cache folder lacks, and the lines that its denoising losses lack; returns how many came.

    Raises:
        StoreError: a file cannot be written.
    """
    came = 0
    for folder in SIDE_FOLDERS:
        for path in sorted((source / folder).glob("*")):
            try:
                content = read_plain(path)
            except NotPlain:
                continue
            place = target / folder / path.name
            before = place.read_bytes() if place.is_file() else b""
            if before and path.suffix == ".jsonl":
                known = set(before.splitlines())
                new = [line for line in content.splitlines() if line not in known]
                content = b"".join(line + b"\n" for line in (*before.splitlines(), *new))
                came += len(new)
            elif before:
                continue
            else:
                came += 1
            if content != before:
                with kept("what the other cache keeps beside its store", place.parent, len(content)):
                    write_whole(place, content)
    return came
