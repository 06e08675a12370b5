"""How often a judge is right on real pictures: no metric is better than the judge behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backends.errors import StudyError
from backends.image.judges.accuracy import JudgeAccuracy, accuracy_of
from backends.interfaces import Judge

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_BATCH = 64


def measure(judge: Judge, folder: Path) -> JudgeAccuracy:
    """The judge's accuracy on a folder of real pictures; arguments and errors as for `judgements_of`."""
    return accuracy_of(*judgements_of(judge, folder))


def judgements_of(judge: Judge, folder: Path) -> tuple[list[str], list[str], list[str]]:
    """What real pictures show, what the judge says of them, and which files could not be read.

    Args:
        judge: any judge.
        folder: one subfolder of pictures for each class, named as the judge names it.

    Raises:
        StudyError: no such folder, no pictures, or a class that the judge does not know.
    """
    if not folder.is_dir():
        raise StudyError("there is no such folder of real pictures", where=str(folder))
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    unknown = [path.name for path in classes if path.name not in judge.classes]
    if unknown:
        raise StudyError(
            f"the judge of {judge.domain} does not know {unknown[0]!r}; it knows {', '.join(judge.classes[:5])}",
            where=str(folder),
            how="Name the subfolders as the judge's classes",
        )
    asked: list[str] = []
    shown: list[str] = []
    unreadable: list[str] = []
    batch: list[tuple[str, NDArray[np.uint8]]] = []

    def work() -> None:
        for (name, _), said in zip(batch, judge.judge([pixels for _, pixels in batch]), strict=True):
            if said is not None:
                asked.append(name)
                shown.append(said.judgement.label)
        batch.clear()

    for path in (file for each in classes for file in sorted(each.iterdir())):
        if path.suffix.lower() not in PICTURES:
            continue
        try:
            with Image.open(path) as image:
                batch.append((path.parent.name, np.asarray(image.convert("RGB"))))
        except (OSError, SyntaxError, ValueError):
            unreadable.append(f"{path.parent.name}/{path.name}")
        if len(batch) == _BATCH:
            work()
    work()
    if not asked:
        raise StudyError("there are no readable pictures", where=str(folder))
    return asked, shown, unreadable
