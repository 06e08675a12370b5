"""Judgements made elsewhere: a CSV that names pictures and what they show.

A picture is recognised by its pixels, not by its name, so files may be copied and renamed as long as they stay the same
(PNG; a JPEG holds other pixels).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image

from backends.errors import CheckpointError
from backends.evidence import Judgement
from backends.image.classifier_judges import decided
from backends.interfaces import JudgedImage
from backends.study import JudgeSpec

_NOTHING = np.zeros(0, np.float32)
_SHOWN = 5


class CsvJudge:
    """A `backends.interfaces.Judge` that looks pictures up."""

    def __init__(self, spec: JudgeSpec, said: Mapping[str, Judgement]) -> None:
        self._spec = spec
        self._said = said

    @property
    def domain(self) -> str:
        """Which concepts it names."""
        return self._spec.domain

    @property
    def classes(self) -> tuple[str, ...]:
        """All labels of the file."""
        names = (name for judgement in self._said.values() for name in judgement.probabilities)
        return tuple(dict.fromkeys(names))

    def judge(self, pixels: Sequence[NDArray[np.uint8]]) -> list[JudgedImage | None]:
        """What the file says of each picture; None where it does not know it, which is no judgement at all."""
        found = [self._said.get(pixel_digest(each)) for each in pixels]
        return [None if said is None else JudgedImage(said, _NOTHING) for said in found]


def pixel_digest(pixels: NDArray[np.uint8]) -> str:
    """Identity of a picture's content, uint8 (height, width, 3)."""
    return blake3(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest(length=16)


def load_csv_judge(spec: JudgeSpec) -> CsvJudge:
    """Reads the columns `image` (a path beside the CSV), `label`, and `probability` or one column a class.

    Raises:
        CheckpointError: names the first rows that cannot be used: a picture that is not there or cannot be read, no
            label, a probability outside 0..1.
    """
    path = Path(spec.path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CheckpointError(f"this CSV cannot be read ({error})", where=str(path)) from error
    if missing := {"image", "label"} - set(columns):
        raise CheckpointError(
            f"the column `{min(missing)}` is missing",
            where=str(path),
            how="A CSV of judgements has the columns image, label and, where known, probability",
        )
    said: dict[str, Judgement] = {}
    problems: list[str] = []
    classes = [name for name in columns if name not in ("image", "label", "probability")]
    for number, row in enumerate(rows, start=2):
        try:
            digest = pixel_digest(_read(path.parent / (row["image"] or "")))
            said[digest] = _judgement(spec, row, classes)
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    if problems:
        more = f"; {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise CheckpointError(
            f"{len(problems)} of {len(rows)} rows cannot be used ({'; '.join(problems[:_SHOWN])}{more})",
            where=str(path),
            how="Mend or remove them",
        )
    return CsvJudge(spec, said)


def _judgement(spec: JudgeSpec, row: Mapping[str, str], classes: Sequence[str]) -> Judgement:
    renamed = dict(spec.labels)
    label = (row["label"] or "").strip()
    if not label:
        raise ValueError("no label")
    label = renamed.get(label, label)
    shares: dict[str, float] = {}
    for name in classes:
        if row.get(name):
            ours = renamed.get(name, name)
            shares[ours] = shares.get(ours, 0.0) + _share(row[name])
    if shares:
        return decided(shares, spec.threshold)
    share = _share(row["probability"]) if row.get("probability") else 1.0
    return Judgement(label if share >= spec.threshold else "none", {label: share})


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text[:30]!r} is no probability") from None
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"{text[:30]} is no probability from 0 to 1")
    return value


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{path.name or 'no image'} cannot be read as a picture ({type(error).__name__})"
        ) from error
