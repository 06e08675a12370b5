"""Which models of a study can be used, found without loading one: their files are whole, and of the study's kind."""

from __future__ import annotations

from collections.abc import Sequence

from backends.checkpoints import identity, inspect
from backends.errors import CheckpointError
from backends.study import ModelSpec, Study


def problems(study: Study, models: Sequence[ModelSpec] | None = None) -> dict[str, CheckpointError]:
    """The models of a study (None: all) that cannot be used, by name, and why.

    A model is usable where its files are whole, of the study's kind, and, for language models, tokenised as the
    original's: answers are compared token by token.
    """
    expected = _tokenizer(study)
    found: dict[str, CheckpointError] = {}
    for spec in study.models if models is None else models:
        try:
            inspect(spec, study.modality)
            tokenizer = identity(spec).tokenizer
        except CheckpointError as error:
            found[spec.name] = error
            continue
        if expected is not None and tokenizer != expected:
            found[spec.name] = CheckpointError(
                f"its tokenizer or chat template differs from that of {study.original.name}, so answers cannot be "
                "compared token by token",
                where=spec.name,
                how="Save the original's tokenizer into its folder, or compare the two in separate studies",
            )
    return found


def inspect_study(study: Study) -> None:
    """Inspects every model of a study.

    Raises:
        CheckpointError: the first one that cannot be used.
    """
    for error in problems(study).values():
        raise error


def _tokenizer(study: Study) -> str | None:
    """The original's tokenizer, which all language models of a study must have; None where it is not known."""
    if study.modality != "text":
        return None
    try:
        return identity(study.original).tokenizer
    except CheckpointError:
        return None  # the original's own problem
