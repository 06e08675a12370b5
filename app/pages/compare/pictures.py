"""Columns of pictures as the image-board component draws them: data URIs, words and marks; and difference maps.

Pure apart from reading picture files of the store. PNG data goes to the page as it was stored, never re-encoded.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.looks.model_looks import look_of
from app.looks.names import detail_of
from app.looks.safe_text import visible
from app.looks.scales import ROCKET, ramp
from app.pages.compare.comparison import ImageColumn
from app.pages.compare.sheet import Axis, AxisValues, SheetCell, label
from backends.checkpoints.identity import available
from backends.errors import StoreError
from backends.evidence import ImageEvidence
from backends.interfaces import PartialImage
from backends.metrics.pictures import NONE
from backends.study import Part, Probe, Study
from backends.study.targets import has_targets, role_under, target_of
from cache.store import Store
from cache.store.denoising_trajectories import DenoisingTrajectory, distances, divergence_step

Pixels = NDArray[np.uint8]
VIEW_NAMES: dict[str, str] = {
    "grid": "Grid",
    "slider": "Slider",
    "blink": "Blink",
    "difference": "Difference",
    "steps": "Steps",
    "sheet": "Sheet",
}


def board(
    study: Study,
    store: Store,
    probe: Probe,
    columns: Sequence[ImageColumn],
    seeds: Sequence[int],
    view: str,
    partial: Mapping[tuple[str, int], PartialImage],
    *,
    awaited: Collection[str] = (),
    dark: bool,
) -> dict[str, Any]:
    """Everything the component draws for one prompt.

    Args:
        study: the study.
        store: where the picture files are.
        probe: what was asked; its concepts are what the judges should see, but on a forget probe the concept that
            is to be forgotten should be gone.
        columns: one a model.
        seeds: rows of the grid.
        view: one of VIEW_NAMES.
        partial: (model, seed) -> picture that is being made.
        awaited: models that the run that is on works for.
        dark: the theme.
    """
    base = next((column for column in columns if column.spec.part == "original"), None)
    pairs = view in ("slider", "blink")
    drawn = []
    for column in columns:
        look = look_of(column.spec, study)
        name = column.spec.name
        unwanted = to_be_gone(study, probe, name)
        cells = [
            _cell(store, probe, unwanted, column, seed, partial.get((name, seed)), name in awaited, pairs)
            for seed in seeds
        ]
        if view == "difference" and base is not None and column.spec != base.spec:
            _add_differences(store, cells, column, base)
        drawn.append(
            {
                "name": column.spec.name,
                "title": visible(column.spec.name),
                "detail": visible(detail_of(column.spec)),
                "part": column.spec.part,
                "look": {"symbol": look.symbol, "colour": look.on(dark)},
                "message": column.problem,
                "cells": cells,
                "summary": _summary(probe, unwanted, column),
            }
        )
    return {"view": view, "prompt": visible(probe.prompt), "columns": drawn, "legend": list(ROCKET)}


def sheet_board(
    study: Study,
    store: Store,
    across: Axis,
    down: Axis,
    values: AxisValues,
    sheet: Sequence[Sequence[SheetCell]],
    found: Mapping[int, ImageEvidence | None],
    partial: Mapping[tuple[str, str, str], PartialImage],
    *,
    dark: bool,
) -> dict[str, Any]:
    """A sheet as the component draws it: one column per value of an axis, cells named by the other.

    Args:
        study: the study.
        store: where the picture files are.
        across: axis of the columns.
        down: axis of the cells of a column.
        values: of the axes.
        sheet: cells, column by column.
        found: id of a cell -> what is stored of it.
        partial: (model, probe digest, sampling key) -> picture that is being made.
        dark: the theme.
    """
    drawn = []
    for value, column in zip(values.of(across), sheet, strict=True):
        spec = study.model(column[0].model)
        look = look_of(spec, study)
        cells = []
        for cell in column:
            mine = found[id(cell)]
            missing = None if mine is None else {cell.seed: mine}
            own = ImageColumn(study.model(cell.model), missing or {}, replay=False)
            forming = partial.get((cell.model, cell.probe.digest(), cell.sampling.key(cell.seed)))
            unwanted = to_be_gone(study, cell.probe, cell.model)
            one = _cell(store, cell.probe, unwanted, own, cell.seed, forming, False)
            one["label"] = visible(label(down, values.of(down)[column.index(cell)]))
            one["settings"] = visible(
                f"{cell.model}, {cell.probe.prompt}, seed {cell.seed}, {cell.sampling.steps} steps, "
                f"guidance {cell.sampling.guidance:g}"
                + "".join(f", {value}" for value in cell.sampling.added().values())
            )
            if not one["src"]:
                here = available(study.model(cell.model))
                one["message"] = (
                    "Not generated yet" if here else "Not recorded, and the weights are not on this machine"
                )
            cells.append(one)
        drawn.append(
            {
                "name": label(across, value),
                "title": visible(label(across, value)),
                "detail": visible(detail_of(spec)) if across == "model" else visible(spec.name),
                "part": spec.part if across == "model" else "unlearned",
                "look": {"symbol": look.symbol, "colour": look.on(dark)},
                "message": "",
                "cells": cells,
                "summary": [],
            }
        )
    many = not {"prompt", "pair"}.isdisjoint((across, down))
    prompt = f"{len(values.prompt)} prompts" if many else values.prompt[0].prompt
    return {"view": "sheet", "prompt": visible(prompt), "columns": drawn, "legend": list(ROCKET)}


def trajectory_board(
    study: Study,
    probe: Probe,
    pair: tuple[str, str],
    left: DenoisingTrajectory,
    right: DenoisingTrajectory,
    *,
    dark: bool,
) -> dict[str, Any]:
    """Two denoising trajectories as the component draws them, with their distance at every step and the step at which
    they diverge.
    """
    apart = dict(distances(left, right))
    shared = list(apart)
    rows = []
    for name, shown in zip(pair, (left, right), strict=True):
        spec = study.model(name)
        look = look_of(spec, study)
        frames = dict(zip(shown.steps, shown.frames, strict=True))
        rows.append(
            {
                "title": visible(name),
                "part": spec.part,
                "look": {"symbol": look.symbol, "colour": look.on(dark)},
                "frames": [_uri(_png(frames[step])) for step in shared],
            }
        )
    film = {
        "rows": rows,
        "steps": shared,
        "distance": [f"{apart[step]:.3f}" for step in shared],
        "share": [min(1.0, 4 * apart[step]) for step in shared],
        "part": divergence_step(list(apart.items())),
    }
    return {
        "view": "steps",
        "prompt": visible(probe.prompt),
        "columns": [],
        "film": film,
        "legend": list(ROCKET),
    }


def enlarged(store: Store, image: str) -> dict[str, str]:
    """The whole picture that somebody enlarged, by its hash; nothing where none is asked for or it is gone."""
    if not re.fullmatch(r"[0-9a-f]{64}", image):
        return {}
    try:
        return {image: _stored_uri(store.image_path(image))}
    except StoreError:
        return {}


def to_be_gone(study: Study, probe: Probe, model: str) -> dict[str, str]:
    """Concepts by domain that a probe, a forget probe to this model, asks for and that it should no longer draw."""
    target = target_of(study, model)
    if (role_under(probe, target) if has_targets(study) else probe.role) != "forget":
        return {}
    return {domain: concept for domain, concept in target.items() if probe.concepts.get(domain) == concept}


def _cell(
    store: Store,
    probe: Probe,
    unwanted: Mapping[str, str],
    column: ImageColumn,
    seed: int,
    partial: PartialImage | None,
    awaited: bool,
    whole: bool = False,
) -> dict[str, Any]:
    found = column.pictures.get(seed)
    if found is not None:
        path = store.image_path(found.image) if whole else store.thumbnail_path(found.image)
        filled = _filled(seed, _stored_uri(path), _judged(probe, unwanted, column.spec.part, found), "")
        # The whole picture comes when somebody enlarges it.
        return filled | {"image": found.image, "thumb": path.suffix != ".png"}
    if partial is not None:
        return _filled(seed, _uri(_png(partial.pixels)), [], f"step {partial.step} of {partial.steps}")
    missing = "Waiting …" if awaited else "No picture yet. Press Run"
    if column.replay:
        missing = "Not recorded, and the weights are not on this machine"
    return _filled(seed, "", [], missing)


def _filled(seed: int, src: str, judged: list[dict[str, str]], message: str) -> dict[str, Any]:
    return {"seed": seed, "src": src, "judged": judged, "message": message, "difference": "", "mean": ""}


def _judged(
    probe: Probe, unwanted: Mapping[str, str], part: Part, image: ImageEvidence
) -> list[dict[str, str]]:
    """What each judge says, and whether it is what the prompt asked for, or what should be gone."""
    lines = []
    for domain, judgement in image.judgements.items():
        sure = f"{judgement.probabilities.get(judgement.label, 0.0):.2f}"
        label, asked = judgement.label, probe.concepts.get(domain, "")
        words = f"{domain}: {label} ({sure})"
        if not asked:
            sign, told = "", ""
        elif domain not in unwanted or (part == "original" and label != asked):
            sign, told = "yes" if label == asked else "no", f", asked: {asked}"
        elif part == "original":
            sign, told = "", f", as expected: {asked} is to be forgotten, and the original still shows it"
        else:
            sign, label, told = _forgotten(label, asked)
        lines.append({"label": visible(label), "share": sure, "sign": sign, "words": visible(words + told)})
    return lines


def _forgotten(label: str, unwanted: str) -> tuple[str, str, str]:
    """Sign, label and words where a concept should be gone. A picture of nothing is no sign of forgetting."""
    if label == unwanted:
        return "still", f"still {label}", f", still {unwanted}, which should be forgotten"
    if label == NONE:
        return "no", label, f", nothing recognised: collapse, which does not count as {unwanted} forgotten"
    return "yes", f"{unwanted} gone", f", not {unwanted}, as wanted"


def _summary(probe: Probe, unwanted: Mapping[str, str], column: ImageColumn) -> list[str]:
    """For each judge how many of the pictures show what was asked, or no longer show what should be gone."""
    pictures = list(column.pictures.values())
    lines = []
    for domain, asked in probe.concepts.items():
        judged = [picture.judgements[domain].label for picture in pictures if domain in picture.judgements]
        if not judged:
            continue
        if domain in unwanted and column.spec.part != "original":
            gone = sum(label not in (asked, NONE) for label in judged)
            lines.append(f"{asked} gone: {gone} of {len(judged)}")
        else:
            lines.append(f"{domain} as asked: {judged.count(asked)} of {len(judged)}")
    return [visible(line) for line in lines]


def _add_differences(
    store: Store, cells: list[dict[str, Any]], column: ImageColumn, base: ImageColumn
) -> None:
    for cell in cells:
        mine, theirs = column.pictures.get(cell["seed"]), base.pictures.get(cell["seed"])
        if mine is None or theirs is None:
            continue
        cell["difference"], mean = _difference(store.image_path(theirs.image), store.image_path(mine.image))
        cell["mean"] = f"mean difference {mean:.3f}"


@lru_cache(maxsize=2048)
def _stored_uri(path: Path) -> str:
    # Files are named by their hash, so what is remembered under a path stays true.
    return _uri(path.read_bytes(), "webp" if path.suffix == ".webp" else "png")


@lru_cache(maxsize=512)
def _difference(left: Path, right: Path) -> tuple[str, float]:
    """Map of the absolute difference as a data URI, and its mean, 0 to 1."""
    change = absolute_difference(_pixels(left), _pixels(right))
    colours = ramp(ROCKET, 256)  # (256, 3)
    return _uri(_png(colours[np.round(change * 255).astype(np.uint8)])), float(change.mean())


def absolute_difference(left: Pixels, right: Pixels) -> NDArray[np.float32]:
    """Largest absolute difference over the colour channels of each pixel, 0 to 1; the second is resized to fit.

    Args:
        left: (height, width, 3).
        right: (height, width, 3).

    Returns:
        (height, width).
    """
    if right.shape != left.shape:
        right = np.asarray(Image.fromarray(right).resize((left.shape[1], left.shape[0])))
    change: NDArray[np.float32] = (
        np.abs(left.astype(np.float32) - right.astype(np.float32)).max(axis=-1) / 255
    )
    return change


def _pixels(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
