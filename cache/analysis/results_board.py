"""Imported runs as one `Board`: ten thousand of them without looking at any of them alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from sqlalchemy import select

from cache.analysis.board import NUMBERS, Board
from cache.store import Store, schema

_HEAD = ("model", "part", "method", "step", "protocol", "collection", "line", "created", "key")


def results_board(store: Store, names: Sequence[str]) -> Board:
    """All runs of these collections; their heads have the column `key` besides."""
    columns = schema.results.c
    chosen = [columns[name] for name in _HEAD]
    query = select(*chosen, columns.metrics, columns.numbers).where(columns.collection.in_(list(names)))
    with store.reading() as connection:
        metrics = {
            row.id: tuple(json.loads(row.names)) for row in connection.execute(select(schema.result_metrics))
        }
        raw = str(query.order_by(columns.model).compile(compile_kwargs={"literal_binds": True}))
        rows = connection.exec_driver_sql(raw).fetchall()  # without SQLAlchemy's typing of each cell
    heads = pd.DataFrame([row[: len(_HEAD)] for row in rows], columns=list(_HEAD))
    heads = heads.rename(columns={"collection": "layer"}).astype({"step": "Float64"})
    heads["model"] = unique_names(heads["model"])
    keys = tuple(dict.fromkeys(key for row in {row[-2] for row in rows} for key in metrics[row]))
    return Board(heads, keys, _numbers([(metrics[row[-2]], row[-1]) for row in rows], keys))


def unique_names(names: pd.Series) -> pd.Series:
    """Names, numbered from the second of equal ones."""
    count = names.groupby(names).cumcount()
    return names.where(count == 0, names + " (" + (count + 1).astype(str) + ")")


def _numbers(rows: Iterable[tuple[tuple[str, ...], bytes]], keys: tuple[str, ...]) -> np.ndarray:
    """Packed vectors as shape (4, runs, keys): runs that have the same metrics are unpacked together."""
    rows = list(rows)
    numbers = np.full((len(NUMBERS), len(rows), len(keys)), np.nan)
    order = {key: place for place, key in enumerate(keys)}
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, (names, _) in enumerate(rows):
        groups.setdefault(names, []).append(place)
    for names, places in groups.items():
        packed = np.frombuffer(b"".join(rows[place][1] for place in places), np.float64)
        block = packed.reshape(len(places), len(NUMBERS), len(names)).transpose(1, 0, 2)
        numbers[np.ix_(range(len(NUMBERS)), places, [order[name] for name in names])] = block
    return numbers
