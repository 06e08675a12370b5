"""Folders of real pictures with the prompts that they belong to, in the form of datasets' imagefolder."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.errors import StudyError

METADATA = ("metadata.jsonl", "metadata.csv")


@dataclass(frozen=True, slots=True)
class RealPicture:
    """A picture and the prompt it belongs to."""

    name: str
    path: Path
    prompt: str


def real_pictures(folder: Path) -> list[RealPicture]:
    """Pictures of a folder in the form of datasets' imagefolder: `metadata.jsonl` or `.csv` with file_name and text.

    Raises:
        StudyError: no folder, no such file, or rows without a picture or a text.
    """
    path = next((folder / name for name in METADATA if (folder / name).is_file()), None)
    if path is None:
        raise StudyError(
            f"this folder has no {' or '.join(METADATA)} with the columns file_name and text",
            where=str(folder),
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows: list[Any] = (
            [json.loads(line) for line in text.splitlines() if line.strip()]
            if path.suffix == ".jsonl"
            else list(csv.DictReader(text.splitlines()))
        )
    except (OSError, ValueError, csv.Error) as error:
        raise StudyError(f"this file cannot be read ({error})", where=str(path)) from error
    result = []
    for number, row in enumerate(rows, start=1):
        name, prompt = (row.get("file_name"), row.get("text")) if isinstance(row, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(prompt, str) or not (folder / name).is_file():
            raise StudyError(
                f"row {number} needs a file_name that is there and a text",
                where=str(path),
                how="Fix the row",
            )
        result.append(RealPicture(name, folder / name, prompt))
    if not result:
        raise StudyError("there are no pictures in it", where=str(path))
    return result
