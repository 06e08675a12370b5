"""A trade-off curve as lines and shapes with coordinates, which the report's template draws as SVG.

No browser and no Plotly are needed, nothing in it is styled by the text of a name, and it prints sharp.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from app.charts.marks import over_forgotten
from app.charts.points import OVER, Axis, aims
from app.looks.model_looks import Look

WIDTH, HEIGHT = 680, 400
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 18, 52
HATCH = 9.0
"""Pixels between the lines that hatch a zone."""
RADIUS = 5.0
LONGEST_LABEL = 22
LETTER = 6.1
"""Pixels that a letter of a label is wide, on average."""
DASHES: Mapping[str, str] = {
    "solid": "",
    "dash": "7 4",
    "dot": "2 3",
    "dashdot": "7 3 2 3",
    "longdash": "11 4",
    "longdashdot": "11 3 2 3",
    "5px,2px": "5 2",
    "2px,2px": "2 2",
}
"""Plotly's dashes in SVG's words."""
SIDES: Mapping[str, tuple[int, float]] = {
    "square": (4, 45),
    "diamond": (4, 0),
    "triangle-up": (3, 0),
    "triangle-down": (3, 180),
    "hexagon": (6, 0),
    "pentagon": (5, 0),
}
"""Corners of a marker, and by how many degrees it is turned."""


class Tick(NamedTuple):
    """A mark on an axis: where, and what stands there."""

    at: float
    text: str


class Label(NamedTuple):
    """A name beside a point."""

    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """A model in the figure: shape, colour, ends of its intervals, in pixels."""

    name: str
    x: float
    y: float
    left: float
    right: float
    upper: float
    lower: float
    colour: str
    corners: str
    filled: bool
    label: Label | None


class Line(NamedTuple):
    """The trajectory of a method."""

    points: str
    colour: str
    dash: str


class Zone(NamedTuple):
    """What lies beyond the retained model on an axis: its outline, the lines that hatch it, and its name."""

    outline: str
    hatch: str
    label: Label


@dataclass(frozen=True, slots=True)
class Figure:
    """Everything that is drawn, in pixels."""

    x_title: str
    y_title: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[Line]
    points: Sequence[Point]
    zones: Sequence[Zone]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM

    @property
    def y_size(self) -> float:
        """Pixels of the letters of the vertical title, smaller where it is long."""
        return round(min(11.0, 11.0 * (self.bottom - self.top) / (0.53 * 11 * len(self.y_title))), 1)


def figure(
    points: pd.DataFrame, x: Axis, y: Axis, looks: Mapping[str, Look], labelled: Collection[str]
) -> Figure:
    """The figure of plotted points.

    Args:
        points: rows of `chart_points`.
        x, y: its axes.
        looks: of every model.
        labelled: models whose names stand beside their points, where there is room.
    """
    across, up = (_Scale(points, axis, letter) for axis, letter in ((x, "x"), (y, "y")))
    names = list(map(str, points["model"]))
    ends = {letter: _ends(points, letter) for letter in "xy"}
    at = np.column_stack([across.pixels(points["x"]), up.pixels(points["y"])])
    boxes = [(px - 7, py - 7, px + 7, py + 7) for px, py in at]
    order = sorted(range(len(names)), key=lambda place: names[place] not in labelled)
    labels: dict[int, Label] = {}
    for place in order:
        if names[place] in labelled and (found := _label(names[place], at[place], boxes)):
            labels[place] = found
    drawn = []
    for place, name in enumerate(names):
        look, row = looks[name], points.iloc[place]
        left, right = across.pixels(ends["x"][:, place])
        lower, upper = up.pixels(ends["y"][:, place])
        px, py = at[place]
        filled = bool(row["front"]) or row["part"] != "unlearned"
        shape = _corners(look.symbol, px, py)
        drawn.append(
            Point(name, px, py, left, right, upper, lower, look.light, shape, filled, labels.get(place))
        )
    zones = [
        _zone(zone, scale)
        for scale, aim in zip((across, up), aims(points, x, y), strict=True)
        if (zone := over_forgotten(scale.axis, aim, scale.span))
    ]
    return Figure(
        x.label,
        y.label,
        across.ticks(),
        up.ticks(),
        _lines(points, at, looks),
        [_rounded(p) for p in drawn],
        zones,
    )


class _Scale:
    """From values to pixels of one axis."""

    def __init__(self, points: pd.DataFrame, axis: Axis, letter: str) -> None:
        ends = self._log(_ends(points, letter)) if axis.log else _ends(points, letter)
        low, high = (0.0, 1.0) if axis.unit and not axis.log else (float(np.min(ends)), float(np.max(ends)))
        room = 0.03 * (high - low) or 0.5
        self._low, self._high = low - room, high + room
        self._inner = low, high
        self._is_log, self._reversed, self.letter, self.axis = axis.log, axis.reversed, letter, axis

    @property
    def span(self) -> tuple[float, float]:
        """The plotted range in the axis's own unit."""
        return self._low, self._high

    @staticmethod
    def _log(values: Any) -> Any:
        return np.log10(np.maximum(np.asarray(values, float), 1e-300))

    def pixels(self, values: Any) -> Any:
        return self.place(self._log(values) if self._is_log else np.asarray(values, float))

    def place(self, shown: Any) -> Any:
        """Pixels of places in the axis's own unit."""
        share = (shown - self._low) / (self._high - self._low)
        share = 1 - share if self._reversed else share
        if self.letter == "x":
            return LEFT + share * (WIDTH - LEFT - RIGHT)
        return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[Tick]:
        low, high = self._inner
        step = _step(high - low)
        at = [
            round(n * step, 12)
            for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        ]
        values = [10.0**value for value in at] if self._is_log else at
        places = self.pixels(np.asarray(values, float))
        return [Tick(round(float(p), 1), f"{value:g}") for p, value in zip(places, values, strict=True)]


