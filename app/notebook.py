"""What `unlearnboard.load` returns: the numbers of studies and of imported results as one long data frame."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from app.demo.recorded import take_in
from app.settings import PACK, cache_folder, demo_studies
from backends.errors import StoreError
from backends.study_file import read_study
from backends.targets import target_names
from cache.board import board_of
from cache.results import collections
from cache.results_board import results_board
from cache.scoreboard import scoreboard
from cache.store import Store

COLUMNS = (
    *("study", "layer", "protocol", "model", "part", "method", "step", "metric", "role", "key"),
    *("value", "low", "high", "n"),
)


def frame(cache: Path | None, study: Path | None) -> pd.DataFrame:
    """A row a run and metric; see `unlearnboard.load`.

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
    store = Store.open(file)
    if study is None:
        take_in(PACK, store)
    pieces = []
    for path in [study] if study is not None else demo_studies():
        read = read_study(path)
        protocol = read.protocol if read.modality == "text" else ""
        board = board_of(scoreboard(read, store).frame, protocol, "study", target_names(read))
        pieces.append(board.frame().assign(study=read.name))
    for each in collections(store):
        pieces.append(results_board(store, [each.name]).frame().assign(study=""))
    store.close()
    whole = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=list(COLUMNS))
    return whole[list(COLUMNS)]
