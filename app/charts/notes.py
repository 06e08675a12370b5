"""What a saved figure must say by itself: number of probes, protocol, what is drawn how. Text that is safe to draw."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from app.charts.families import column_of
from app.charts.ink import plain
from app.charts.marks import Marks
from app.looks.names import protocol_words
from cache.analysis.board import Board
from cache.analysis.frontier import Floats

ENDS = "names stand at the ends of lines"


def figure_note(points: pd.DataFrame, marks: Marks, *, judged: bool) -> str:
    """The note of a trade-off chart.

    Args:
        points: what is plotted.
        marks: what is drawn beside the points.
        judged: some values of both axes are better than others.
    """
    shapes = {"bars": "bars: 95 % intervals", "ellipses": "ellipses: 95 % regions of both metrics"}
    said = [shapes[marks.intervals]] if marks.intervals in shapes else []
    if judged:
        said.append("filled: on the Pareto front (grey line); hollow: dominated, over-forgotten or destroyed")
    said += ["star: retained model"] if (points["part"] == "retained").any() else []
    said += ["hatched: beyond the retained model"] if not np.isnan(marks.aim).all() else []
    return note(points[["x_n", "y_n"]].to_numpy(float), column_of(points, "protocol"), said)


def view_note(runs: Board, keys: Collection[str], *said: str) -> str:
    """The note of another view.

    Args:
        runs: what is drawn.
        keys: the metrics that are drawn.
        said: what bars, lines and markers mean.
    """
    columns = [place for place, key in enumerate(runs.keys) if key in keys]
    return note(runs.numbers[3][:, columns], runs.heads["protocol"], said)


def note(counts: Floats, protocols: Iterable[object], said: Sequence[str]) -> str:
    """A note.

    Args:
        counts: on how many probes each number stands, any shape; NaN or 0 where that is unknown.
        protocols: names of the protocols of the numbers; "" for none.
        said: what bars, lines and markers mean.
    """
    known = counts[counts > 0]
    first = []
    if len(known):
        least, most = int(known.min()), int(known.max())
        first.append(f"n = {least:,}" + (f" to {most:,}" if most > least else "") + " probes")
    named = sorted({protocol_words(str(each)) for each in protocols} - {""})
    first += [f"protocol {', '.join(named)}"] if named else []
    return plain("; ".join([*first, *said]) + ".")
