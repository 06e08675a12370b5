"""Reading a checkpoint's files without torch: which ones are its weights, their headers, per-tensor hashes, JSON.

Nothing here unpickles: a pickle checkpoint is recognised by its name and refused.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from blake3 import blake3

from backends.errors import CheckpointError
from backends.files.plain import NotPlain, open_plain, parse_json

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
MOST_WEIGHTS = 2**50
"""Bytes of a file of weights; they are mapped, never read whole."""
MOST_HEADER = 100_000_000
"""Bytes of a safetensors header, as the format limits it."""
INDEX = ".safetensors.index.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
"""Size of one number of each safetensors type; other types (less than a byte) are left to the loader."""


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
    header, base, size = _header(path)
    infos: dict[str, TensorInfo] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        info = _tensor_info(entry, base)
        if info is None:
            raise CheckpointError(
                f"its header describes the tensor {name[:80]} wrongly, so the safetensors file is damaged",
                where=str(path),
                how="Copy or download it again",
            )
        infos[name] = info
    needed = max((info.end for info in infos.values()), default=base)
    if needed > size:
        raise CheckpointError(
            f"the file is truncated: {size:,} of {needed:,} bytes are there",
            where=str(path),
            how="Copy or download it again",
        )
    return infos


def safetensors_metadata(path: Path) -> dict[str, str]:
    """The texts that a safetensors file's writer put beside its tensors; {} if there are none.

    Raises:
        CheckpointError: as `read_header`.
    """
    found = _header(path)[0].get("__metadata__")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def stated_bytes(header: bytes) -> int | None:
    """How many bytes of data follow a safetensors header; None where it is none."""
    try:
        entries = parse_json(header.decode())
    except (ValueError, NotPlain):
        return None
    if not isinstance(entries, dict):
        return None
    infos = [_tensor_info(entry, 0) for name, entry in entries.items() if name != "__metadata__"]
    ends = [info.end for info in infos if info is not None]
    return max(ends, default=0) if len(ends) == len(infos) else None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that a model folder is loaded from, all components of a pipeline included.

    Raises:
        CheckpointError: a part has only pickles or no weights, or an index or a setting names other files.
    """
    if not (folder / "model_index.json").is_file():
        return _model_files(folder)
    for part in sorted(_folders_with_weights(folder)):
        _refuse_other_files(part)
        if not any(part.glob("*.safetensors")):
            _refuse_pickles(part, "" if part == folder else f"component {part.relative_to(folder)}")
    files = sorted(folder.rglob("*.safetensors"))
    return files or _nothing(folder)


def adapter_file(folder: Path) -> Path:
    """The one file that a PEFT folder is loaded from, which is never a pickle.

    Raises:
        CheckpointError: `adapter_model.safetensors` is not at the top of the folder.
    """
    path = folder / ADAPTER_WEIGHTS
    if path.is_file():
        return path
    _refuse_pickles(folder, "adapter")
    raise CheckpointError(
        "this folder holds no adapter_model.safetensors",
        where=str(folder),
        how=nested_hint(folder, path.name) or "Save the adapter again with save_pretrained",
    )


