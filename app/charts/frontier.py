"""What the frontier says, with its uncertainty: areas by method, chances of being on it, distance to retained.

Pure functions over plotted points; the Trade-offs page and the exports draw what they return.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from app.charts.points import Axis, aims, retained_place
from backends.metrics.card import Direction
from cache.analysis.frontier import Floats
from cache.analysis.frontier_statistics import (
    Plane,
    distances,
    ellipse,
    front_chances,
    method_areas,
    plane,
)
from cache.analysis.over_forgotten import counted
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.study_board import STUDY


@dataclass(frozen=True, slots=True)
class Frontier:
    """The plotted points with what resamples say of them.

    Attributes:
        points: rows of `chart_points` with the columns chance, distance, distance_low, distance_high.
        drawn: shape (points, 1 + B, 2), as measured.
        counted: the same, with values beyond the retained model's (of the same resample) as its own.
        where: axes and reference point; None where an axis has no width. Its best corner is not beyond the retained
            model.
        units: shape (points, 2): probes or subjects that each point stands on, by axis; NaN if unknown.
        bounds: smallest and largest possible value on both axes.
    """

    points: pd.DataFrame
    drawn: Floats
    counted: Floats
    where: Plane | None
    units: Floats
    bounds: tuple[tuple[float, float | None], tuple[float, float | None]]

    def outlines(self) -> dict[str, Floats]:
        """95 % regions by model."""
        result = {
            str(model): ellipse(row, units=count, bounds=self.bounds)
            for model, row, count in zip(self.points["model"], self.drawn, self.units, strict=True)
        }
        return {model: outline for model, outline in result.items() if outline is not None}


def frontier(points: pd.DataFrame, board: Scoreboard, x: Axis, y: Axis) -> Frontier:
    """Chances and distances of the plotted points, as far as the study's own evidence gives them."""
    drawn, units = _drawn(points, board, x, y)
    directions = x.better, y.better
    values = points[["x_value", "y_value"]].to_numpy(float)
    retained, aim = retained_place(points), aims(points, x, y)
    where = None if x.log or y.log else _no_better(plane(values, directions, (x.bounds, y.bounds)), aim)
    as_counted = _counted(drawn, directions, aim, retained)
    points = points.copy()
    points["chance"] = np.nan
    candidates = ((points["part"] == "unlearned") & (points["excluded"] == "")).to_numpy()
    if candidates.any():
        points.loc[candidates, "chance"] = front_chances(as_counted[candidates], directions)
    if retained is not None and where is not None:
        away = distances(drawn, retained, where, units)
        points["distance"] = [each.value for each in away]
        points["distance_low"] = [each.interval.low for each in away]
        points["distance_high"] = [each.interval.high for each in away]
    return Frontier(points, drawn, as_counted, where, units, (x.bounds, y.bounds))


def _no_better(where: Plane | None, aim: tuple[float, float]) -> Plane | None:
    """The plane with the aim as its best corner, on the axes that have one."""
    if where is None:
        return None
    corner = [
        best if np.isnan(at) or at == worst else float(counted(best, way, at))
        for worst, best, way, at in zip(where.worst, where.best, where.directions, aim, strict=True)
    ]
    return replace(where, best=(corner[0], corner[1]))


def _counted(
    drawn: Floats, directions: Sequence[Direction], aim: tuple[float, float], retained: int | None
) -> Floats:
    """Resamples in which values beyond the retained model's of the same resample count as its own."""
    found = drawn.copy()
    if retained is None:
        return found
    for column, (way, at) in enumerate(zip(directions, aim, strict=True)):
        if not np.isnan(at):
            limits = drawn[retained, :, column]
            found[..., column] = counted(drawn[..., column], way, np.where(np.isnan(limits), at, limits))
    return found


def methods_table(frontier_data: Frontier) -> pd.DataFrame:
    """One row per method: checkpoints, area with interval, chance of the largest area, bend, nearest to retained."""
    points = frontier_data.points
    unlearned = points[points["part"] == "unlearned"]
    if frontier_data.where is None or not len(unlearned):
        return pd.DataFrame()
    labels = method_labels(unlearned)
    places = np.flatnonzero((points["part"] == "unlearned").to_numpy())
    drawn = frontier_data.counted[places]
    # What has no place on the front reaches no area.
    drawn[(unlearned["excluded"] != "").to_numpy()] = frontier_data.where.worst
    areas = method_areas(drawn, list(labels), frontier_data.where)
    rows = []
    for name, area in areas.items():
        held = unlearned[(labels == name).to_numpy()]
        near = (
            held.loc[held["distance"].idxmin()]
            if "distance" in held and held["distance"].notna().any()
            else None
        )
        rows.append(
            {
                "Method": name,
                "Checkpoints": len(held),
                "Hypervolume": area.hypervolume,
                "Hypervolume, low": area.interval.low,
                "Hypervolume, high": area.interval.high,
                "Probability of the largest hypervolume": area.chance,
                "Knee": ""
                if area.knee is None or not area.hypervolume
                else str(unlearned["model"].iloc[area.knee]),
                "Nearest to retained": "" if near is None else str(near["model"]),
                "Distance": np.nan if near is None else near["distance"],
                "Distance, low": np.nan if near is None else near["distance_low"],
                "Distance, high": np.nan if near is None else near["distance_high"],
            }
        )
    table = pd.DataFrame(rows).sort_values("Hypervolume", ascending=False, kind="stable", ignore_index=True)
    return table.drop(
        columns=[name for name in table if table[name].isna().all() or (table[name] == "").all()]
    )


def method_labels(points: pd.DataFrame) -> pd.Series:
    """What a point counts for: its method, its name without one, with its layer where there are several."""
    labels = points["method"].where(points["method"] != "", points["model"])
    if "layer" in points and points["layer"].nunique() > 1:
        labels = labels.where(points["layer"] == STUDY, labels + " · " + points["layer"])
    return labels


def _drawn(points: pd.DataFrame, board: Scoreboard, x: Axis, y: Axis) -> tuple[Floats, Floats]:
    """Resamples of both axes, and on how many probes they stand; runs of other layers have none."""
    own = points["layer"] == STUDY if "layer" in points else pd.Series(True, index=points.index)
    names: Sequence[str] = list(points.loc[own, "model"])
    columns = [board.drawn(names, axis.key) for axis in (x, y)]
    width = columns[0].shape[1] if len(names) else 1
    drawn = np.full((len(points), width, 2), np.nan)
    if len(names):
        drawn[own.to_numpy()] = np.stack(columns, axis=-1)
    drawn[:, 0] = points[["x_value", "y_value"]].to_numpy(float)
    units = np.full((len(points), 2), np.nan)
    units[own.to_numpy()] = np.stack([board.units(names, axis.key) for axis in (x, y)], axis=-1)
    return drawn, units
