"""Reading safetensors files without torch: headers, per-tensor hashes, and what makes a file unfit to read.

Nothing here unpickles: a pickle checkpoint is recognised by its name and refused.
"""

from __future__ import annotations

import json
import mmap
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from backends.errors import CheckpointError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file: type name ("BF16"), shape, and where its bytes lie in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def refuse_pickle(path: Path) -> None:
    """Raises CheckpointError where the file's name says that it is a pickle, which can run code when read."""
    if path.suffix.lower() in PICKLES:
        raise CheckpointError(
            f"{path.suffix} checkpoints can run code when they are read, so they are refused",
            where=str(path),
            how="Convert it to .safetensors with the tool that made it",
        )


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Tensor names with type, shape and place, in the order of the file.

    Raises:
        CheckpointError: a pickle, a missing file, no safetensors file, or a truncated one.
    """
    refuse_pickle(path)
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < 8 or length > size - 8 or length > 100_000_000:
                raise _broken(path, size)
            header = json.loads(file.read(length))
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise _broken(path, path.stat().st_size) from error
    base = 8 + length
    infos: dict[str, TensorInfo] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        infos[name] = TensorInfo(entry["dtype"], tuple(entry["shape"]), base + start, base + end)
    needed = max((info.end for info in infos.values()), default=base)
    if needed > size:
        raise CheckpointError(
            f"the file is truncated: {size:,} of {needed:,} bytes are there",
            where=str(path),
            how="Copy or download it again",
        )
    return infos


def tensor_digests(path: Path) -> dict[str, str]:
    """BLAKE3 of type, shape and bytes of every tensor in a safetensors file, by name."""
    infos = read_header(path)
    digests: dict[str, str] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        view = memoryview(data)
        for name, info in infos.items():
            hasher = blake3(f"{info.dtype}{list(info.shape)}".encode(), max_threads=blake3.AUTO)
            with view[info.start : info.end] as piece:
                hasher.update(piece)
            digests[name] = hasher.hexdigest(length=16)
        view.release()
    return digests


def file_digest(path: Path) -> str:
    """BLAKE3 of a whole file."""
    hasher = blake3(max_threads=blake3.AUTO)
    hasher.update_mmap(path)
    return hasher.hexdigest(length=16)


def _broken(path: Path, size: int) -> CheckpointError:
    return CheckpointError(
        f"this is no whole safetensors file ({size:,} bytes)",
        where=str(path),
        how="Copy or download it again",
    )
