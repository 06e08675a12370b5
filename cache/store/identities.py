"""What a model is within a study: its weights and tokenizer, and how the study's protocol and date ask it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backends.checkpoints.identity import ModelIdentity, available
from backends.checkpoints.resolved import ResolvedModels
from backends.checkpoints.sources import kind_of
from backends.errors import CheckpointError
from backends.study import ModelSpec, Study
from backends.text.rendering import rendering_digest


def identity_in(study: Study, spec: ModelSpec, models: ResolvedModels | None = None) -> ModelIdentity:
    """Identity of a model as this study asks it.

    Args:
        study: says how it is asked.
        spec: one of its models.
        models: as they were resolved for the work at hand; None looks at the model now.

    Raises:
        CheckpointError: as `ResolvedModel.identity`.
    """
    model = (ResolvedModels(study) if models is None else models)[spec.name]
    return replace(model.identity, asked=_asked(study, model.located.folder))


def rendering_of(study: Study, spec: ModelSpec, models: ResolvedModels | None = None) -> str | None:
    """See `ModelIdentity.asked`; None for pictures, and where the model's files are not here."""
    return _asked(study, models[spec.name].located.folder if models is not None else _folder(spec))


def _asked(study: Study, folder: Path | None) -> str | None:
    if study.modality != "text" or folder is None:
        return None
    return rendering_digest(folder, study.protocol, study.date)


def _folder(spec: ModelSpec) -> Path | None:
    """The folder with the model's tokenizer, where it is here; nothing is fetched, converted or hashed."""
    try:
        ready = kind_of(spec.source).ready(spec.source, spec.revision)
    except CheckpointError:
        return None
    return None if ready is None or not available(spec) else ready / spec.subfolder
