"""Networks look at stored pictures, each once: nothing is drawn again. Cells of some pictures, each one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backends.errors import Cancelled, StoreError
from backends.evidence import FloatArray
from backends.image.networks.named import (
    CLIP,
    LPIPS,
    Network,
    PictureDistances,
    PictureFeatures,
    network,
    text_subject,
)
from cache.evaluate.context import EvaluationContext
from cache.evaluate.gather_text import in_cells
from cache.evaluate.plan import features_title, real_title
from cache.store import Store
from cache.store.features import (
    UNREADABLE,
    has_features,
    missing_features,
    missing_real_features,
    networks_of,
    put_vectors,
)
from cache.store.image_files import read_pixels
from cache.store.real_sets import folders_of, is_real_network, real_files, real_subjects

CELL = 32
"""Pictures that are looked at between two questions whether to stop."""

OnProgress = Callable[[str, str, int, int], None]
"""Model, what is looked at, how many are done of how many."""
Pixels = NDArray[np.uint8]


def check_networks(context: EvaluationContext) -> None:
    """Load the networks that never looked at anything here, so that a wrong one is told before anything is drawn.

    Raises:
        CheckpointError: a network is not there or not usable, or a package is not installed; or a folder of real
            pictures that never was here is missing or empty.
    """
    study, store = context.study, context.store
    for folder in folders_of(study):
        if not real_subjects(store, folder):
            real_files(Path(folder))  # raises with the reason
    for each in networks_of(study, store):
        if not has_features(store, each):
            _load(context, each.kind)


def gather_features(
    context: EvaluationContext,
    models: Sequence[str],
    on_progress: OnProgress,
    on_note: Callable[[str], None] = lambda _: None,
) -> None:
    """Let each network of the study look at what it has not seen of these models' pictures and the original's.

    Args:
        context: of the work; the store has the pictures, and keeps what the networks make of them.
        models: names in the study.
        on_progress: called after every cell.
        on_note: called with what loading a network did, in sentences.

    Raises:
        Cancelled: stopped; what was done is kept.
        CheckpointError: a network cannot be loaded.
        StoreError: the store cannot be written.
    """
    study, store = context.study, context.store
    probes = list({probe.id: probe for each in study.probe_sets for probe in each.probes}.values())
    prompts = {text_subject(probe.prompt): probe.prompt for probe in probes}
    names = dict.fromkeys([study.original.name, *models]) if study.features.named() else {}
    for each in networks_of(study, store):
        for name in names:
            total, missing = missing_features(study, store, name, each, context.models)
            done = total - len(missing)
            on_progress(name, features_title(each.kind), done, total)
            for cell in in_cells(missing, CELL):
                if context.stop():
                    raise Cancelled
                put_vectors(
                    store,
                    _used(context, each, on_note),
                    _network_outputs(context, each.kind, cell, prompts),
                )
                done += len(cell)
                on_progress(name, features_title(each.kind), done, total)
        _gather_real(context, each, on_progress, on_note)


def _gather_real(
    context: EvaluationContext,
    of: Network,
    on_progress: OnProgress,
    on_note: Callable[[str], None],
) -> None:
    """Let a network look at what it has not seen of the study's real pictures."""
    study, store = context.study, context.store
    if not study.features.real or not is_real_network(of):
        return
    total, missing = missing_real_features(study, store, of)
    title, model, done = real_title(of.kind), study.original.name, total - len(missing)
    on_progress(model, title, done, total)
    if not missing:
        return
    files = {s: path for folder in folders_of(study) for s, path in real_files(Path(folder)).items()}
    unreadable = 0
    for cell in in_cells(missing, CELL):
        if context.stop():
            raise Cancelled
        seen = {subject: read_pixels(files[subject]) for subject in cell if subject in files}
        pixels = {subject: each for subject, each in seen.items() if each is not None}
        unreadable += len(cell) - len(pixels)
        vectors: dict[str, FloatArray] = dict.fromkeys(cell, UNREADABLE)
        if pixels:
            found = loaded_network(context, of.kind).images(list(pixels.values()))
            vectors |= dict(zip(pixels, found, strict=True))
        put_vectors(store, _used(context, of, on_note), vectors)
        done += len(cell)
        on_progress(model, title, done, total)
    if unreadable:
        on_note(f"{unreadable} of {total} real pictures cannot be read and are left out")


def loaded_network(context: EvaluationContext, kind: str) -> PictureFeatures:
    """The loaded network of that kind."""
    source, pool = context.study.features.named()[kind], context.pool
    looking: PictureFeatures = pool.clip(source) if kind == CLIP else pool.inception(source)
    return looking


def _used(
    context: EvaluationContext, known: Network, on_note: Callable[[str], None] = lambda _: None
) -> Network:
    """The network as its files are now: on the hub they may have come with loading it."""
    for note in _load(context, known.kind):
        on_note(f"Network {known.name}: {note}")
    return network(known.kind, context.study.features.named()[known.kind])


def _load(context: EvaluationContext, kind: str) -> Sequence[str]:
    """Loads a network; returns what that did, in sentences."""
    if kind == LPIPS:
        context.pool.lpips(context.study.features.lpips)
        return ()
    return loaded_network(context, kind).notes


def _network_outputs(
    context: EvaluationContext,
    kind: str,
    subjects: Sequence[str],
    prompts: Mapping[str, str],
) -> dict[str, FloatArray]:
    """Subject -> what the network makes of it; pictures that cannot be read are left out."""
    named, store, pool = context.study.features, context.store, context.pool
    if kind == LPIPS:
        return _compared(store, pool.lpips(named.lpips), subjects)
    texts = [subject for subject in subjects if subject in prompts]
    pixels = {subject: _pixels(store, subject) for subject in subjects if subject not in prompts}
    seen = {subject: each for subject, each in pixels.items() if each is not None}
    result: dict[str, FloatArray] = {}
    if texts:
        result |= zip(texts, pool.clip(named.clip).texts([prompts[each] for each in texts]), strict=True)
    if seen:
        result |= zip(seen, loaded_network(context, kind).images(list(seen.values())), strict=True)
    return result


def _compared(store: Store, looking: PictureDistances, subjects: Sequence[str]) -> dict[str, FloatArray]:
    """Distances of pairs; NaN, which is kept too, where the two are not of one size."""
    result: dict[str, FloatArray] = {}
    sizes: dict[tuple[int, ...], list[tuple[str, Pixels, Pixels]]] = {}
    for subject in subjects:
        ours, theirs = (_pixels(store, image) for image in subject.split())
        if ours is None or theirs is None:
            continue
        if ours.shape != theirs.shape:
            result[subject] = np.full(1, np.nan, np.float32)
        else:
            sizes.setdefault(ours.shape, []).append((subject, ours, theirs))
    for pairs in sizes.values():
        distances = looking.distances([ours for _, ours, _ in pairs], [theirs for _, _, theirs in pairs])
        result |= {subject: each.reshape(1) for (subject, *_), each in zip(pairs, distances, strict=True)}
    return result


def _pixels(store: Store, image: str) -> Pixels | None:
    try:
        return read_pixels(store.image_path(image))
    except StoreError:
        return None
