"""What was found when a model was first loaded beside the original, kept for each model.

Made once for a model's weights, before its first comparison; pages read it without weights and without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backends.checkpoints.identity import ModelIdentity
from backends.checkpoints.loader_report import LoaderReport, ModelCheck, check_from_json
from backends.checkpoints.resolved import ResolvedModels
from backends.checkpoints.usable import vocabulary_note
from backends.errors import CheckpointError
from backends.interfaces import TextModels
from backends.pool import ModelPool
from backends.study import ModelSpec, Study
from backends.text.precision import dtype_for
from cache.store import keys, values
from cache.store.interface import Store
from cache.store.keys import Context
from cache.store.reading import identity_to_read


def check_models(
    study: Study,
    store: Store,
    pool: ModelPool,
    names: Sequence[str],
    resolved: ResolvedModels | None = None,
) -> list[str]:
    """Report on these models, and test that an original that draws does so the same twice, where not done before.

    Returns:
        What a person should know, in sentences: the original is not the same twice, a model equals the original, or
        more than weights differs (scheduler, VAE, types).

    Raises:
        StoreError: the store cannot be written.
    """
    warnings = []
    original = study.original
    resolved = ResolvedModels(study) if resolved is None else resolved
    for name in dict.fromkeys(names):
        spec = study.model(name)
        if not resolved[name].here or not resolved[original.name].here:
            continue
        context = _context(resolved[original.name].identity, resolved[name].identity, _numerics(pool, study))
        check = _read(store, context)
        if check is None:
            check = _made(pool, study, spec)
            _write(store, context, check)
        if check.identity:
            warnings.append(f"{name} differs when it is loaded twice: {check.identity}")
        elif (
            spec.part == "unlearned"
            and check.report is not None
            and _is_the_original(check.report)
            and not spec.samples_differently
        ):
            warnings.append(
                f"{name}: 0 % of its parameters differ from {original.name}, so nothing was unlearned"
            )
        warnings += [f"{name}: {sentence}" for sentence in (check.report.differences if check.report else ())]
    return warnings


def keep_report(
    study: Study,
    store: Store,
    pool: ModelPool,
    models: TextModels,
    name: str,
    resolved: ResolvedModels | None = None,
) -> None:
    """Keeps the report on a language model that an evaluation has loaded, where the original is loaded too.

    Loading the original just for that would be a second read of its weights; `check_models` does so when asked.

    Raises:
        StoreError: the store cannot be written.
    """
    if study.original.name not in models.names:
        return
    resolved = ResolvedModels(study) if resolved is None else resolved
    original, mine = resolved[study.original.name].identity, resolved[name].identity
    context = _context(original, mine, _numerics(pool, study))
    if _read(store, context) is None:
        _write(store, context, ModelCheck(_text_report(models, study, study.model(name))))


def model_check(study: Study, store: Store, name: str) -> ModelCheck | None:
    """What was found of a model when it was loaded, or None where it never was here."""
    return model_checks(study, store, [name]).get(name)


def model_checks(study: Study, store: Store, names: Sequence[str]) -> dict[str, ModelCheck]:
    """The same of several models, by name; those that never were here are left out."""
    contexts = {}
    for name in names:
        try:
            contexts[name] = _context(identity_to_read(study.original), identity_to_read(study.model(name)))
        except CheckpointError:
            continue
    kept = values.kept(store, contexts.values())
    result = {name: _check(kept[context].get(values.ONLY)) for name, context in contexts.items()}
    return {name: check for name, check in result.items() if check is not None}


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


def _context(original: ModelIdentity, mine: ModelIdentity, numerics: str = "") -> Context:
    return values.checks_context(original.fingerprint, mine.fingerprint, numerics)


def _read(store: Store, context: Context) -> ModelCheck | None:
    return _check(store.values([context.key])[context.key].get(values.ONLY))


def _write(store: Store, context: Context, check: ModelCheck) -> None:
    store.put_values(store.register(context), {values.ONLY: check.as_json()})


def _check(value: object) -> ModelCheck | None:
    try:
        return check_from_json(value) if isinstance(value, dict) else None
    except (ValueError, TypeError, KeyError):
        return None  # of another version: it is made again
