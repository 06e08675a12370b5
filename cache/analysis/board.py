"""Runs of several origins as one table: one row per run, one column per metric. What the trade-off pages plot.

The study's own scoreboard, other tools' imported results and published tables become one `Board`. Numbers lie in
arrays, not in rows of a frame, so that ten thousand runs are joined and cut in milliseconds. Knows no stores.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backends.metrics.key import MetricKey

Floats = NDArray[np.float64]

HEAD = ("model", "part", "method", "step", "protocol", "layer", "line", "created")
"""Columns that every board's heads have; more may follow."""
NUMBERS = ("value", "low", "high", "n")


@dataclass(frozen=True, slots=True)
class Board:
    """Runs and their metrics.

    Attributes:
        heads: one row per run: model (unique), part, method, step (Int64), protocol, layer (where it comes from: the
            study, an imported collection, a published table), line (runs of one line are checkpoints of one trajectory;
            "" for none), created (ISO 8601 or "").
        keys: role/metric of each column of the numbers.
        numbers: shape (4, runs, keys): value, low and high end of the 95 % interval, probes; NaN where unknown.
    """

    heads: pd.DataFrame
    keys: tuple[str, ...]
    numbers: Floats

    def __len__(self) -> int:
        return len(self.heads)

    def column(self, key: str) -> Floats:
        """Values of one metric, shape (runs,); NaN for all where nobody has it."""
        if key not in self.keys:
            return np.full(len(self), np.nan)
        column: Floats = self.numbers[0][:, self.keys.index(key)]
        return column

    def known(self) -> tuple[str, ...]:
        """Keys with a value for at least one run, in order."""
        has = ~np.isnan(self.numbers[0]).all(axis=0) if len(self) else np.zeros(len(self.keys), bool)
        return tuple(key for key, any_value in zip(self.keys, has, strict=True) if any_value)

    def only(self, keep: Sequence[bool] | pd.Series | NDArray[np.bool_]) -> Board:
        """Those runs for which `keep` is true."""
        chosen = np.asarray(keep, bool)
        return Board(self.heads[chosen].reset_index(drop=True), self.keys, self.numbers[:, chosen])

    def frame(self, keys: Collection[str] | None = None) -> pd.DataFrame:
        """A row for each run and metric, as in a scoreboard: HEAD, metric, role, key, value, low, high, n."""
        places = [place for place, key in enumerate(self.keys) if keys is None or key in keys]
        pieces = []
        for place in places:
            key = self.keys[place]
            read = MetricKey.parse(key)
            piece = self.heads.assign(metric=read.name, role=read.role, key=key)
            for number, column in zip(NUMBERS, self.numbers[:, :, place], strict=True):
                piece[number] = column
            pieces.append(piece[~np.isnan(self.numbers[0][:, place])])
        empty = self.heads.head(0).assign(metric="", role="", key="", value=0.0, low=0.0, high=0.0, n=0.0)
        return pd.concat(pieces or [empty], ignore_index=True)


def board_of(
    frame: pd.DataFrame, protocol: str, layer: str, targets: Mapping[str, str] = MappingProxyType({})
) -> Board:
    """A scoreboard's frame as a board; `targets` of models (or seeds), where they differ, part a method's lines."""
    heads = frame[["model", "part", "method", "step"]].drop_duplicates("model").reset_index(drop=True)
    parted = heads["method"] + heads["model"].map(
        lambda name: f" · {targets[name]}" if name in targets else ""
    )
    line = heads["method"].where(heads["method"] == "", parted)
    heads = heads.assign(protocol=protocol, layer=layer, line=line, created="")
    keys = tuple(dict.fromkeys(frame["key"]))
    rows = pd.Index(heads["model"]).get_indexer(frame["model"])
    columns = pd.Index(list(keys)).get_indexer(frame["key"])
    numbers = np.full((len(NUMBERS), len(heads), len(keys)), np.nan)
    for place, name in enumerate(NUMBERS):
        numbers[place, rows, columns] = frame[name].to_numpy(float)
    return Board(heads, keys, numbers)


def joined(boards: Sequence[Board]) -> Board:
    """All runs of all boards; a name that several have gets its layer behind it."""
    if len(boards) == 1:
        return boards[0]
    keys = tuple(dict.fromkeys(key for board in boards for key in board.keys))
    order = {key: place for place, key in enumerate(keys)}
    numbers = np.full((len(NUMBERS), sum(map(len, boards)), len(keys)), np.nan)
    start = 0
    for board in boards:
        columns = [order[key] for key in board.keys]
        numbers[:, start : start + len(board), columns] = board.numbers
        start += len(board)
    heads = pd.concat([board.heads for board in boards], ignore_index=True) if boards else _no_heads()
    return Board(heads.assign(model=_unique(heads)), keys, numbers)


def _no_heads() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype=object) for name in HEAD}).astype({"step": "Int64"})


def _unique(heads: pd.DataFrame) -> pd.Series:
    names = heads["model"].astype(str)
    twice = names.duplicated(keep="first")
    names = names.where(~twice, names + " · " + heads["layer"].astype(str))
    again = names.groupby(names).cumcount()
    return names.where(again == 0, names + " (" + (again + 1).astype(str) + ")")
