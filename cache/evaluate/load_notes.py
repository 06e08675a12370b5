"""What a run keeps of how its language model was loaded: as notes for people, and whole as provenance."""

from __future__ import annotations

from typing import Any

from backends.checkpoints.usable import common_tokens, vocabulary_note
from backends.interfaces import TextModels
from backends.study import ModelSpec, Study

LEAST = 0.00005
"""A smaller share of the probability is not told."""


def load_notes(study: Study, models: TextModels, spec: ModelSpec) -> tuple[list[str], list[dict[str, Any]]]:
    """Sentences on what was remarkable about loading a model, nothing for a plain load; and all that it did.

    Args:
        study: with the original that the model is compared with.
        models: has the model loaded.
        spec: of the model.
    """
    loads = models.loads(spec.name)
    notes = [f"Loaded: {said}" for loaded in loads for said in loaded.remarkable]
    vocabulary = vocabulary_note(study.original, spec)
    if vocabulary:
        common = common_tokens(study.original, spec)
        share = models.share_beyond(spec.name, common) if common else 0.0
        given = f"; this model gives {share:.2%} of them to tokens that only it has" if share >= LEAST else ""
        notes.append(f"Vocabulary: {vocabulary}{given}")
    return notes, [loaded.as_json() for loaded in loads]
