"""Denoising losses of real pictures, kept picture by picture for each model and setting: a kill loses one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from backends.checkpoints.resolved import ResolvedModels
from backends.checkpoints.tensors import file_digest
from backends.errors import Cancelled, CheckpointError, StudyError
from backends.image.real_pictures import RealPicture, real_pictures
from backends.interfaces import Stop
from backends.pool import ModelPool
from backends.study import ModelSpec, Study
from cache.store import keys, values
from cache.store.interface import Store
from cache.store.keys import Context
from cache.store.reading import identity_to_read

Losses = dict[str, dict[str, list[float]]]
"""Role -> file name -> loss at each timestep."""


def gather_denoising(
    study: Study,
    store: Store,
    pool: ModelPool,
    spec: ModelSpec,
    on_progress: Callable[[str, int, int], None],
    stop: Stop,
    resolved: ResolvedModels | None = None,
) -> None:
    """Losses of every real picture of the study that is not kept yet.

    Raises:
        Cancelled: stopped; what was done is kept.
        StudyError: a folder of pictures cannot be used.
        ModelError: the model's losses are not known here.
        StoreError: the store cannot be written.
    """
    model = (ResolvedModels(study) if resolved is None else resolved)[spec.name]
    if study.denoising is None or not model.here:
        return
    from backends.image.denoising import denoising_losses

    context = _context(study, model.identity.fingerprint, keys.numerics(pool.device, pool.dtype))
    store.register(context)
    known = _losses(store.values([context.key])[context.key].values())
    for role, folder in study.denoising.folders().items():
        pictures = real_pictures(Path(folder))
        missing = [picture for picture in pictures if _name(picture) not in known.get(role, {})]
        on_progress(role, len(pictures) - len(missing), len(pictures))
        if not missing:
            continue
        pipe = pool.image_pipeline(spec)
        done = len(pictures) - len(missing)
        for picture, losses in denoising_losses(pipe, missing, study.denoising.timesteps, stop):
            name = _name(picture)
            store.put_values(context.key, {values.loss_digest(role, name): [role, name, list(losses)]})
            done += 1
            on_progress(role, done, len(pictures))
        if done < len(pictures):
            raise Cancelled


def denoising_of(study: Study, store: Store, name: str) -> Losses:
    """What is kept of a model's losses, in float32 where there are several."""
    if study.denoising is None:
        return {}
    try:
        mine = identity_to_read(study.model(name))
    except CheckpointError:
        return {}
    context = _context(study, mine.fingerprint)
    kept = _losses(values.kept(store, [context])[context].values())
    now = _pictures(study)
    return {
        role: {n: row for n, row in rows.items() if n in now.get(role, rows)} for role, rows in kept.items()
    }


def _pictures(study: Study) -> dict[str, set[str]]:
    """Role -> name and digest of every picture, of the folders that are here."""
    assert study.denoising is not None
    result = {}
    for role, folder in study.denoising.folders().items():
        try:
            result[role] = {_name(picture) for picture in real_pictures(Path(folder))}
        except StudyError:
            continue  # evaluating says why; what is kept can be shown all the same
    return result


def _name(picture: RealPicture) -> str:
    return f"{picture.name} {file_digest(picture.path)}"


def stamp(study: Study, store: Store) -> str:
    """Changes when any model's losses do."""
    if study.denoising is None:
        return ""
    contexts = []
    for spec in study.models:
        try:
            contexts.append(_context(study, identity_to_read(spec).fingerprint))
        except CheckpointError:
            continue
    pictures = sorted((role, sorted(names)) for role, names in _pictures(study).items())
    stamps = store.stamps([context.key for context in values.made_under(store, contexts)])
    return keys.digest([pictures, sorted([key, sorted(set(said.values()))] for key, said in stamps.items())])


def _context(study: Study, fingerprint: str, numerics: str = "") -> Context:
    assert study.denoising is not None
    return values.losses_context(fingerprint, values.timesteps_key(study.denoising.timesteps), numerics)


def _losses(told: Iterable[object]) -> Losses:
    result: Losses = {}
    for value in told:
        if isinstance(value, list) and len(value) == 3 and isinstance(value[2], list):
            role, name, losses = value
            result.setdefault(str(role), {})[str(name)] = [float(loss) for loss in losses]
    return result
