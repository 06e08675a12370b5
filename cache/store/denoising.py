"""Denoising losses of real pictures, kept line by line in a file for each model and setting: a kill loses one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from backends.checkpoints.identity import ModelIdentity, available, identity
from backends.checkpoints.tensors import file_digest
from backends.errors import Cancelled, CheckpointError, StudyError
from backends.files.disk import kept
from backends.image.real_pictures import RealPicture, real_pictures
from backends.interfaces import Stop
from backends.metrics.denoising import loss_difference, membership_wins
from backends.pool import ModelPool
from backends.study import ModelSpec, Study
from cache.analysis.statistics import bootstrap_means, bootstrap_pairs, percentile_interval
from cache.store import keys
from cache.store.reading import identity_to_read
from cache.store.store import Store

VERSION = 1
Losses = dict[str, dict[str, list[float]]]
"""Role -> file name -> loss at each timestep."""


def gather_denoising(
    study: Study,
    store: Store,
    pool: ModelPool,
    spec: ModelSpec,
    on_progress: Callable[[str, int, int], None],
    stop: Stop,
) -> None:
    """Losses of every real picture of the study that is not kept yet.

    Raises:
        Cancelled: stopped; what was done is kept.
        StudyError: a folder of pictures cannot be used.
        ModelError: the model's losses are not known here.
        StoreError: the file cannot be written.
    """
    if study.denoising is None or not available(spec):
        return
    from backends.image.denoising import denoising_losses

    path = _path(study, store, identity(spec), keys.numerics(pool.device, pool.dtype))
    known = _read(path)
    for role, folder in study.denoising.folders().items():
        pictures = real_pictures(Path(folder))
        missing = [picture for picture in pictures if _name(picture) not in known.get(role, {})]
        on_progress(role, len(pictures) - len(missing), len(pictures))
        if not missing:
            continue
        pipe = pool.image_pipeline(spec)
        done = len(pictures) - len(missing)
        for picture, losses in denoising_losses(pipe, missing, study.denoising.timesteps, stop):
            _append(path, [role, _name(picture), losses])
            done += 1
            on_progress(role, done, len(pictures))
        if done < len(pictures):
            raise Cancelled


def denoising_rows(study: Study, store: Store, name: str) -> list[tuple[object, ...]]:
    """metric, role, key, value, low, high, n of a model whose losses and the original's are kept."""
    if study.denoising is None:
        return []
    ours, base = denoising_of(study, store, name), denoising_of(study, store, study.original.name)
    rows: list[tuple[object, ...]] = []
    for role in ours:
        both = [picture for picture in ours[role] if picture in base.get(role, {})]
        if both:
            change = loss_difference(_array(ours[role], both), _array(base[role], both))
            low, high = percentile_interval(bootstrap_means(change[:, None])[:, 0])
            key = f"{role}/denoising_difference"
            rows.append(
                ("denoising_difference", role, key, float(change.mean()), float(low), float(high), len(both))
            )
    if ours.get("forget") and ours.get("holdout"):
        wins = membership_wins(*(_array(ours[role], list(ours[role])) for role in ("forget", "holdout")))
        low, high = percentile_interval(bootstrap_pairs(wins))
        n = sum(wins.shape)
        key = "forget/denoising_auc"
        rows.append(("denoising_auc", "forget", key, float(wins.mean()), float(low), float(high), n))
    return rows


def denoising_of(study: Study, store: Store, name: str) -> Losses:
    """What is kept of a model's losses, in float32 where there are several."""
    if study.denoising is None:
        return {}
    try:
        mine = identity_to_read(study.model(name))
    except CheckpointError:
        return {}
    pattern = _path(study, store, mine, "*")
    found = sorted(
        pattern.parent.glob(pattern.name), key=lambda path: ("float32" not in path.name, path.name)
    )
    kept = next((read for path in found if (read := _read(path))), {})
    now = _pictures(study)
    return {
        role: {n: row for n, row in rows.items() if n in now.get(role, rows)} for role, rows in kept.items()
    }


def _pictures(study: Study) -> dict[str, set[str]]:
    """Role -> name and digest of every picture, of the folders that are here."""
    assert study.denoising is not None
    found = {}
    for role, folder in study.denoising.folders().items():
        try:
            found[role] = {_name(picture) for picture in real_pictures(Path(folder))}
        except StudyError:
            continue  # evaluating says why; what is kept can be shown all the same
    return found


def _name(picture: RealPicture) -> str:
    return f"{picture.name} {file_digest(picture.path)}"


def stamp(study: Study, store: Store) -> str:
    """Changes when any model's losses do."""
    if study.denoising is None:
        return ""
    pictures = sorted((role, sorted(names)) for role, names in _pictures(study).items())
    files = sorted((store.path.parent / "denoising").glob("*.jsonl"))
    return keys.digest([pictures, [[path.name, path.stat().st_size] for path in files]])


def _array(losses: dict[str, list[float]], names: list[str]) -> NDArray[np.float64]:
    return np.array([losses[name] for name in names], np.float64)


def _path(study: Study, store: Store, model: ModelIdentity, numerics: str) -> Path:
    assert study.denoising is not None
    # Pictures are told apart line by line, by what they hold: the folders may lie elsewhere on another machine.
    key = blake3(json.dumps([VERSION, list(study.denoising.timesteps)]).encode()).hexdigest(length=8)
    return store.path.parent / "denoising" / f"{model.fingerprint}-{key}-{numerics}.jsonl"


def _append(path: Path, row: list[object]) -> None:
    line = (json.dumps(row) + "\n").encode()
    with kept("a denoising loss", path.parent, len(line)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            start = file.tell()
            try:
                if file.write(line) < len(line):  # the disk took a part of it
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(start)  # half a line would swallow the next one
                raise


def _read(path: Path) -> Losses:
    """All whole lines; half a line, after a kill, counts as none."""
    found: Losses = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            role, name, losses = json.loads(line)
        except ValueError:
            continue
        found.setdefault(str(role), {})[str(name)] = [float(loss) for loss in losses]
    return found
