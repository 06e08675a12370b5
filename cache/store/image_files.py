"""Content-addressed PNG files beside the database: images/ab/<blake3>.png. Knows nothing of prompts or models."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image

from backends.files.disk import kept, write_whole
from backends.files.plain import NotPlain, read_plain

THUMBNAIL = 320
"""Longest side of a thumbnail, pixels: what a column of a board shows. Smaller images are their own thumbnails."""


def read_pixels(path: Path) -> NDArray[np.uint8] | None:
    """An image, uint8 (H, W, 3); None where its file is gone or damaged."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


class CopiedImages(NamedTuple):
    """Pictures that came from another folder, and those whose content is not what their names say."""

    new: int
    damaged: int


class ImageFiles:
    """Files whose name is the hash of what they hold, so that writing one twice is writing it once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._intact: set[str] = set()

    def path(self, digest: str) -> Path:
        """Where the image of that hash is, or would be."""
        return self.folder / digest[:2] / f"{digest}.png"

    def write(self, png: bytes, *, thumbnail: bool = True) -> str:
        """Keep an image: written beside its place, flushed, then renamed, so that no half image has a name.

        Args:
            png: the file.
            thumbnail: whether boards will show it small.

        Returns:
            Its BLAKE3 hash.

        Raises:
            StoreError: the folder cannot be written or the disk is full.
        """
        digest = blake3(png).hexdigest()
        if self.intact(digest):
            return digest
        with kept("a picture", self.folder, len(png)):
            write_whole(self.path(digest), png)
        self._intact.add(digest)
        if thumbnail:
            self.thumbnail(digest)  # now, while one image is at hand: a page of hundreds must not wait for it
        return digest

    def thumbnail(self, digest: str) -> Path:
        """A small version of an image, made if there is none yet; the image itself where that is small."""
        path = self.path(digest)
        small = self.folder.parent / "thumbnails" / digest[:2] / f"{digest}.webp"
        if small.is_file():
            return small
        part = small.with_suffix(f".{os.getpid()}.tmp")
        try:
            with Image.open(path) as image:
                if max(image.size) <= THUMBNAIL:
                    return path
                image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
                small.parent.mkdir(parents=True, exist_ok=True)
                image.convert("RGB").save(part, "WEBP", quality=88)
            os.replace(part, small)
        except (OSError, SyntaxError, ValueError):
            _remove(part)  # a full disk costs time, not the picture
            return path
        return small

    def intact(self, digest: str) -> bool:
        """The file is there and holds what its name says; its bytes are read once for each process."""
        if digest in self._intact and os.path.isfile(self.path(digest)):  # somebody may tidy up meanwhile
            return True
        try:
            found = blake3(self.path(digest).read_bytes()).hexdigest() == digest
        except OSError:
            return False
        if found:
            self._intact.add(digest)
        return found

    def copy_from(
        self, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> CopiedImages:
        """Take over all images of another folder of this kind that are not here whole.

        Args:
            folder: of the other store.
            progress: hears how many are done, and how many there are.

        Raises:
            StoreError: this folder cannot be written or the disk is full.
        """
        new = damaged = 0
        files = sorted(folder.glob("??/*.png"))
        for done, source in enumerate(files, 1):
            if not (os.path.exists(self.path(source.stem)) and self.intact(source.stem)):
                content = _content(source)
                if content is None:
                    damaged += 1
                else:
                    self._put(source.stem, content)
                    new += 1
            progress(done, len(files))
        return CopiedImages(new, damaged)

    def _put(self, digest: str, content: bytes) -> None:
        """Written beside its place, then renamed; not flushed one by one, as who reads them looks at what they hold."""
        target = self.path(digest)
        part = target.with_suffix(f".{os.getpid()}.tmp")
        with kept("a picture", self.folder, len(content)):
            try:
                if not os.path.isdir(target.parent):
                    target.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(content)
                os.replace(part, target)
            except OSError:
                _remove(part)
                raise
        self._intact.add(digest)


def _content(path: Path) -> bytes | None:
    """What a picture's file holds; None where that is not what its name says, or the file is none that is opened."""
    try:
        content = read_plain(path)
    except NotPlain:
        return None
    return content if blake3(content).hexdigest() == path.stem else None


def _remove(part: Path) -> None:
    """Half an image takes up the space that was short."""
    with suppress(OSError):
        part.unlink(missing_ok=True)
