"""What a model is within a study: its weights and tokenizer, and how the study's protocol and date ask it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backends.checkpoints.identity import (
    ModelIdentity,
    available,
    conversion,
    identity,
    is_package,
    package_file,
    resolve,
)
from backends.errors import CheckpointError
from backends.study import ModelSpec, Study
from backends.text.asking import asked_anew


def identity_in(study: Study, spec: ModelSpec) -> ModelIdentity:
    """Identity of a model as this study asks it.

    Raises:
        CheckpointError: as `backends.checkpoints.identity`.
    """
    return replace(identity(spec), asked=asked_by(study, spec))


def asked_by(study: Study, spec: ModelSpec) -> str | None:
    """See `ModelIdentity.asked`; None for pictures, and where the model's files are not here."""
    folder = _folder(spec) if study.modality == "text" else None
    return None if folder is None else asked_anew(folder, study.protocol, study.date)


def _folder(spec: ModelSpec) -> Path | None:
    """The folder with the model's tokenizer, where it is here; nothing is fetched or converted."""
    try:
        if is_package(spec.source):
            file = package_file(spec.source)
            made = None if file is None else conversion(file)
            return made if made is not None and (made / "config.json").is_file() else None
        return resolve(spec.source, revision=spec.revision) / spec.subfolder if available(spec) else None
    except CheckpointError:
        return None
