"""Judgements made elsewhere: a CSV that names pictures and what they show.

A picture is recognised by its pixels, not by its name, so files may be copied and renamed as long as they stay the same
(PNG; a JPEG holds other pixels). A row that cannot be used is left out and named; the others are used.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image

from backends.errors import CheckpointError
from backends.evidence import Judgement
from backends.files.plain import NotPlain, number, read_plain
from backends.image.judges.classifiers import decided
from backends.interfaces import JudgedImage
from backends.study import JudgeSpec

IMAGE, LABEL, PROBABILITY = "image", "label", "probability"
SEPARATORS = ",;\t"
_NOTHING = np.zeros(0, np.float32)
_SHOWN = 5
_MOST_PICTURE = 256 * 2**20


class CsvJudge:
    """A `backends.interfaces.Judge` that looks pictures up."""

    def __init__(self, spec: JudgeSpec, said: Mapping[str, Judgement], notes: Sequence[str] = ()) -> None:
        self.notes = tuple(notes)
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
        result = [self._said.get(pixel_digest(each)) for each in pixels]
        return [None if said is None else JudgedImage(said, _NOTHING) for said in result]


def pixel_digest(pixels: NDArray[np.uint8]) -> str:
    """Identity of a picture's content, uint8 (height, width, 3)."""
    return blake3(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest(length=16)


def load_csv_judge(spec: JudgeSpec) -> CsvJudge:
    """Reads the columns `image` (a path beside the CSV), `label`, and `probability` or one column per class.

    Rows that cannot be used are left out and named in the judge's notes: a picture that is not there or cannot be read,
    no label, a probability outside 0..1.

    Raises:
        CheckpointError: the file cannot be read, lacks a column, or none of its rows can be used.
    """
    path = Path(spec.path)
    columns, rows = _rows(path)
    if missing := {IMAGE, LABEL} - set(columns):
        raise CheckpointError(
            f"the column `{min(missing)}` is missing",
            where=str(path),
            how="A CSV of judgements has the columns image, label and, where known, probability",
        )
    classes, others = _class_columns(spec, columns, rows)
    said: dict[str, Judgement] = {}
    rows_of: dict[str, int] = {}
    problems: list[str] = []
    for line, row in rows:
        try:
            digest = pixel_digest(_read(path.parent / (row.get(IMAGE) or "")))
            judgement = _judgement(spec, row, classes)
            if said.get(digest, judgement) != judgement:
                raise ValueError(f"row {rows_of[digest]} contradicts an earlier row of the same picture")
            said[digest] = judgement
            rows_of.setdefault(digest, line)
        except ValueError as error:
            problems.append(f"row {line}: {error}")
    if not said:
        raise CheckpointError(
            f"none of its {len(rows)} rows can be used ({_some(problems)})" if rows else "it has no rows",
            where=str(path),
            how="Fix them",
        )
    notes = [f"{len(problems)} of {len(rows)} rows cannot be used: {_some(problems)}"] if problems else []
    notes += [f"columns left out, which are not classes: {', '.join(others)}"] if others else []
    return CsvJudge(spec, said, notes)


def _rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Columns, and every row with its number in the file, of which the columns are the first."""
    try:
        text = read_plain(path).decode("utf-8-sig")
        head = text.splitlines()[0] if text.strip() else ""
        separator = max(SEPARATORS, key=head.count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        columns = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = columns
        return columns, list(enumerate(reader, start=2))
    except NotPlain as error:
        raise CheckpointError(f"this CSV {error}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"byte {error.start} is not UTF-8", where=str(path), how="Save the CSV as UTF-8"
        ) from error
    except csv.Error as error:
        raise CheckpointError(f"this CSV cannot be read ({error})", where=str(path)) from error


def _class_columns(
    spec: JudgeSpec, columns: Sequence[str], rows: Sequence[tuple[int, Mapping[str, str]]]
) -> tuple[list[str], list[str]]:
    """Columns of probabilities, one a class, and those that are something else (a prompt, a seed)."""
    labels = {(row.get(LABEL) or "").strip() for _, row in rows} | {theirs for theirs, _ in spec.labels}
    known = labels | set(spec.classes) | {"none"}
    classes: list[str] = []
    others: list[str] = []
    for name in columns:
        if name in (IMAGE, LABEL, PROBABILITY):
            continue
        # A class that no row has as its label is told by its numbers.
        given = [row[name] for _, row in rows if row.get(name)]
        shares = bool(given) and all(0 <= number(value) <= 1 for value in given)
        fractions = shares and any("." in value or "e" in value.lower() for value in given)
        (classes if name in known or fractions else others).append(name)
    return classes, others


def _judgement(spec: JudgeSpec, row: Mapping[str, str], classes: Sequence[str]) -> Judgement:
    renamed = dict(spec.labels)
    label = (row.get(LABEL) or "").strip()
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
    share = _share(row[PROBABILITY]) if row.get(PROBABILITY) else 1.0
    return Judgement(label if share >= spec.threshold else "none", {label: share})


def _share(text: str) -> float:
    value = number(text)
    if math.isnan(value):
        raise ValueError(f"{text[:30]!r} is no probability")
    if not 0 <= value <= 1:
        raise ValueError(f"{text[:30]} is no probability from 0 to 1")
    return value


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(read_plain(path, _MOST_PICTURE))) as image:
            return np.asarray(image.convert("RGB"))
    except NotPlain as error:
        raise ValueError(f"{path.name or 'no image'} {error}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path.name or 'no image'} cannot be read as a picture ({type(error).__name__})"
        ) from error


def _some(problems: Sequence[str]) -> str:
    more = f"; {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more
