"""Denoising trajectories: the clean picture that a model predicts at chosen steps, kept as one strip of frames.

Two models' strips from the same noise show where they diverge. One for each model, prompt, seed and setting; pages
read them without weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backends.checkpoints.identity import identity
from backends.errors import Cancelled, CheckpointError, StoreError
from backends.interfaces import ImageRequest, PartialImage, Stop
from backends.pool import ModelPool
from backends.study import Probe, Sampling, Study
from cache.store import keys, values
from cache.store.image_files import read_pixels
from cache.store.interface import Store
from cache.store.keys import Context
from cache.store.reading import identity_to_read

FRAMES = 10
"""At most so many frames of a picture are kept, evenly over its steps, the last among them."""

DIVERGENCE = 0.05
"""Root mean squared difference, 0 to 1, from which two frames are taken to show different pictures: it is about where a
person sees it without looking for it."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DenoisingTrajectory:
    """Frames of one picture; `steps` are the numbers of the steps after which they were predicted."""

    steps: tuple[int, ...]
    frames: tuple[Pixels, ...]


def make_trajectory(
    study: Study,
    store: Store,
    pool: ModelPool,
    model: str,
    probe: Probe,
    sampling: Sampling,
    on_step: Callable[[PartialImage], None] = lambda _: None,
    stop: Stop = lambda: False,
) -> None:
    """Draw one picture (first seed, or the probe's own) and keep its denoising trajectory, where that is not kept yet.

    Raises:
        Cancelled: stopped; nothing is kept.
        StoreError: the strip cannot be written.
    """
    sampling = replace(sampling, seeds=sampling.seeds[:1]).of(probe)
    context = _context(
        identity(study.model(model)).fingerprint, sampling, keys.numerics(pool.device, pool.dtype)
    )
    if _read(store, store.values([context.key])[context.key].get(probe.digest())) is not None:
        return
    loaded = pool.image([study.model(model)])
    frames: dict[int, Pixels] = {}
    done = False
    for partial in loaded.sample([ImageRequest(model, probe.prompt, sampling.seeds[0])], sampling, stop):
        frames[partial.step] = partial.pixels
        done = done or partial.done
        on_step(partial)
    if not done:
        raise Cancelled
    kept = [(step, frames[step]) for step in _spread(sorted(frames))]
    store.put_values(store.register(context), {probe.digest(): _write(store, kept)})


def stored_trajectory(
    study: Study, store: Store, model: str, probe: Probe, sampling: Sampling
) -> DenoisingTrajectory | None:
    """What is kept of a denoising trajectory, or None."""
    try:
        mine = identity_to_read(study.model(model))
    except CheckpointError:
        return None
    asked = _context(mine.fingerprint, replace(sampling, seeds=sampling.seeds[:1]).of(probe))
    of_before = replace(asked, fingerprint="")
    found = values.kept(store, (asked, of_before), probe.digest())
    films = (_read(store, found[context].get(probe.digest())) for context in (asked, of_before))
    return next((each for each in films if each is not None), None)


def distances(left: DenoisingTrajectory, right: DenoisingTrajectory) -> tuple[tuple[int, float], ...]:
    """Step and root mean squared difference, 0 to 1, of the frames that both trajectories have."""
    theirs = dict(zip(right.steps, right.frames, strict=True))
    return tuple(
        (step, _distance(frame, theirs[step]))
        for step, frame in zip(left.steps, left.frames, strict=True)
        if step in theirs and theirs[step].shape == frame.shape
    )


def divergence_step(apart: Sequence[tuple[int, float]], threshold: float = DIVERGENCE) -> int | None:
    """First step from which all later frames differ by more than the threshold; None where they end alike."""
    step = None
    for number, distance in reversed(apart):
        if distance <= threshold:
            break
        step = number
    return step


def _distance(left: Pixels, right: Pixels) -> float:
    change = left.astype(np.float64) - right.astype(np.float64)
    return float(np.sqrt(np.mean(change**2)) / 255)


def _spread(steps: Sequence[int]) -> list[int]:
    if len(steps) <= FRAMES:
        return list(steps)
    places = np.linspace(0, len(steps) - 1, FRAMES).round().astype(int)
    return [steps[place] for place in places]


def _context(fingerprint: str, sampling: Sampling, numerics: str = "") -> Context:
    drawing = keys.images_context(fingerprint, sampling, sampling.seeds[0], "", "").key
    return values.trajectories_context(fingerprint, drawing, numerics)


def _write(store: Store, frames: Sequence[tuple[int, Pixels]]) -> dict[str, object]:
    """Keeps the strip; returns the value that names it."""
    from backends.image.png import encode

    strip = np.concatenate([pixels for _, pixels in frames], axis=1)
    steps = [step for step, _ in frames]
    png = encode(np.ascontiguousarray(strip), {"steps": ",".join(map(str, steps))})
    return {"steps": steps, "picture": store.put_picture(png)}


def _read(store: Store, value: object) -> DenoisingTrajectory | None:
    """None if there is none or its picture is gone or damaged: it is drawn again."""
    if not isinstance(value, dict):
        return None
    try:
        steps = tuple(int(step) for step in value["steps"])
        picture = str(value["picture"])
        strip = read_pixels(store.image_path(picture)) if store.has_picture(picture) else None
    except (StoreError, ValueError, TypeError, KeyError):
        return None
    if strip is None or not steps or strip.shape[1] % len(steps):
        return None
    return DenoisingTrajectory(steps, tuple(np.split(strip, len(steps), axis=1)))
