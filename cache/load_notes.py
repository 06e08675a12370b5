"""What a run keeps of how its language model was loaded: as notes for people, and whole as provenance."""

from __future__ import annotations

from typing import Any

from backends.interfaces import TextModels
from backends.study import ModelSpec, Study
from backends.usable import vocabulary_note


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
    notes += [f"Vocabulary: {vocabulary}"] if vocabulary else []
    return notes, [loaded.as_json() for loaded in loads]
