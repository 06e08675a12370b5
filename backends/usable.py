"""Which models of a study can be used, found without loading one: their files are whole, and of the study's kind."""

from __future__ import annotations

from backends.checkpoints import identity, inspect
from backends.errors import CheckpointError
from backends.study import ModelSpec, Study


def problem(spec: ModelSpec, study: Study) -> CheckpointError | None:
    """Why a model of a study cannot be used, found without loading it; None where nothing is known against it.

    A model is usable where its files are whole, of the study's kind, and, for language models, tokenised as the
    original's: answers are compared token by token.
    """
    try:
        inspect(spec, study.modality)
        found = identity(spec)
    except CheckpointError as error:
        return error
    if study.modality != "text" or spec.part == "original":
        return None
    try:
        expected = identity(study.original).tokenizer
    except CheckpointError:
        return None  # the original's own problem
    if found.tokenizer == expected:
        return None
    return CheckpointError(
        f"its tokenizer or chat template differs from that of {study.original.name}, so answers cannot be "
        "compared token by token",
        where=spec.name,
        how="Save the original's tokenizer into its folder, or compare the two in separate studies",
    )


def problems(study: Study) -> dict[str, CheckpointError]:
    """The models of a study that cannot be used, by name, and why."""
    found = {spec.name: problem(spec, study) for spec in study.models}
    return {name: error for name, error in found.items() if error is not None}


def inspect_study(study: Study) -> None:
    """Inspects every model of a study.

    Raises:
        CheckpointError: the first one that cannot be used.
    """
    for error in problems(study).values():
        raise error
