"""Evidence from pictures made elsewhere: each is judged and kept like one that was drawn here. No model is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from backends.checkpoints.picture_folders import pictures_folder, pictures_in, placed
from backends.errors import ModelError
from backends.image.png import encode
from backends.study import ModelSpec, Probe
from cache.evaluate.context import EvaluationContext
from cache.evaluate.gather_images import CELL_IMAGES, FinishedImage, ImageTask, judge_and_store
from cache.evaluate.gather_text import OnDone, in_cells
from cache.store.judge_checks import check_judges, judge_notes

_SHOWN = 3


def import_pictures(
    context: EvaluationContext,
    spec: ModelSpec,
    wanted: Sequence[ImageTask],
    on_done: OnDone,
) -> tuple[list[tuple[Probe, ModelError]], list[str]]:
    """Take over the pictures of a folder.

    Args:
        context: of the work; the study's probes and seeds say which pictures are looked for.
        spec: the model whose source is the folder.
        wanted: pictures that are not stored yet.
        on_done: called with how many were stored.

    Returns:
        Probes without a picture that can be read, with the reason; and what a person should know, in sentences.
    """
    study, store, pool = context.study, context.store, context.pool
    check_judges(study, store, pool)
    folder = pictures_folder(spec.source)
    probes = [probe for each in study.probe_sets for probe in each.probes]
    files, unused = placed(folder, pictures_in(folder), probes, study.sampling)
    refused: list[tuple[Probe, ModelError]] = []
    for cell in in_cells(wanted, CELL_IMAGES):
        made = []
        for wish in cell:
            path = files.get((wish.probe.id, wish.seed))
            try:
                if path is None:
                    raise ModelError(
                        f"the folder has no picture of this prompt with seed {wish.seed}", where=str(folder)
                    )
                made.append(_made(wish, path.relative_to(folder).as_posix(), _read(path)))
            except ModelError as error:
                refused.append((wish.probe, error))
        judge_and_store(store, pool.judges(study.judges), made)
        on_done(len(made))
    some = ", ".join(path.relative_to(folder).as_posix() for path in unused[:_SHOWN])
    notes = [f"{len(unused)} files match no prompt and seed of the study, such as {some}"] if unused else []
    said = judge_notes(pool.judges(study.judges))
    return refused, ["pictures were made elsewhere, with unknown settings", *notes, *said]


def _made(
    wanted: ImageTask, name: str, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> FinishedImage:
    caption = {"prompt": wanted.probe.prompt, "model": wanted.model, "seed": str(wanted.seed), "file": name}
    return FinishedImage(wanted, pixels, encode(pixels, caption), math.nan)


def _read(path: object) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    try:
        with Image.open(str(path)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ModelError(f"this picture cannot be read ({type(error).__name__})", where=str(path)) from error
