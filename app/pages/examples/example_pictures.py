"""Small pictures of image models for the rows of Examples, as data URIs; the files as they are, never re-encoded."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from backends.checkpoints.resolved import ResolvedModels
from backends.errors import CheckpointError, StoreError
from backends.study import Probe, Study
from cache.store import Store
from cache.store.reading import images_for

MOST_ROWS = 60
"""Rows with pictures: more are megabytes to send, and nobody looks at them at once."""


def pictures(
    study: Study, kept: Store, models: Sequence[str], probes: Sequence[Probe]
) -> dict[str, list[str | None]]:
    """For each model its first picture of each of these probes; None where nothing is stored.

    The picture is of the first seed that is stored, which is the same for all models that have it: same noise.
    """
    resolved = ResolvedModels(study)
    return {name: _of_model(study, kept, name, probes, resolved) for name in models}


def _of_model(
    study: Study, kept: Store, model: str, probes: Sequence[Probe], resolved: ResolvedModels
) -> list[str | None]:
    try:
        found = images_for(study, kept, model, probes, resolved=resolved)
    except CheckpointError:  # the sidebar says which model cannot be read, and why
        return [None] * len(probes)
    first = [next(iter(found.get(probe.id, {}).values()), None) for probe in probes]
    return [None if image is None else _uri_of(kept, image.image) for image in first]


def _uri_of(kept: Store, digest: str) -> str | None:
    try:
        return _uri(kept.thumbnail_path(digest))
    except StoreError:
        return None


@lru_cache(maxsize=2048)
def _uri(path: Path) -> str:
    # Files are named by their hash, so what is remembered under a path stays true.
    kind = "webp" if path.suffix == ".webp" else "png"
    return f"data:image/{kind};base64," + base64.b64encode(path.read_bytes()).decode("ascii")
