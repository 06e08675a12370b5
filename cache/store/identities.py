"""What a model is within a study: its weights and tokenizer, and how the study's protocol and date ask it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backends.checkpoints.identity import ModelIdentity, available, identity
from backends.checkpoints.sources import kind_of
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
        ready = kind_of(spec.source).ready(spec.source, spec.revision)
    except CheckpointError:
        return None
    return None if ready is None or not available(spec) else ready / spec.subfolder
