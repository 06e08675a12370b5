"""Pictures stored under other judges are judged again, never drawn again: judges come and go, pictures stay."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from backends.errors import StoreError
from backends.study import Sampling
from cache.evaluate.context import EvaluationContext
from cache.evaluate.gather_images import CELL_IMAGES, FinishedImage, ImageTask, judge_and_store
from cache.evaluate.gather_text import OnDone, in_cells
from cache.store import Store, reading
from cache.store.judge_checks import check_judges
from cache.store.keys import SeedSetting


def rejudged(
    context: EvaluationContext,
    wanted: Sequence[ImageTask],
    sampling: Sampling,
    numerics: str,
    on_done: OnDone,
) -> list[ImageTask]:
    """Judge what is stored of these pictures under other judges; returns those that must be drawn.

    Args:
        context: of the work; no diffusion model is loaded.
        wanted: pictures that this study's judges have not seen.
        sampling: settings, but for the seeds.
        numerics: only pictures made with this arithmetic.
        on_done: called with how many were judged.

    When the work is stopped between two cells, the rest is returned.
    """
    study, store, pool = context.study, context.store, context.pool
    check_judges(study, store, pool)  # before anything is drawn for judges that could not say what it shows
    stored = _stored(context, wanted, sampling, numerics)
    here = [each for each in wanted if _key(each) in stored]
    left = [each for each in wanted if _key(each) not in stored]
    for cell in in_cells(here, CELL_IMAGES):
        if context.stop():
            return [*left, *here[here.index(cell[0]) :]]
        read = [(wish, _made(store, wish, *stored[_key(wish)])) for wish in cell]
        made = [each for _, each in read if each is not None]
        left += [wish for wish, each in read if each is None]
        judge_and_store(store, pool.judges(study.judges), made)
        on_done(len(made))
    return left


def _key(wanted: ImageTask) -> tuple[str, str]:
    return wanted.context, wanted.probe.digest()


def _stored(
    context: EvaluationContext, wanted: Sequence[ImageTask], sampling: Sampling, numerics: str
) -> dict[tuple[str, str], tuple[str, float]]:
    """Each picture that is stored: the hash of its file and the seconds it took."""
    groups: dict[tuple[str, SeedSetting], list[ImageTask]] = {}
    for each in wanted:
        way = SeedSetting(0 if "seed" in each.probe.own else each.seed, each.probe.own)
        groups.setdefault((each.model, way), []).append(each)
    result: dict[tuple[str, str], tuple[str, float]] = {}
    for (model, way), group in groups.items():
        mine = replace(context.models[model].identity, tokenizer="")
        for stored in reading.image_contexts(context.store, mine, sampling, way, ""):
            if stored.numerics != numerics or stored.key == group[0].context:
                continue
            pictures = context.store.images(stored.key, [each.probe.digest() for each in group])
            for each in group:
                picture = pictures.get(each.probe.digest())
                if picture is not None:
                    result.setdefault(_key(each), (picture.image, picture.seconds))
    return result


def _made(store: Store, wanted: ImageTask, image: str, seconds: float) -> FinishedImage | None:
    try:
        png = store.image_path(image).read_bytes()
        with Image.open(io.BytesIO(png)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, StoreError):
        return None  # the file is gone or damaged: it is drawn again
    return FinishedImage(wanted, pixels, png, seconds)
