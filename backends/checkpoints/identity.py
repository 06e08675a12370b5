"""Where a model's weights are, what they are, and whether they may be read: without torch, and never unpickling.

A model's identity is the hash of every tensor it uses, its adapter's settings and its tokenizer: two models with one
fingerprint answer alike. Hashes of files are remembered, see `backends.files.remembered`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from backends.checkpoints.adapters import NOT_WEIGHTS, adapter_settings, check_adapter
from backends.checkpoints.drawing_files import check_drawing, drawing_identity
from backends.checkpoints.hub import version_path
from backends.checkpoints.lora_settings import stated_strength
from backends.checkpoints.model_folders import short_digest, version_digest, weights_digest
from backends.checkpoints.packages import no_package, package_file
from backends.checkpoints.sources import PACKAGE, kind_of, parts_of
from backends.checkpoints.tensors import adapter_file, read_header
from backends.errors import CheckpointError, StudyError
from backends.extras import install_command
from backends.study import Modality, ModelSpec
from backends.study.touch import (
    check_modality,
    check_touch,
    origin_of,
    parsed,
    prompts_of,
    touched_fingerprint,
    untouched,
)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What a model is, apart from where it lies: hashes of its weights and of its tokenizer ("" for images).

    `asked` is what tells a study's way of asking it from earlier versions', see `backends.text.rendering`; None where
    that was not looked at, or the files are not here.
    """

    fingerprint: str
    tokenizer: str
    asked: str | None = None

    def declared(self) -> str:
        """The form written into `fingerprint` of a study file."""
        return f"{self.fingerprint}:{self.tokenizer}" if self.tokenizer else self.fingerprint


def missing_model_packages(specs: Iterable[ModelSpec]) -> list[str]:
    """What to install for models that lie in Python packages which are not installed: a sentence a package."""
    sources = dict.fromkeys(spec.source for spec in specs if kind_of(spec.source) is PACKAGE)
    return [str(no_package(source)) for source in sources if package_file(source) is None]


def resolve(source: str, *, revision: str = "") -> Path:
    """The local folder of a source, fetched (hub) or converted (GGUF in a package) where that is needed and allowed.

    Raises:
        CheckpointError: nothing is there, the hub is out of reach, or the package is not installed.
    """
    return kind_of(source).place(source, revision)


def available(spec: ModelSpec) -> bool:
    """Whether all weights of the model are on this machine (or in the hub's own cache); pictures are no weights."""
    return kind_of(spec.source).has_weights and all(
        kind_of(part, key).here(part, spec.revision if number == 0 else "")
        for number, (key, part) in enumerate(parts_of(spec))
    )


def can_be_evaluated(spec: ModelSpec) -> bool:
    """Whether evidence of the model is available here: from its weights, or from pictures made elsewhere."""
    return not kind_of(spec.source).has_weights or available(spec)


def declared_identity(spec: ModelSpec) -> ModelIdentity | None:
    """The identity that the study declares, None where it declares none; no file is looked at."""
    if not spec.fingerprint:
        return None
    fingerprint, _, tokenizer = spec.fingerprint.partition(":")
    return ModelIdentity(fingerprint, tokenizer)


