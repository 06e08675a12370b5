"""Which models of a study cannot be used, said before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.cli.terminal import printable
from backends.study import Study

if TYPE_CHECKING:
    from backends.checkpoints.resolved import ResolvedModels


def check_models(study: Study, models: ResolvedModels | None = None) -> dict[str, str]:
    """The models that cannot be used, and a sentence for each; the others can be shown and run.

    Raises:
        CheckpointError: the original cannot be used, with which everything is compared.
    """
    from backends.checkpoints.resolved import ResolvedModels
    from cache.evaluate.incomplete import with_model_name

    print(f"Checking the {len(study.models)} models of {study.name} ...", file=sys.stderr, flush=True)
    found = (ResolvedModels(study) if models is None else models).problems()
    if study.original.name in found:
        raise found[study.original.name]
    return {name: with_model_name(name, error) for name, error in found.items()}


def print_unusable(wrong: Mapping[str, str]) -> None:
    """One line on the error stream for each."""
    for sentence in wrong.values():
        print(f"Cannot be used: {printable(sentence)}", file=sys.stderr, flush=True)