def _zone(zone: tuple[float, float], scale: _Scale) -> Zone:
    """The zone between two places of an axis, over the whole of the other."""
    first, last = sorted(float(each) for each in scale.place(np.array(zone)))
    flat = scale.letter == "x"
    left, right, top, bottom = (
        (first, last, TOP, HEIGHT - BOTTOM) if flat else (LEFT, WIDTH - RIGHT, first, last)
    )
    lines = []
    for at in np.arange(HATCH, (right - left) + (bottom - top), HATCH):
        lower, upper = max(0.0, at - (bottom - top)), min(right - left, at)
        lines.append(f"M{left + lower:.1f} {top + at - lower:.1f}L{left + upper:.1f} {top + at - upper:.1f}")
    label = (
        Label(round(right, 1), TOP - 4, "end", OVER) if flat else Label(LEFT + 4, first + 12, "start", OVER)
    )
    outline = f"M{left:.1f} {top:.1f}H{right:.1f}V{bottom:.1f}H{left:.1f}Z"
    return Zone(outline, "".join(lines), label)


def _ends(points: pd.DataFrame, letter: str) -> Any:
    """Both ends of the intervals as plotted, shape (2, points)."""
    at = points[letter].to_numpy(float)
    return np.stack([at - points[f"{letter}_minus"], at + points[f"{letter}_plus"]])


def _step(width: float) -> float:
    """Distance of some five ticks: 1, 2 or 5 times a power of ten."""
    rough = (width or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= rough - 1e-12)


def _label(name: str, at: Any, boxes: list[tuple[float, float, float, float]]) -> Label | None:
    """A place beside the point where nothing is yet; takes it."""
    text = name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
    wide, (px, py) = LETTER * len(text), at
    tries = [
        (px + 9, py + 4, "start"),
        (px - 9, py + 4, "end"),
        (px, py - 10, "middle"),
        (px, py + 18, "middle"),
        (px + 8, py - 8, "start"),
        (px + 8, py + 16, "start"),
        (px - 8, py - 8, "end"),
        (px - 8, py + 16, "end"),
    ]
    for x, y, anchor in tries:
        start = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * wide
        box = (start, y - 10, start + wide, y + 2)
        inside = box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM
        # The point itself is the one box that a label may come near.
        others = [each for each in boxes if not (each[0] <= px <= each[2] and each[1] <= py <= each[3])]
        if inside and not any(_meet(box, each) for each in others):
            boxes.append(box)
            return Label(round(x, 1), round(y, 1), anchor, text)
    return None


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _lines(points: pd.DataFrame, at: Any, looks: Mapping[str, Look]) -> list[Line]:
    found = []
    rows = points.reset_index(drop=True)
    rows = rows[(rows["part"] == "unlearned") & (rows["method"] != "") & rows["step"].notna()]
    for _, several in rows.groupby(rows["line"] if "line" in rows else rows["method"], sort=False):
        ordered = several.sort_values("step")
        if len(ordered) > 1:
            look = looks[str(ordered["model"].iloc[0])]
            path = " ".join(f"{at[place][0]:.1f},{at[place][1]:.1f}" for place in ordered.index)
            found.append(Line(path, look.light, DASHES.get(look.dash, "")))
    return found


def _corners(symbol: str, x: float, y: float) -> str:
    """Corners of a marker as SVG takes them; "" is a circle."""
    if symbol == "star":
        turns = [(36.0 * n, RADIUS * (1.7 if n % 2 == 0 else 0.7)) for n in range(10)]
    elif symbol in ("cross", "x"):
        turned = 0.0 if symbol == "cross" else 45.0
        turns = [
            (turned + 90 * quarter + each, RADIUS * length)
            for quarter in range(4)
            for each, length in ((-18, 1.35), (18, 1.35), (45, 0.6))
        ]
    elif symbol in SIDES:
        count, turned_by = SIDES[symbol]
        turns = [(turned_by + 360 * n / count, RADIUS * 1.3) for n in range(count)]
    else:
        return ""
    return " ".join(
        f"{x + r * math.sin(math.radians(angle)):.1f},{y - r * math.cos(math.radians(angle)):.1f}"
        for angle, r in turns
    )


def _rounded(point: Point) -> Point:
    numbers = ("x", "y", "left", "right", "upper", "lower")
    rounded: dict[str, Any] = {name: round(float(getattr(point, name)), 1) for name in numbers}
    return replace(point, **rounded)