def identity(spec: ModelSpec) -> ModelIdentity:
    """Identity of a model's weights and tokenizer, from its files where they are here, else as the study declares it.

    Raises:
        CheckpointError: neither files nor a declared fingerprint, or the two contradict each other.
    """
    kind = kind_of(spec.source)
    if not kind.has_weights:  # nothing can be put on it
        return ModelIdentity(kind.digests(spec.source, spec.revision, spec.subfolder).parts[0], "")
    declared = declared_identity(spec)
    if not available(spec):
        if declared is not None:
            return declared
        kind.place(spec.source, spec.revision)  # raises with the reason
        missing = next((part for key, part in parts_of(spec) if not kind_of(part, key).here(part, "")), "")
        raise CheckpointError("there is no such file or folder", where=f"{spec.name}: {missing}")
    own = _identity(spec)
    if declared is not None and spec.fingerprint != own.declared():
        raise CheckpointError(
            "its weights do not match the `fingerprint` in the study",
            where=spec.name,
            how="Remove the line `fingerprint` to use the files as they are",
        )
    return own


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
    kind = kind_of(spec.source)
    if kind.has_weights and spec.fingerprint and not available(spec):
        return
    shapes = kind.check(spec, modality)
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
    if not kind_of(spec.source).has_weights and (modality == "text" or spec.weights or spec.adapter):
        what = "language models generate text" if modality == "text" else "pictures have no weights"
        raise CheckpointError(
            f"the source is a folder of pictures, and {what}", where=f"{spec.name}: {spec.source}"
        )
    if spec.weights and modality == "text" and not spec.weights.endswith(".safetensors"):
        raise CheckpointError(
            "changed weights of a language model are read from a .safetensors file only",
            where=f"{spec.name}: {spec.weights}",
            how="Save them as .safetensors, name the whole model's folder in `source`, or a PEFT folder in `adapter`",
        )
    if spec.weights and modality == "text" and (spec.adapter or spec.quantization):
        raise CheckpointError(
            "`weights` needs a plain base, but this model also has an adapter or is quantised",
            where=f"{spec.name}: {spec.weights}",
            how="Remove one of them",
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
    if spec.touch:
        _refuse_touch(spec, modality)
    if spec.adapter and modality == "image":
        raise CheckpointError(
            "PEFT adapters are for language models, and this is an image model",
            where=f"{spec.name}: {spec.adapter}",
            how="Name a safetensors file with the changed tensors in `weights`",
        )


def _refuse_touch(spec: ModelSpec, modality: Modality) -> None:
    try:
        touch = parsed(spec.touch, spec.name)
        check_modality(touch, modality, f"{spec.name}: touch")
        check_touch(untouched(spec), touch)
    except StudyError as error:
        raise CheckpointError(error.what, where=error.where, how=error.how) from error
    if touch.needs_original and not spec.origin:
        raise CheckpointError(f"this touch needs the original ({touch.title()})", where=spec.name)
    if touch.kind == "project" and not spec.fingerprint:
        prompts_of(touch.prompts, spec.name)


def _identity(spec: ModelSpec) -> ModelIdentity:
    if spec.touch:
        plain = _identity(untouched(spec))
        of = _identity(origin_of(spec)).fingerprint if parsed(spec.touch).needs_original else ""
        return ModelIdentity(touched_fingerprint(plain.fingerprint, spec.touch, of), plain.tokenizer)
    base = kind_of(spec.source).digests(spec.source, spec.revision, spec.subfolder)
    parts = list(base.parts)
    if spec.adapter:
        adapter = resolve(spec.adapter)
        parts.append(weights_digest(adapter, [adapter_file(adapter)]))
        settings = adapter_settings(adapter)
        parts.append(short_digest({key: value for key, value in settings.items() if key not in NOT_WEIGHTS}))
    if spec.weights:
        changed = version_path(spec.weights)
        files = [changed]
        if changed.is_dir():
            files = sorted(file for file in changed.rglob("*") if file.is_file())
        parts.append(version_digest(files))
        parts += ["ema"] if spec.ema else []
        parts += [short_digest(stated)] if (stated := stated_strength(changed)) else []
    if spec.strength != 1.0:
        origin = replace(
            spec, source=spec.origin, adapter=spec.origin_adapter or None, weights=None, strength=1.0
        )
        parts.append(f"{spec.strength!r} of the way from {_identity(origin).fingerprint}")
    if spec.quantization:
        parts.append(f"bitsandbytes {spec.quantization}")
    parts += drawing_identity(spec, version_digest)
    return ModelIdentity(short_digest(parts), base.tokenizer)
