"""What was found when an image model was first loaded beside the original, kept as one small file for each model.

Made once for a model's weights, before its first comparison; pages read it without weights and without torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from backends.checkpoints import ModelIdentity, available, identity
from backends.errors import CheckpointError, StoreError
from backends.interfaces import ImageModels
from backends.loader_report import ModelCheck, check_from_json
from backends.pool import ModelPool
from backends.study import ModelSpec, Study
from cache import keys
from cache.reading import identity_to_read
from cache.store import Store

VERSION = 1
"""Raised when what a check holds changes; older ones are then made again."""


def check_models(study: Study, store: Store, pool: ModelPool, names: Sequence[str]) -> list[str]:
    """Report on these models and test that the original draws the same twice, where that was not done before.

    Returns:
        What a person should know, in sentences: the original is not the same twice, a model equals the original, or
        more than weights differs (scheduler, VAE, types).

    Raises:
        StoreError: the folder of checks cannot be written.
    """
    warnings = []
    original = study.original
    for name in dict.fromkeys(names):
        spec = study.model(name)
        if not available(spec) or not available(original):
            continue
        path = _path(store, identity(original), identity(spec), keys.numerics(pool.device, pool.dtype))
        check = _read(path)
        if check is None:
            check = _made(pool.image([original, spec]), study, spec)
            _write(path, check)
        if check.identity:
            warnings.append(f"{name} is not the same when it is loaded twice: {check.identity}")
        elif (
            spec.part == "unlearned"
            and check.report is not None
            and not check.report.share
            and not spec.drawn_otherwise
        ):
            warnings.append(
                f"{name}: 0 % of its parameters differ from {original.name}, so nothing was unlearned"
            )
        warnings += [f"{name}: {sentence}" for sentence in (check.report.differences if check.report else ())]
    return warnings


def model_check(study: Study, store: Store, name: str) -> ModelCheck | None:
    """What was found of a model when it was loaded, or None where it never was here."""
    try:
        original, mine = identity_to_read(study.original), identity_to_read(study.model(name))
    except CheckpointError:
        return None
    pattern = _path(store, original, mine, "*")
    found = sorted(
        pattern.parent.glob(pattern.name), key=lambda path: ("float32" not in path.name, path.name)
    )
    return next((check for path in found if (check := _read(path)) is not None), None)


def _made(models: ImageModels, study: Study, spec: ModelSpec) -> ModelCheck:
    if spec.part == "original":
        return ModelCheck(None, models.identity_check(spec.name, study.sampling))
    return ModelCheck(models.report(spec.name, study.original.name))


def _path(store: Store, original: ModelIdentity, mine: ModelIdentity, numerics: str) -> Path:
    folder = store.path.parent / "checks"
    return folder / f"{VERSION}-{original.fingerprint}-{mine.fingerprint}-{numerics}.json"


def _read(path: Path) -> ModelCheck | None:
    try:
        return check_from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # not there, or damaged: it is made again


def _write(path: Path, check: ModelCheck) -> None:
    part = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(check.as_json()), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise StoreError(
            f"what was found about a model cannot be written ({error.strerror})",
            where=str(path.parent),
            how="Free some space or choose another folder with UNLEARNBOARD_CACHE",
        ) from error
