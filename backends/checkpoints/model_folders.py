"""Folders of transformers and diffusers: what a folder holds, whether it is whole, and the digests that identify it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blake3 import blake3

from backends.checkpoints.tensors import (
    TensorInfo,
    file_digest,
    read_header,
    read_json,
    tensor_digests,
    weight_files,
)
from backends.checkpoints.wrapped_names import unwrapped, unwrapped_part
from backends.errors import CheckpointError
from backends.files.remembered import remembered
from backends.study import Modality

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja")


def detect_modality(folder: Path) -> Modality:
    """Modality of a model folder: "image" for a diffusers pipeline, "text" for a transformers folder."""
    if (folder / "model_index.json").is_file():
        return "image"
    if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
        return "text"
    raise CheckpointError(
        "this folder holds no model (no config.json, model_index.json or adapter_config.json)",
        where=str(folder),
    )


def check_folder(folder: Path, modality: Modality, name: str) -> dict[str, TensorInfo]:
    """Check that a folder holds a whole model of that modality; returns its tensors by name.

    Raises:
        CheckpointError: it does not.
    """
    if folder.is_file():
        raise CheckpointError("this is a file, a folder with a model was expected", where=f"{name}: {folder}")
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise CheckpointError(
            "this folder holds an adapter, not a model",
            where=f"{name}: {folder}",
            how="Name the base model in `source` and this folder in `adapter`",
        )
    kind = detect_modality(folder)
    if kind != modality:
        kinds = {"image": "an image diffusion pipeline", "text": "a transformers model"}
        wanted = {"image": "image diffusion models", "text": "language models"}
        raise CheckpointError(
            f"this is {kinds[kind]}, but the study compares {wanted[modality]}", where=f"{name}: {folder}"
        )
    if kind == "text":
        architectures = read_json(folder / "config.json").get("architectures")
        if not isinstance(architectures, list):
            architectures = []  # whether it loads without is for transformers to say
        if architectures and not any("CausalLM" in str(a) or "LMHead" in str(a) for a in architectures):
            raise CheckpointError(
                f"{architectures[0]} is not a causal language model, so it cannot answer prompts",
                where=f"{name}: {folder}",
            )
    infos = {tensor: info for file in weight_files(folder) for tensor, info in read_header(file).items()}
    return {plain: infos[stored] for stored, plain in unwrapped(infos, str(folder)).names.items()}


def folder_digests(folder: Path) -> tuple[list[str], str]:
    """Parts of the identity of a folder's weights, and the digest of its tokenizer, "" for an image pipeline."""
    files = weight_files(folder)
    parts = [weights_digest(folder, files), _configs_digest(folder), *unwrapped_part(folder, files)]
    return parts, _tokenizer_digest(folder)


def weights_digest(folder: Path, files: list[Path]) -> str:
    """Digest of all tensors of a folder's files, remembered while the files are the same."""
    return remembered("weights", files, lambda: _of_tensors(folder, files))


def version_digest(files: list[Path]) -> str:
    """Digest of changed weights or learned tokens, remembered while the files are the same."""
    return remembered("version", files, lambda: _of_version(files))


def short_digest(value: Any) -> str:
    """Digest of plain data, 16 bytes in hexadecimal."""
    return blake3(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest(length=16)


def _of_tensors(folder: Path, files: Iterable[Path]) -> str:
    # Sharding and file names do not count: the same tensors give the same digest. A pipeline's components do count.
    rows = [
        (str(file.parent.relative_to(folder)), name, digest)
        for file in files
        for name, digest in tensor_digests(file).items()
    ]
    return short_digest(sorted(rows))


def _of_version(files: list[Path]) -> str:
    if [file.suffix for file in files] == [".safetensors"]:
        return short_digest(sorted(tensor_digests(files[0]).items()))
    return short_digest([[file.name, file_digest(file)] for file in files])


def _configs_digest(folder: Path) -> str:
    names = ("config.json", "generation_config.json", "scheduler_config.json", "model_index.json")
    drop = {"_name_or_path", "transformers_version", "_diffusers_version", "torch_dtype", "dtype"}
    settings = {
        str(path.relative_to(folder)): {k: v for k, v in read_json(path).items() if k not in drop}
        for path in sorted(folder.rglob("*.json"))
        if path.name in names
    }
    return short_digest(settings)


def _tokenizer_digest(folder: Path) -> str:
    if (folder / "model_index.json").is_file():
        return ""
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    rows = [(file.name, file_digest(file)) for file in files]
    settings = folder / "tokenizer_config.json"
    template = read_json(settings).get("chat_template", "") if settings.is_file() else ""
    return short_digest([rows, template])[:16]
