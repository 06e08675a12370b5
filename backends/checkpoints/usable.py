"""Which models of a study can be used, found without loading one: their files are whole, and of the study's kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backends.checkpoints.identity import available, identity, inspect, resolve
from backends.checkpoints.vocabularies import common_vocabulary, difference, outputs
from backends.errors import CheckpointError
from backends.study import ModelSpec, Study


def problem(spec: ModelSpec, study: Study) -> CheckpointError | None:
    """Why a model of a study cannot be used, found without loading it; None where nothing is known against it.

    A model is usable where its files are whole, of the study's kind, and, for language models, where its tokenizer cuts
    texts as the original's does: answers are compared token by token.
    """
    try:
        inspect(spec, study.modality)
        identity(spec)
    except CheckpointError as error:
        return error
    if study.modality != "text" or spec.part == "original":
        return None
    try:
        identity(study.original)
    except CheckpointError:
        return None  # the original's own problem
    try:
        why = tokenizer_difference(study.original, spec)
    except CheckpointError as error:
        return error
    if not why:
        return None
    return CheckpointError(
        f"its tokenizer or chat template differs from that of {study.original.name} ({why}), so answers cannot be "
        "compared token by token",
        where=spec.name,
        how="Save the original's tokenizer into its folder, or compare the two in separate studies",
    )


def problems(study: Study, models: Sequence[ModelSpec] | None = None) -> dict[str, CheckpointError]:
    """The models of a study (None: all) that cannot be used, by name, and why."""
    found = {spec.name: problem(spec, study) for spec in (study.models if models is None else models)}
    return {name: error for name, error in found.items() if error is not None}


def inspect_study(study: Study) -> None:
    """Inspects every model of a study.

    Raises:
        CheckpointError: the first one that cannot be used.
    """
    for error in problems(study).values():
        raise error


def tokenizer_difference(original: ModelSpec, spec: ModelSpec) -> str:
    """Why a language model's answers cannot be compared with the original's token by token; "" where they can.

    Of a model whose files are not here nothing is said: only what was recorded of it elsewhere can be shown.

    Raises:
        CheckpointError: a tokenizer cannot be loaded.
    """
    if identity(spec).tokenizer == identity(original).tokenizer or not available(spec):
        return ""
    if not available(original):
        return "the original is not here, and its fingerprint names another one"
    return difference(_folder(original), _folder(spec)).why


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
