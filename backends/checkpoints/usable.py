"""Which models of a study can be used, found without loading one: their files are whole, and of the study's kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backends.checkpoints.identity import available, resolve
from backends.checkpoints.resolved import ResolvedModels
from backends.checkpoints.vocabularies import common_vocabulary, outputs
from backends.errors import CheckpointError
from backends.study import ModelSpec, Study


def problem(spec: ModelSpec, study: Study) -> CheckpointError | None:
    """Why a model of a study cannot be used, found without loading it; None where nothing is known against it."""
    return problems(study, [spec]).get(spec.name)


def problems(study: Study, models: Sequence[ModelSpec] | None = None) -> dict[str, CheckpointError]:
    """The models of a study (None: all) that cannot be used, by name, and why."""
    return ResolvedModels(study).problems(None if models is None else [spec.name for spec in models])


def inspect_study(study: Study) -> None:
    """Inspects every model of a study.

    Raises:
        CheckpointError: the first one that cannot be used.
    """
    for error in problems(study).values():
        raise error


def vocabulary_note(original: ModelSpec, spec: ModelSpec) -> str:
    """What is compared where a language model has another number of tokens than the original; "" where it has not."""
    if not available(spec) or not available(original):
        return ""
    ours, theirs = _folder(original), _folder(spec)
    return common_vocabulary(ours, theirs, original.name) if ours != theirs else ""


def common_tokens(original: ModelSpec, spec: ModelSpec) -> int:
    """How many numbers of tokens the outputs of two language models have in common; 0 where that is not known."""
    sizes = [outputs(_folder(each)) for each in (original, spec)]
    return min(size for size in sizes if size is not None) if None not in sizes else 0


def _folder(spec: ModelSpec) -> Path:
    return resolve(spec.source, revision=spec.revision) / spec.subfolder
