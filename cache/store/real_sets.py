"""Folders of real pictures that models' pictures are compared with as sets: which files are in them, by what they hold.

What a folder held when it was last here is kept, so that its numbers are shown where it is gone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from blake3 import blake3

from backends.checkpoints.picture_folders import pictures_in
from backends.checkpoints.tensors import file_digest
from backends.errors import CheckpointError, StoreError
from backends.image.networks.named import CLIP, INCEPTION, Network
from backends.study import Study
from cache.store import keys
from cache.store.interface import Store

KEPT = "real pictures "
"""Beginning of the key of what a folder last held."""
LOOKING = (CLIP, INCEPTION)
"""Kinds of networks that give a picture by itself a vector."""


def subject_of(digest: str) -> str:
    """What a real picture's vector is kept under; a drawn one's is kept under the hash of its file alone."""
    return f"real {digest}"


def real_files(folder: Path) -> dict[str, Path]:
    """Subject -> file, of every picture in a folder; equal files once.

    Raises:
        CheckpointError: no such folder, or no pictures in it.
    """
    return {subject_of(_digest(path, *_state(path))): path for path in pictures_in(folder)}


def real_subjects(store: Store, folder: str) -> tuple[str, ...]:
    """Subjects of the pictures of a folder, as it is or as it last was; none where it never was here."""
    kept = _memo(folder)
    try:
        found = tuple(sorted(real_files(Path(folder))))
    except CheckpointError:
        known = store.memo(kept)
        return tuple(json.loads(known)) if known is not None else ()
    content = json.dumps(found).encode()
    if store.memo(kept) != content:
        try:
            store.put_memo(kept, content)
        except StoreError:
            return found  # a cache that only can be read is read all the same
    return found


def keep_real_subjects(store: Store, folder: str, subjects: Sequence[str]) -> None:
    """Keep what a folder of real pictures held on another machine.

    Raises:
        StoreError: the store cannot be written.
    """
    content = json.dumps(sorted(subjects)).encode()
    if store.memo(_memo(folder)) != content:
        store.put_memo(_memo(folder), content)


def _memo(folder: str) -> str:
    return f"{KEPT}{blake3(folder.encode()).hexdigest(length=16)}"


def folders_of(study: Study) -> list[str]:
    """The folders of real pictures that a study names, each once."""
    return list(dict.fromkeys(folder for _, folder in study.features.real))


def real_stamp(study: Study, store: Store) -> str:
    """Changes when what is in any of the folders does; "" where the study names none."""
    held = [[role, real_subjects(store, folder)] for role, folder in study.features.real]
    return keys.digest(held) if held else ""


def is_real_network(of: Network) -> bool:
    """Whether a network gives real pictures vectors."""
    return of.kind in LOOKING


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


@lru_cache(maxsize=200_000)
def _digest(path: Path, _size: int, _changed: int) -> str:
    return file_digest(path)
