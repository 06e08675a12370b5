"""Tables that papers and leaderboards published, as boards. Shown greyed, never mixed with own runs unasked.

A file has one row per number: collection, modality, source, url, commit, protocol, method, part, metric (role/metric),
value, unit ("%" is divided by 100), direction as the source has it, flag (what a reader must know of the row).
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cache.analysis.board import NUMBERS, Board

COLUMNS = (
    *(
        "collection",
        "modality",
        "source",
        "url",
        "commit",
        "protocol",
        "method",
        "part",
        "metric",
        "value",
        "unit",
    ),
    *("direction", "flag"),
)


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One published table.

    Attributes:
        name: collection, unique.
        modality: "text" or "image".
        sources: source and address, each once.
        flags: what a reader must know, with the methods it is said of.
        board: the numbers; no intervals, since nobody published any.
    """

    name: str
    modality: str
    sources: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]
    board: Board


def published(folder: Path) -> dict[str, PublishedTable]:
    """All tables of the folder's CSV files, by name."""
    rows: dict[str, list[dict[str, str]]] = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault(row["collection"], []).append(row)
    return {name: _table(name, held) for name, held in rows.items()}


def _table(name: str, rows: list[dict[str, str]]) -> PublishedTable:
    methods = list(dict.fromkeys((row["method"], row["part"], row["protocol"]) for row in rows))
    keys = tuple(dict.fromkeys(row["metric"] for row in rows))
    numbers = np.full((len(NUMBERS), len(methods), len(keys)), math.nan)
    for row in rows:
        place = methods.index((row["method"], row["part"], row["protocol"]))
        scale = 0.01 if row["unit"] == "%" else 1.0
        numbers[0, place, keys.index(row["metric"])] = float(row["value"]) * scale
    heads = pd.DataFrame(
        {
            "model": [method or f"{part} of {name}" for method, part, _ in methods],
            "part": [part for _, part, _ in methods],
            "method": [method if part == "unlearned" else "" for method, part, _ in methods],
            "step": pd.array([pd.NA] * len(methods), "Float64"),
            "protocol": [protocol for *_, protocol in methods],
            "layer": name,
            "line": "",
            "created": "",
        }
    )
    return PublishedTable(
        name=name,
        modality=rows[0]["modality"],
        sources=tuple(dict.fromkeys((row["source"], row["url"]) for row in rows)),
        flags=_flags(rows),
        board=Board(heads, keys, numbers),
    )


def _flags(rows: list[dict[str, str]]) -> tuple[str, ...]:
    """`MACE, RECE: what a reader must know`, each text once."""
    said: dict[str, dict[str, None]] = {}
    for row in rows:
        if row["flag"]:
            said.setdefault(row["flag"], {})[row["method"] or row["part"]] = None
    return tuple(f"{', '.join(names)}: {flag}" for flag, names in said.items())
