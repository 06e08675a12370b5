"""Says how good the demo's image models are: what the judges see in their pictures, one line per model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.demo.image_data import FORGET_STYLE, OBJECTS, STYLES, prompt
from app.demo.image_pack import SAMPLING, specifications
from backends.evidence import Judgement
from backends.image.judges.judges import REJECT, load_judge
from backends.image.pipelines import DiffusionModels
from backends.interfaces import ImageRequest
from backends.study import JudgeSpec


@dataclass(frozen=True, slots=True)
class Row:
    """Shares of pictures, 0..1, by what the judges say of them.

    Attributes:
        forgotten: UA, pictures of the forgotten style that are not judged to be in it.
        style_kept: IRA, pictures of the other styles judged right.
        object_kept: CRA, pictures of the other styles whose object is judged right.
        object_of_forgotten: pictures of the forgotten style whose object is judged right.
        rejected: pictures of the forgotten style that the style judge calls "none".
    """

    model: str
    forgotten: float
    style_kept: float
    object_kept: float
    object_of_forgotten: float
    rejected: float


def report(pack: Path, out: Path, say: Callable[[str], None]) -> list[Row]:
    """Sample every concept once from every model, judge it, print and write `report.json` and one sheet per model."""
    models = DiffusionModels("cpu", "float32")
    concepts = [(style, name) for style in STYLES for name in OBJECTS]
    rows: list[Row] = []
    for spec in specifications(pack):
        models.add(spec)
        requests = [
            ImageRequest(spec.name, prompt(name, style), SAMPLING.seeds[0]) for style, name in concepts
        ]
        done = {
            part.index: part.pixels for part in models.sample(requests, SAMPLING, lambda: False) if part.done
        }
        pixels = [done[index] for index in range(len(requests))]
        _sheet(pixels, out / "sheets" / f"{spec.name}.png")
        said = {
            domain: [
                each.judgement
                for each in load_judge(JudgeSpec(domain, str(pack / "judges" / domain)), "cpu").judge(pixels)
                if each is not None  # the demo's judges know every picture
            ]
            for domain in ("style", "object")
        }
        rows.append(_row(spec.name, concepts, said["style"], said["object"]))
        say(_line(rows[-1]))
    (out / "report.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return rows


def _row(
    model: str, concepts: Sequence[tuple[str, str]], styles: Sequence[Judgement], objects: Sequence[Judgement]
) -> Row:
    forget = np.array([style == FORGET_STYLE for style, _ in concepts])
    style_right = np.array([said.label == style for said, (style, _) in zip(styles, concepts, strict=True)])
    object_right = np.array([said.label == name for said, (_, name) in zip(objects, concepts, strict=True)])
    rejected = np.array([said.label == REJECT for said in styles])
    return Row(
        model,
        forgotten=1 - float(style_right[forget].mean()),
        style_kept=float(style_right[~forget].mean()),
        object_kept=float(object_right[~forget].mean()),
        object_of_forgotten=float(object_right[forget].mean()),
        rejected=float(rejected[forget].mean()),
    )


def _line(row: Row) -> str:
    return (
        f"{row.model:<16} UA {row.forgotten:.2f}  IRA {row.style_kept:.2f}  CRA {row.object_kept:.2f}  "
        f"object of forgotten {row.object_of_forgotten:.2f}  rejected {row.rejected:.2f}"
    )


def _sheet(pixels: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Rows are styles, columns objects."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    across = len(OBJECTS)
    lines = [
        np.concatenate(pixels[start : start + across], axis=1) for start in range(0, len(pixels), across)
    ]
    Image.fromarray(np.concatenate(lines, axis=0)).save(path)
