"""What `unlearnboard.load` returns: the numbers of studies and of imported results as one long data frame."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd

from app.shared.settings import PACK, cache_folder, demo_studies
from backends.errors import StoreError
from backends.study import Study
from backends.study.file import read_study
from backends.study.targets import target_names
from cache.analysis.board import board_of
from cache.analysis.known_studies import known_studies
from cache.analysis.results_board import results_board
from cache.analysis.scoreboard import kept_frame, scoreboard
from cache.store import Store, open_store
from cache.store.recorded_pack import import_recorded
from cache.store.results import collections

COLUMNS = (
    *("study", "layer", "protocol", "model", "part", "method", "step", "metric", "role", "key"),
    *("value", "low", "high", "n"),
)


def frame(cache: Path | None, study: Path | None) -> pd.DataFrame:
    """One row per run and metric; see `unlearnboard.load`.

    Raises:
        StoreError: there is no such cache.
        StudyError: the study file cannot be read.
    """
    folder = cache_folder() if cache is None else cache
    file = folder / "evidence.sqlite"
    if cache is not None and not file.is_file():
        raise StoreError(
            "there is no cache in this folder", where=str(folder), how="Name one with evidence.sqlite"
        )
    with closing(open_store(file)) as store:
        if study is not None:
            pieces = [_numbers(read_study(study), store)]
        else:
            import_recorded(PACK, store)
            demo = [read_study(path) for path in demo_studies()]
            pieces = [
                *(_numbers(each, store) for each in demo),
                *_others(store, {each.name for each in demo}),
            ]
        pieces += [results_board(store, [each.name]).frame().assign(study="") for each in collections(store)]
    whole = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=list(COLUMNS))
    return whole[list(COLUMNS)]


def _numbers(study: Study, store: Store) -> pd.DataFrame:
    protocol = study.protocol if study.modality == "text" else ""
    found = scoreboard(study, store).frame
    return board_of(found, protocol, "study", target_names(study)).frame().assign(study=study.name)


def _others(store: Store, demo: Collection[str]) -> Iterator[pd.DataFrame]:
    """Numbers of the studies that were evaluated into this cache; what has none is named in a warning."""
    told = set(demo)
    for known in known_studies(store):
        numbers = None if known.study in demo else kept_frame(store, known)
        if numbers is not None:
            told.add(known.study)
            board = board_of(numbers, known.protocol, "study", known.targets)
            yield board.frame().assign(study=known.study)
    untold = sorted({run.study for run in store.runs()} - told)
    if untold:
        names = ", ".join(repr(name) for name in untold)
        warnings.warn(
            f"The cache has runs of {names}, whose numbers need the study file: call load(study=...), or "
            "open the study once in the dashboard.",
            stacklevel=4,
        )
