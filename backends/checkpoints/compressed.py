"""Weights that are kept compressed, `NAME.safetensors.xz`: unpacked into the cache once, when they are first needed.

bfloat16 weights lose about a third of their size so, which a repository or an archive of checkpoints feels.
"""

from __future__ import annotations

import lzma
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from blake3 import blake3

from backends.checkpoints.tensors import MOST_HEADER, stated_bytes
from backends.errors import CheckpointError
from backends.files.disk import kept
from backends.files.places import cache_folder

SUFFIX = ".xz"
WEIGHTS = ".safetensors"
_CHUNK = 2**20
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 3, "lp": 1, "pb": 1}]
"""Numbers of two bytes: the one with the exponent is told apart from the one without by its place."""


def compress(path: Path) -> Path:
    """Puts a compressed file in the place of a file of weights; returns it."""
    target = path.with_name(path.name + SUFFIX)
    with (
        path.open("rb") as source,
        lzma.open(target, "wb", format=lzma.FORMAT_XZ, filters=_FILTERS) as packed,
    ):
        shutil.copyfileobj(source, packed)
    path.unlink()
    return target


def is_here(path: Path) -> bool:
    """Whether a file or folder is there, or a compressed file in its place."""
    return path.exists() or _in_place_of(path).is_file()


def unpacked(path: Path) -> Path:
    """The file or folder itself, or where it lies unpacked if it, or weights in it, are compressed.

    Raises:
        CheckpointError: a compressed file is damaged, or the cache has no room for it.
    """
    if path.is_dir():
        files = sorted([*path.glob(f"*{WEIGHTS}{SUFFIX}"), *path.glob(f"*/*{WEIGHTS}{SUFFIX}")])
        return _kept(path, files) if files else path
    if path.exists() or not path.name.endswith(WEIGHTS):
        return path
    packed = _in_place_of(path)
    return _kept(packed, [packed]) / path.name if packed.is_file() else path


def _in_place_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _kept(path: Path, files: list[Path]) -> Path:
    """The folder in the cache with what `path` holds, unpacked now where that was not done before."""
    target = cache_folder() / "unpacked" / f"{path.name.split('.')[0]}-{_digest(path, _states(files))}"
    if not target.is_dir():
        try:
            with kept("these weights unpacked", target.parent, kind=CheckpointError):
                _unpack_to(path, target)
        except (lzma.LZMAError, EOFError) as error:
            raise CheckpointError(
                f"these compressed weights are damaged ({error})",
                where=str(path),
                how="Copy or download them again",
            ) from error
    return target


def _unpack_to(path: Path, target: Path) -> None:
    """Whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as folder:
            made = Path(folder) / target.name
            _unpack(path, made)
            made.rename(target)
    except OSError:
        if not target.is_dir():  # it is there where another process was quicker
            raise


def _unpack(path: Path, target: Path) -> None:
    target.mkdir()
    if path.is_file():
        _unpack_file(path, target / path.name.removesuffix(SUFFIX))
        return
    for each in sorted(path.iterdir()):
        if each.is_dir():
            _unpack(each, target / each.name)
        elif each.name.endswith(WEIGHTS + SUFFIX):
            _unpack_file(each, target / each.name.removesuffix(SUFFIX))
        else:
            shutil.copyfile(each, target / each.name)


def _unpack_file(source: Path, target: Path) -> None:
    """Unpack as many bytes as the header of the safetensors file inside states, and refuse what is more than that.

    Raises:
        CheckpointError: no safetensors file is inside, or more than it states.
    """
    with lzma.open(source, "rb") as packed, target.open("wb") as file:
        prefix = packed.read(8)
        length = int.from_bytes(prefix, "little")
        head = packed.read(min(length, MOST_HEADER))
        left = stated_bytes(head) if len(head) == length else None
        if left is None:
            raise CheckpointError("no safetensors file is inside", where=str(source), how="Compress it again")
        file.write(prefix + head)
        while left and (piece := packed.read(min(left, _CHUNK))):
            file.write(piece)
            left -= len(piece)
        if packed.read(1):
            raise CheckpointError(
                "it unpacks to more than the safetensors file inside states",
                where=str(source),
                how="Copy or download it again",
            )


def _states(files: list[Path]) -> tuple[tuple[str, int, int], ...]:
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)


@lru_cache(maxsize=256)
def _digest(path: Path, states: tuple[tuple[str, int, int], ...]) -> str:
    """Of all files of a folder with compressed weights, or of the one file; `states` tell when to ask again."""
    digest = blake3()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(str(file.relative_to(path)).encode()).update_mmap(str(file))
    return digest.hexdigest()[:16]
