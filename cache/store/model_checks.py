"""What was found when a model was first loaded beside the original, kept as one small file for each model.

Made once for a model's weights, before its first comparison; pages read it without weights and without torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backends.checkpoints.identity import ModelIdentity, available, identity
from backends.checkpoints.loader_report import LoaderReport, ModelCheck, check_from_json
from backends.checkpoints.usable import vocabulary_note
from backends.errors import CheckpointError
from backends.files.disk import kept, write_whole
from backends.interfaces import TextModels
from backends.pool import ModelPool
from backends.study import ModelSpec, Study
from backends.text.precision import dtype_for
from cache.store import keys
from cache.store.reading import identity_to_read
from cache.store.store import Store

VERSION = 1
"""Raised when what a check holds changes; older ones are then made again."""


def check_models(study: Study, store: Store, pool: ModelPool, names: Sequence[str]) -> list[str]:
    """Report on these models, and test that an original that draws does so the same twice, where not done before.

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
        path = _path(store, identity(original), identity(spec), _numerics(pool, study))
        check = _read(path)
        if check is None:
            check = _made(pool, study, spec)
            _write(path, check)
        if check.identity:
            warnings.append(f"{name} is not the same when it is loaded twice: {check.identity}")
        elif (
            spec.part == "unlearned"
            and check.report is not None
            and _is_the_original(check.report)
            and not spec.drawn_otherwise
        ):
            warnings.append(
                f"{name}: 0 % of its parameters differ from {original.name}, so nothing was unlearned"
            )
        warnings += [f"{name}: {sentence}" for sentence in (check.report.differences if check.report else ())]
    return warnings


def keep_report(study: Study, store: Store, pool: ModelPool, models: TextModels, name: str) -> None:
    """Keeps the report on a language model that an evaluation has loaded, where the original is loaded too.

    Loading the original just for that would be a second read of its weights; `check_models` does so when asked.

    Raises:
        StoreError: the folder of checks cannot be written.
    """
    if study.original.name not in models.names:
        return
    mine = identity(study.model(name))
    path = _path(store, identity(study.original), mine, _numerics(pool, study))
    if _read(path) is None:
        _write(path, ModelCheck(_text_report(models, study, study.model(name))))


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


def _made(pool: ModelPool, study: Study, spec: ModelSpec) -> ModelCheck:
    original = study.original
    if study.modality == "text":
        models = pool.text([original, spec], dtype_for(study, pool.device, pool.dtype))
        report = _text_report(models, study, spec)
        if spec.name != original.name:
            models.remove(spec.name)  # two models at a time are enough
        return ModelCheck(report)
    pictures = pool.image([original, spec])
    if spec.part == "original":
        return ModelCheck(None, pictures.identity_check(spec.name, study.sampling))
    return ModelCheck(pictures.report(spec.name, original.name))


def _text_report(models: TextModels, study: Study, spec: ModelSpec) -> LoaderReport:
    report = models.report(spec.name, study.original.name)
    vocabulary = vocabulary_note(study.original, spec)
    return replace(report, notes=(*report.notes, vocabulary)) if vocabulary else report


def _is_the_original(report: LoaderReport) -> bool:
    """Nothing differs; of a model that could not be compared nobody knows."""
    return report.parameters > 0 and not report.share


def _numerics(pool: ModelPool, study: Study) -> str:
    return keys.numerics(pool.device, dtype_for(study, pool.device, pool.dtype))


def _path(store: Store, original: ModelIdentity, mine: ModelIdentity, numerics: str) -> Path:
    folder = store.path.parent / "checks"
    return folder / f"{VERSION}-{original.fingerprint}-{mine.fingerprint}-{numerics}.json"


def _read(path: Path) -> ModelCheck | None:
    try:
        return check_from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # not there, or damaged: it is made again


def _write(path: Path, check: ModelCheck) -> None:
    content = json.dumps(check.as_json()).encode()
    with kept("what was found about a model", path.parent, len(content)):
        write_whole(path, content)
