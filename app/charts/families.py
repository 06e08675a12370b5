"""Which points of a trade-off chart are drawn together: a line of checkpoints, a method, the original, the retained
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.charts.marks import PLAIN, Marks
from cache.analysis.frontier import Floats


@dataclass(frozen=True, slots=True)
class Family:
    """Points that are drawn together.

    Attributes:
        places: rows of the points, in step order.
        part: of the models.
        entry: the legend's words.
        origin: row of the original that they started from; None where there is none.
        joined: they are a trajectory, several checkpoints at known steps.
        dated: at least one of them has a step.
    """

    places: NDArray[np.int64]
    part: str
    entry: str
    origin: int | None
    joined: bool
    dated: bool


def families(points: pd.DataFrame, marks: Marks = PLAIN, *, by_line: bool = True) -> list[Family]:
    """What is drawn together, in the order of the points, original and retained last.

    Args:
        points: rows of `chart_points`.
        marks: which layers are not the study's own.
        by_line: one family for each line (trajectory) of a method, where the points say which they belong to; else one
            for each method of each layer.
    """
    part, model = points["part"], points["model"].astype(str)
    method, layer = column_of(points, "method").astype(str), column_of(points, "layer").astype(str)
    group = method.where(method != "", model)
    if by_line and "line" in points:
        group = points["line"].where(points["line"] != "", group)
    if layer.nunique() > 1:
        group = group + " · " + layer
    steps = steps_of(points)
    originals = {str(layer[row]): int(row) for row in reversed(np.flatnonzero(part == "original"))}

    def family(places: NDArray[np.int64]) -> Family:
        first, known = int(places[0]), ~np.isnan(steps[places])
        of = str(part[first])
        words = str(model[first])
        if of == "unlearned":
            words = method[first] or words
        elif points["layer"][first] in marks.foreign if "layer" in points else False:
            words = of.capitalize()
        joined = len(places) > 1 and bool(known.all())
        return Family(places, of, words, originals.get(str(layer[first])), joined, bool(known.any()))

    rows = np.flatnonzero(part == "unlearned")
    order = rows[np.argsort(steps[rows], kind="stable")]  # unknown steps come last
    codes, names = pd.factorize(group[rows])
    placed = pd.Series(codes, index=rows)[order].to_numpy()
    held = [family(order[placed == number]) for number in range(len(names))]
    alone = [row for name in ("original", "retained") for row in np.flatnonzero(part == name)]
    return held + [family(np.array([row])) for row in alone]


def column_of(points: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column of words, "" where there is none."""
    if name not in points:
        return pd.Series("", index=points.index)
    return points[name].fillna("")


def steps_of(points: pd.DataFrame) -> Floats:
    """Steps as numbers, NaN where unknown."""
    numbers = pd.to_numeric(points["step"], errors="coerce").astype("Float64")
    steps: Floats = numbers.to_numpy(float, na_value=np.nan)
    return steps
