"""What an image model draws with beside its weights, as files and identity: learned tokens and ways of sampling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backends.checkpoints.hub import version_path
from backends.checkpoints.sources import kind_of
from backends.errors import CheckpointError
from backends.study import ModelSpec


def check_drawing(spec: ModelSpec) -> None:
    """Refuse ways of sampling for pictures that are drawn already, and learned tokens that are not here.

    Raises:
        CheckpointError: what is wrong with which model.
    """
    if not kind_of(spec.source).has_weights and spec.samples_differently:
        raise CheckpointError(
            "the source is a folder of finished pictures",
            where=f"{spec.name}: {spec.source}",
            how="Leave out `inference` and `embeddings`",
        )
    for _, file in spec.embeddings:
        if not version_path(file).exists():
            raise CheckpointError("there is no such file or folder", where=f"{spec.name}: {file}")


def drawing_identity(spec: ModelSpec, digest: Callable[[list[Path]], str]) -> list[str]:
    """Parts of a model's identity: nothing for a model that draws by its weights alone.

    Args:
        spec: the model.
        digest: of a learned token's files.
    """
    parts = []
    for token, file in spec.embeddings:
        path = version_path(file)
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        parts.append(f"token {token} of {digest(files)}")
    return [*parts, spec.inference.key()] if spec.inference.said else parts