def nested_hint(folder: Path, name: str) -> str:
    """A hint where the file lies in a folder of the folder, as the Trainer's checkpoints do; "" where it does not."""
    result = [path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{name}")]
    if not result:
        return ""
    last = max(result, key=lambda path: ([int(part) for part in re.findall(r"\d+", path.name)], path.name))
    others = f" (there are {len(result)} such folders)" if len(result) > 1 else ""
    return f"Name {last} instead, which has one{others}"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: the file cannot be read, is no JSON, or is no object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot be read as JSON ({error})", where=str(path)) from error
    if not isinstance(value, dict):
        raise CheckpointError("a JSON object was expected", where=str(path))
    return value


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
    """BLAKE3 of a whole file.

    Raises:
        CheckpointError: it is no plain file.
    """
    try:
        open_plain(path, most=MOST_WEIGHTS).close()
    except NotPlain as error:
        raise CheckpointError(str(error), where=str(path)) from error
    hasher = blake3(max_threads=blake3.AUTO)
    hasher.update_mmap(path)
    return hasher.hexdigest(length=16)


def _header(path: Path) -> tuple[dict[str, Any], int, int]:
    """A safetensors file's header, where its data start, and the file's size in bytes."""
    refuse_pickle(path)
    try:
        with open_plain(path, most=MOST_WEIGHTS) as file:
            size = os.fstat(file.fileno()).st_size
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < 8 or length > size - 8 or length > MOST_HEADER:
                raise _broken(path, size)
            header = parse_json(file.read(length).decode())
    except NotPlain as error:
        raise CheckpointError(str(error), where=str(path)) from error
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ValueError as error:
        raise _broken(path, size) from error
    if not isinstance(header, dict):
        raise _broken(path, size)
    return header, 8 + length, size


def _model_files(folder: Path) -> list[Path]:
    # As transformers chooses: one file, else the shards that the index names.
    _refuse_other_files(folder)
    whole, index = folder / "model.safetensors", folder / f"model{INDEX}"
    if whole.is_file():
        return [whole]
    if index.is_file():
        return sorted({folder / name for name in read_json(index)["weight_map"].values()})
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return files
    _refuse_pickles(folder, "")
    return _nothing(folder)


def _refuse_other_files(folder: Path) -> None:
    """Refuses what would make a loader read other files than the safetensors files of this folder."""
    config = folder / "config.json"
    if config.is_file() and read_json(config).get("transformers_weights"):
        raise CheckpointError(
            "`transformers_weights` names a file of its own to read weights from, which is not supported",
            where=str(config),
            how="Save the model again with save_pretrained",
        )
    if config.is_file() and (folder / "adapter_config.json").is_file():
        raise CheckpointError(
            "this folder holds both a model and an adapter",
            where=str(folder),
            how="Move adapter_config.json and the adapter's weights into a folder of their own, named in `adapter`",
        )
    for index in sorted(folder.glob(f"*{INDEX}")):
        shards = read_json(index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise CheckpointError(
                "it holds no `weight_map`", where=str(index), how="Copy or download it again"
            )
        for shard in shards.values():
            if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors"):
                raise CheckpointError(
                    f"it names {str(shard)[:80]!r} as weights, which is not a safetensors file of this folder",
                    where=str(index),
                    how="Save the model again with save_pretrained",
                )
            if not (folder / shard).is_file():
                raise CheckpointError(
                    f"the file {shard[:80]} that it names is missing", where=str(index), how="Copy it there"
                )


def _folders_with_weights(folder: Path) -> set[Path]:
    return {folder} | {
        path.parent
        for path in folder.rglob("*")
        if path.suffix.lower() in PICKLES or path.name == "config.json" or path.name.endswith(INDEX)
    }


def _refuse_pickles(folder: Path, part: str) -> None:
    """Raises CheckpointError where the folder holds a pickle; `part` says what the folder is of a whole."""
    pickles = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICKLES]
    if pickles:
        kind = f"the weights of its {part} are" if part else "its weights are"
        raise CheckpointError(
            f"{kind} pickles ({pickles[0].name}), which can run code when they are read, so they are refused",
            where=str(folder),
            how="Save the model again with safe_serialization=True",
        )


def _nothing(folder: Path) -> list[Path]:
    raise CheckpointError("this folder holds no weights (*.safetensors)", where=str(folder))


def _tensor_info(entry: Any, base: int) -> TensorInfo | None:
    """One entry of a header, or None where it contradicts the format or itself; `base` is where the data start."""
    if not isinstance(entry, dict):
        return None
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        return None
    start, end = offsets
    if end < start or (dtype in BYTES and end - start != math.prod(shape) * BYTES[dtype]):
        return None
    return TensorInfo(dtype, tuple(shape), base + start, base + end)


def _counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def _broken(path: Path, size: int) -> CheckpointError:
    return CheckpointError(
        f"this safetensors file is incomplete ({size:,} bytes)",
        where=str(path),
        how="Copy or download it again",
    )
