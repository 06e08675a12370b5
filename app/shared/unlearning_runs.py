"""Unlearned models that were made here: where they are, which runs they come from, how a study gets them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.errors import BoardError
from backends.files.disk import kept, write_whole
from backends.files.places import cache_folder
from backends.study import ModelSpec, Study
from backends.study.file import read_study
from backends.study.writing import write_study
from backends.unlearning.run_log import RUN, read_json, read_log

if TYPE_CHECKING:
    from app.shared.unlearning import UnlearningRequest

REQUEST_FILE = "asked.json"
STUDY = "study.toml"


@dataclass(frozen=True, slots=True)
class BuiltRun:
    """A run as it is on disk.

    Attributes:
        label: name of its trajectory.
        folder: its files.
        asked: method and settings, as they were asked for.
        varied: settings of a grid.
        steps: how many it is to take.
        log: loss of every step, measurements of every checkpoint; ascending.
        ended: None while it is not, else why it ended, "" where all steps were done.
    """

    label: str
    folder: Path
    asked: Mapping[str, Any]
    varied: Mapping[str, str]
    steps: int
    log: tuple[Mapping[str, Any], ...]
    ended: str | None

    @property
    def done(self) -> int:
        """Steps done."""
        return int(self.log[-1]["step"]) if self.log else 0

    @property
    def measured(self) -> list[Mapping[str, Any]]:
        """Lines of the log with measurements."""
        return [line for line in self.log if "forget" in line]


def built_folder(study: str) -> Path:
    """Where models go that are made of a study of this short name."""
    return cache_folder().absolute() / "unlearned" / study


def built_names(specs: Iterable[ModelSpec], study: str) -> list[str]:
    """Those of the models that were made here, of a study of this short name."""
    inside = f"{built_folder(study)}{os.sep}"  # text, as every page asks this of every model
    return [spec.name for spec in specs if (spec.adapter or spec.weights or "").startswith(inside)]


def with_built(study: Study, folder: Path) -> Study:
    """The study with the models that were made of its original; a folder that cannot be read adds none."""
    try:
        made = read_study(folder / STUDY).models if (folder / STUDY).is_file() else ()
    except BoardError:
        return study
    taken = {spec.name for spec in study.models}
    new = [
        spec
        for spec in made
        if Path(spec.adapter or spec.weights or "").is_relative_to(folder)
        and spec.part == "unlearned"
        and (spec.source, spec.subfolder) == (study.original.source, study.original.subfolder)
        and spec.name not in taken
    ]
    return replace(study, models=(*study.models, *new)) if new else study


def save_request(
    folder: Path, label: str, asked: UnlearningRequest, varied: Mapping[str, str], steps: int
) -> None:
    """Keep what was asked for beside a run, so that it can be resumed.

    Raises:
        StoreError: it cannot be written.
    """
    told = {"label": label, "asked": asdict(asked), "varied": dict(varied), "steps": steps}
    content = json.dumps(told, default=str).encode()
    with kept("what was asked of a run", folder, len(content)):
        write_whole(folder / REQUEST_FILE, content)


def built_runs(folder: Path) -> list[BuiltRun]:
    """Every run of a folder, the oldest first."""
    result = []
    for path in sorted(folder.glob(f"*/{REQUEST_FILE}"), key=lambda file: file.stat().st_ctime):
        told, run = read_json(path), read_json(path.parent / RUN)
        if told.get("label"):
            ended = run.get("ended") if isinstance(run.get("steps"), list) else None
            log = tuple(read_log(path.parent))
            result.append(
                BuiltRun(
                    told["label"], path.parent, told["asked"], told["varied"], int(told["steps"]), log, ended
                )
            )
    return result


def delete_run(run: BuiltRun, folder: Path) -> None:
    """Delete a run's files, and its models from the study; what was measured of them stays in the cache."""
    shutil.rmtree(run.folder, ignore_errors=True)
    written = folder / STUDY
    if written.is_file():
        study = read_study(written)
        kept = [
            spec
            for spec in study.models
            if not Path(spec.adapter or spec.weights or "").is_relative_to(run.folder)
        ]
        write_study(replace(study, models=tuple(kept)), written)
