"""The trade-offs of a report: figures, what they show in words, and their values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from app.charts.choices import axis, first_axes, presets
from app.charts.points import Axis, chart_points
from app.export.report_figure import Figure, figure
from app.export.report_parts import Table
from app.looks.model_looks import looks_of
from backends.study import Study
from cache.analysis.board import Board

MOST_FIGURES = 3


@dataclass(frozen=True, slots=True)
class Plot:
    """One trade-off.

    Attributes:
        name: heading.
        alt: the figure in words.
        caption: what bars and markers mean.
        figure: its shapes.
        table: the same as numbers.
    """

    name: str
    alt: str
    caption: str
    figure: Figure
    table: Table


def curves(
    study: Study, runs: Board, keys: Sequence[str], shown: Sequence[str], destroyed: Collection[str]
) -> list[Plot]:
    """The study's trade-offs, those that have points; destroyed models have no place on a front."""
    pairs = [(each.title, each.x, each.y) for each in presets(keys, study.modality)]
    pairs = pairs or [("Trade-off", *first_axes(keys, study.modality))]
    plots = [_plot(study, runs, name, (x, y), shown, destroyed) for name, x, y in pairs[:MOST_FIGURES]]
    return [plot for plot in plots if plot]


def _plot(
    study: Study,
    runs: Board,
    name: str,
    keys: tuple[str, str],
    shown: Sequence[str],
    destroyed: Collection[str],
) -> Plot | None:
    x, y = (axis(key, turn=True) for key in keys)
    points = chart_points(runs.frame(keys), list(runs.heads["model"]), x, y)
    if points.empty:
        return None
    whole = runs.only([model not in destroyed for model in runs.heads["model"]])
    kept = chart_points(whole.frame(keys), list(whole.heads["model"]), x, y)
    points["front"] = points["model"].isin(kept.loc[kept["front"], "model"])
    x, y = x.counted(points["x_n"]), y.counted(points["y_n"])
    drawn = figure(points, x, y, looks_of(runs.heads, study), shown)
    beyond = " Hatched: beyond the retained model, where nothing is gained." if drawn.zones else ""
    front = [str(model) for model in points.loc[points["front"], "model"]]
    return Plot(
        name,
        f"{x.name} and {y.name} of {len(points)} models; on the Pareto front: {', '.join(front) or 'none'}",
        f"Bars are 95 % intervals, n = {_counts(points)}. Up and right is better. Filled: on the Pareto front of the "
        "unlearned models that are not destroyed; lines join the checkpoints of a method." + beyond,
        drawn,
        Table(["Model", x.name, y.name], [_row(row, x, y) for _, row in points.iterrows()], "", [1, 2]),
    )


def _counts(points: pd.DataFrame) -> str:
    counts = pd.concat([points["x_n"], points["y_n"]]).dropna()
    if counts.empty:
        return "unknown"
    least, most = int(counts.min()), int(counts.max())
    return f"{least:,} probes" if least == most else f"{least:,} to {most:,} probes"


def _row(row: pd.Series, x: Axis, y: Axis) -> list[str]:
    return [str(row["model"]), *(_cell(row, letter, of) for letter, of in (("x", x), ("y", y)))]


def _cell(row: pd.Series, letter: str, of: Axis) -> str:
    ends = [row[f"{letter}_low"], row[f"{letter}_high"]]
    interval = "" if pd.isna(ends[0]) else f" [{of.number(ends[0])}, {of.number(ends[1])}]"
    return of.number(row[f"{letter}_value"]) + interval
