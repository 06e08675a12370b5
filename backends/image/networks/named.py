"""What a named network makes of pictures, prompts and pairs of pictures: how it is called, and what network it was.

A network is identified by its kind ("clip", "inception", "lpips"), the name that people know it by, and a digest of its
files, so that equal digests give equal numbers. Knows neither torch nor where vectors are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from backends.checkpoints.hub import HUB, HUB_ID, from_hub
from backends.checkpoints.identity import resolve
from backends.checkpoints.tensors import PICKLES, file_digest, refuse_pickle, weight_files
from backends.errors import CheckpointError
from backends.evidence import FloatArray
from backends.files.remembered import remembered

CLIP, INCEPTION, LPIPS = "clip", "inception", "lpips"

CODE_VERSION = 1
"""Raised when the code here makes other vectors of the same pictures; older ones are then not found."""

_FILES = (".json", ".txt", ".safetensors")


@dataclass(frozen=True, slots=True)
class Network:
    """One network that pictures are looked at with.

    Attributes:
        kind: CLIP, INCEPTION or LPIPS.
        name: what people call it: hub id, name of the folder or file, name of LPIPS' network.
        digest: of its files; "" where they are not here.
    """

    kind: str
    name: str
    digest: str


class PictureFeatures(Protocol):
    """A loaded network that gives every picture a vector."""

    @property
    def notes(self) -> Sequence[str]:
        """What loading it did, in sentences."""
        ...

    def images(self, pixels: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """Shape (N, D); each picture uint8 (height, width, 3), of any size."""
        ...


class PicturesAndTexts(PictureFeatures, Protocol):
    """A loaded network that also gives prompts vectors in the same space."""

    def texts(self, prompts: Sequence[str]) -> FloatArray:
        """Shape (N, D)."""
        ...


class PictureDistances(Protocol):
    """A loaded network that compares pictures of one size."""

    def distances(self, left: Sequence[NDArray[np.uint8]], right: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """Shape (N,)."""
        ...


def text_subject(prompt: str) -> str:
    """What a prompt's vector is kept under; a picture's is kept under the hash of its file."""
    return f"text {blake3(prompt.encode()).hexdigest(length=16)}"


def pair_subject(ours: str, theirs: str) -> str:
    """What the distance of two pictures is kept under."""
    return f"{ours} {theirs}"


def network(kind: str, source: str) -> Network:
    """The network that a study names; without a digest where its files are not here. Fetches nothing."""
    if kind == LPIPS:  # its package has one set of weights for each name
        return Network(kind, source, _digest([LPIPS, "0.1", source]))
    name = source.removeprefix(HUB) if HUB_ID.match(source) else Path(source).name
    try:
        found = files_of(kind, source, fetch=False)
    except CheckpointError:
        return Network(kind, name, "")
    said = [f"{path.name} {_file_digest(path)}" for path in found]
    # Vectors from before tensors that CLIP lacked were refused may be of random ones: they are made again.
    return Network(kind, name, _digest([kind, *(["whole"] if kind == CLIP else []), *said]))


def files_of(kind: str, source: str, *, fetch: bool = True) -> list[Path]:
    """The files that a network is loaded from: weights, settings, vocabulary.

    Raises:
        CheckpointError: they are not here (and the hub does not give them), or the weights are pickles.
    """
    path = Path(source).expanduser()
    if not fetch and not path.exists() and HUB_ID.match(source):
        path = from_hub(source.removeprefix(HUB), "", fetch=False)
    else:
        path = resolve(source)
    if path.is_file():
        if kind != INCEPTION:  # whose best known weights are a .pth; it is read as nothing but tensors
            refuse_pickle(path)
        return [path]
    if kind == INCEPTION:
        _refuse_unnamed(path)
        return weight_files(path)
    weights = weight_files(path)
    others = [each for each in path.iterdir() if each.suffix in _FILES and each.suffix != ".safetensors"]
    return sorted({*weights, *others})


def _refuse_unnamed(folder: Path) -> None:
    """Raises CheckpointError where a folder has pickles only: one of them can be read, but not be guessed."""
    pickles = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICKLES)
    if pickles and not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            f"this folder holds no *.safetensors, but {pickles[0].name}",
            where=str(folder),
            how=f"Name the file itself, {pickles[0]}: a file that is named is read as tensors only",
        )


def _digest(parts: Sequence[str]) -> str:
    return blake3("\n".join([str(CODE_VERSION), *parts]).encode()).hexdigest(length=16)


def _file_digest(path: Path) -> str:
    return remembered("file", [path], lambda: file_digest(path))
