"""What the trade-off chart draws: one row per model, out of a scoreboard and the chosen axes.

Pure functions from data frame to data frame. Knows nothing about Plotly, pages or stores. Values are drawn as measured;
an axis whose lower values are better runs backwards, so that up and right are better.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import floor, log10

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from backends.metrics.card import Direction
from cache.analysis.frontier import Floats, pareto
from cache.analysis.over_forgotten import beyond, counted
from cache.analysis.study_board import STUDY

EXTRAS = {
    "Not on the front because": "excluded",
    "Probability of being on the front": "chance",
    "Distance to retained": "distance",
    "Distance, low": "distance_low",
    "Distance, high": "distance_high",
}
FACTS = ("model", "part", "method", "step", "protocol", "layer", "line")
OVER, DESTROYED = "over-forgotten", "destroyed"
LEAST_POWER = -30  # a logarithmic axis goes no lower
SCIENTIFIC_BELOW = 0.001
NEITHER = "neither is better"
MOST_STYLED = 2000
"""Rows of a table whose cells are worded one by one; more would take seconds."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One metric on one kind of probes, as an axis.

    Attributes:
        key: `role/metric`, the scoreboard's key.
        title: the metric's name for people.
        role: which probes it was measured on; "" where it belongs to no role.
        better: which way is better on this role.
        unit: True where the values are shares in [0, 1].
        turn: the person wants "better" up and right.
        log: the axis is logarithmic.
        p_value: the values are p-values, which differ by powers of ten.
        bounds: smallest and largest possible value; None if there is none.
        by_count: the values depend on how many pictures they are of, which then stands on the axis.
        count: how many, in words; see `counted`.
        forgets: it says how much was forgotten, so that nothing is gained beyond the retained model's value.
    """

    key: str
    title: str
    role: str
    better: Direction
    unit: bool
    turn: bool = True
    log: bool = False
    p_value: bool = False
    bounds: tuple[float, float | None] = (0.0, 1.0)
    by_count: bool = False
    count: str = ""
    forgets: bool = False

    def counted(self, counts: Floats) -> Axis:
        """The axis with `n = 300`, or `n = 12 to 300`, where that is part of what its values mean."""
        if not self.by_count or not len(counts):
            return self
        least, most = int(min(counts)), int(max(counts))
        return replace(self, count=f"n = {least:,}" + (f" to {most:,}" if most > least else ""))

    @property
    def reversed(self) -> bool:
        """The axis runs from high to low, so that better is right or up."""
        return self.turn and self.better == "lower"

    @property
    def way(self) -> str:
        """Which way is better, in words."""
        return {"zero": "0 is best", "neutral": NEITHER}.get(self.better, f"{self.better} is better")

    @property
    def name(self) -> str:
        """Metric and role: `Answer probability on forget`."""
        return f"{self.title} on {self.role}" if self.role else self.title

    @property
    def label(self) -> str:
        """The axis title, with its direction in words: `Answer probability on forget  (lower is better →)`."""
        arrow = f"{self.way} →" if self.turn or self.better == "higher" else f"← {self.way}"
        arrow = arrow if self.better in ("lower", "higher") else self.way
        scale = "log scale, " if self.log else ""
        count = f", {self.count}" if self.count else ""
        return f"{self.name}{count}  ({scale}{arrow})"

    def number(self, value: float) -> str:
        """A value as people read it: `0.684`, and `3.1e-12` where that is a small p-value."""
        return p_value(value) if self.p_value else f"{value:.3f}"


def p_value(value: float) -> str:
    """`0.684`, `3.1e-12`, or `< 1e-300` where it is too small for a number of 64 bits."""
    return f"{value:.3f}" if value >= SCIENTIFIC_BELOW else f"{value:.1e}" if value > 0 else "< 1e-300"


def short_p_value(value: float) -> str:
    """`0.684`, or `< 0.001` where three places would show zero."""
    return f"{value:.3f}" if value >= SCIENTIFIC_BELOW else "< 0.001"


def p_value_text(value: float) -> str:
    """What follows `p` in a sentence: `= 0.02` or `< 0.001`."""
    return f"= {value:.2g}" if value >= SCIENTIFIC_BELOW else short_p_value(value)


def p_values_shown(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame | Styler:
    """The table with its p-values as people read them; they stay numbers, so that they sort.

    Args:
        table: to be drawn.
        columns: those of its columns that are p-values.
    """
    held = [column for column in columns if column in table]
    if not held or len(table) > MOST_STYLED:
        return table
    return table.style.format(short_p_value, subset=held, na_rep="–")


def log_floor(values: pd.Series) -> float:
    """The lower edge of a logarithmic axis, where smaller values are drawn: under the smallest value that is not 0."""
    positive = values[values > 0]
    least = floor(log10(float(positive.min()))) if len(positive) else 0
    return float(10.0 ** max(least - 1, LEAST_POWER))


def chart_points(
    frame: pd.DataFrame,
    models: Sequence[str],
    x: Axis,
    y: Axis,
    size: Axis | None = None,
    destroyed: Collection[str] = (),
) -> pd.DataFrame:
    """One row per model that has a value on both axes, in the order of `models`.

    Args:
        frame: a scoreboard's or a board's frame (columns model, part, method, step, key, value, low, high, n).
        models: names of the study's models; a model's position is its `code`.
        x: horizontal axis.
        y: vertical axis.
        size: metric of the marker area, or None.
        destroyed: names of the study's models that are destroyed, which have no place on the front.

    Returns:
        Columns code, model, part, method, step, and protocol, layer, line where the frame has them; for x and y: `x`
        (as plotted), `x_minus` and `x_plus` (lengths of the 95 % interval's arms as plotted, 0 where unknown),
        `x_value`, `x_low`, `x_high` (as measured), `x_n`; `size` (NaN where unknown or not asked for);
        `excluded`, why a model has no place on the front ("destroyed", "over-forgotten", or ""); `front`, True on the
        Pareto front of the other unlearned models, on which values beyond the retained model's count as its own
        (see `aims`).
    """
    names = pd.DataFrame({"code": range(len(models)), "model": list(models)})
    facts = frame[[name for name in FACTS if name in frame]].drop_duplicates("model")
    table = names.merge(facts, on="model")
    for letter, axis in (("x", x), ("y", y)):
        table = table.merge(_column(frame, axis, letter), on="model")
    sizes = (
        frame.loc[frame["key"] == size.key, ["model", "value"]] if size else frame.loc[[], ["model", "value"]]
    )
    table = table.merge(sizes.rename(columns={"value": "size"}), on="model", how="left")
    table["excluded"] = _excluded(table, x, y, destroyed)
    table["front"] = _front(table, x, y)
    return table


def retained_place(points: pd.DataFrame) -> int | None:
    """Row of the one retained model of the study's own; None where there is none, or several."""
    own = points["part"] == "retained"
    if "layer" in points and (points["layer"] == STUDY).any():
        own &= points["layer"] == STUDY
    places = np.flatnonzero(own.to_numpy())
    return int(places[0]) if len(places) == 1 else None


def aims(points: pd.DataFrame, x: Axis, y: Axis) -> tuple[float, float]:
    """The retained model's value on each axis that says how much was forgotten, beyond which nothing is gained.

    NaN on other axes, and where no one retained model is on the chart.
    """
    place = retained_place(points)
    found = [
        float(points[f"{letter}_value"].iloc[place])
        if place is not None and axis.forgets and axis.better in ("lower", "higher")
        else float("nan")
        for letter, axis in (("x", x), ("y", y))
    ]
    return found[0], found[1]


def points_table(points: pd.DataFrame, x: Axis, y: Axis, size: Axis | None) -> pd.DataFrame:
    """What is plotted, as measured with columns for people."""
    columns = {"Model": points["model"], "Method": points["method"], "Step": points["step"].astype("Int64")}
    for letter, axis in (("x", x), ("y", y)):
        columns |= {
            axis.name: points[f"{letter}_value"],
            f"{axis.name}, low": points[f"{letter}_low"],
            f"{axis.name}, high": points[f"{letter}_high"],
            f"{axis.name}, n": points[f"{letter}_n"],
        }
    if size is not None:
        columns.setdefault(size.name, points["size"])
    columns["On the front"] = points["front"]
    for title, name in EXTRAS.items():
        if name in points and (name != "excluded" or points[name].any()):
            columns[title] = points[name]
    return pd.DataFrame(columns)


def _column(frame: pd.DataFrame, axis: Axis, letter: str) -> pd.DataFrame:
    """Value and interval of one axis, one row per model."""
    rows = frame.loc[
        (frame["key"] == axis.key) & frame["value"].notna(), ["model", "value", "low", "high", "n"]
    ]
    value, low, high = rows["value"], rows["low"], rows["high"]
    plotted = value
    if axis.log:  # 0 has no place on a logarithmic axis
        edge = log_floor(value)
        plotted, low, high = value.clip(lower=edge), low.clip(lower=edge), high.clip(lower=edge)
    below, above = (plotted - low).clip(lower=0).fillna(0), (high - plotted).clip(lower=0).fillna(0)
    return pd.DataFrame(
        {
            "model": rows["model"],
            letter: plotted,
            f"{letter}_minus": below,
            f"{letter}_plus": above,
            f"{letter}_value": value,
            f"{letter}_low": rows["low"],
            f"{letter}_high": rows["high"],
            f"{letter}_n": rows["n"],
        }
    )


def _front(table: pd.DataFrame, x: Axis, y: Axis) -> pd.Series:
    """Which of the unlearned models that have a place on the front no other of them beats on both axes."""
    on_front = pd.Series(False, index=table.index)
    candidates = (table["part"] == "unlearned") & (table["excluded"] == "")
    if candidates.any():
        found = [
            counted(table.loc[candidates, f"{letter}_value"], axis.better, aim)
            for letter, axis, aim in zip("xy", (x, y), aims(table, x, y), strict=True)
        ]
        on_front[candidates] = pareto(np.stack(found, axis=-1), (x.better, y.better))
    return on_front


def _excluded(table: pd.DataFrame, x: Axis, y: Axis, destroyed: Collection[str]) -> pd.Series:
    """Why unlearned models have no place on the front; "" where they have."""
    why = pd.Series("", index=table.index)
    unlearned = table["part"] == "unlearned"
    for letter, axis, aim in zip("xy", (x, y), aims(table, x, y), strict=True):
        why[unlearned & beyond(table[f"{letter}_low"], table[f"{letter}_high"], axis.better, aim)] = OVER
    own = table["layer"] == STUDY if "layer" in table else True
    why[unlearned & own & table["model"].isin(list(destroyed))] = DESTROYED
    return why
