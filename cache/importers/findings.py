"""What reading other tools' files gives: runs, and a line for everything that could not be understood.

Files are opened and numbers are checked by `backends.files.plain` alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backends.files.plain import NotPlain, number, parse_json, read_plain, storable
from backends.metrics import METRICS
from backends.metrics.foreign import foreign_card
from backends.metrics.key import MetricKey
from backends.metrics.privacy import auc
from cache.analysis.probe_draws import bounds_of
from cache.analysis.resampling import ANYTHING, Bounds, bootstrap_areas, bootstrap_interval, interval_of
from cache.store.results import ImportedRun, MetricNumber

__all__ = [
    "ImportFindings",
    "Remark",
    "UnreadableFile",
    "auc_of",
    "bounds_at",
    "iso_time",
    "mean_of",
    "number",
    "plain_settings",
    "read_object",
]

MOST_BYTES = 128 * 2**20
"""Of a result file, packed or unpacked; the largest that tools write are about 10 MB."""
LATEST = 253402300799.0
"""Seconds; the last moment that has a date of four digits."""
MOST_SETTINGS, MOST_SEEN, MOST_DEPTH, MOST_TEXT = 400, 4000, 8, 500


_DETAIL = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d.,]*")


class Remark(NamedTuple):
    """One thing that a person must know: of which file or folder, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class ImportFindings:
    """What an import found.

    Attributes:
        results: runs.
        problems: files that could not be used, and why.
        left_out: what was not recognised in files that could be.
        notes: what a reader of the numbers must know.
    """

    results: list[ImportedRun] = field(default_factory=list)
    problems: list[Remark] = field(default_factory=list)
    left_out: list[Remark] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)

    def add(self, other: ImportFindings) -> None:
        """Take over what another reader found."""
        self.results += other.results
        self.problems += other.problems
        self.left_out += other.left_out
        self.notes += other.notes

    def problem(self, where: object, what: str) -> None:
        """A file that could not be used."""
        self.problems.append(Remark(storable(str(where)), storable(what)))

    def leave_out(self, where: object, what: str) -> None:
        """Something that was not understood."""
        self.left_out.append(Remark(storable(str(where)), storable(what)))

    def note(self, where: object, what: str) -> None:
        """Something that a reader of the numbers must know."""
        self.notes.append(Remark(storable(str(where)), storable(what)))


class UnreadableFile(Exception):
    """A file that cannot be used; the message is one line for a person, without the file's name."""


def grouped(lines: Sequence[Remark]) -> list[str]:
    """Lines for people: those of the same kind become one, with a count and the first file.

    Of the same kind are those that differ in numbers and quoted texts only.
    """
    kinds: dict[str, list[Remark]] = {}
    for line in dict.fromkeys(lines):
        kinds.setdefault(_DETAIL.sub("#", line.what), []).append(line)
    said = []
    for held in kinds.values():
        first, places = held[0], {line.where for line in held}
        if len(places) == 1:
            said += [str(line) for line in held]
        elif all(line.what == first.what for line in held):
            said.append(f"{len(places)} files and folders: {first.what} (the first: {first.where})")
        else:
            said.append(
                f"{len(places)} files and folders, each with other numbers: {first.what} (the first: {first.where})"
            )
    return said


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names with commas; of many the first ones and how many more there are."""
    held = [name if len(name) <= 80 else f"{name[:77]}..." for name in names]
    more = f" and {len(held) - most:,} more" if len(held) > most else ""
    return ", ".join(held[:most]) + more


def read_text(path: Path) -> str:
    """The file as text, UTF-8 or with a byte order mark.

    Raises:
        Unreadable: no plain file, too large, not text.
    """
    try:
        content = read_plain(path, MOST_BYTES, MOST_BYTES)
    except NotPlain as error:
        raise UnreadableFile(str(error)) from error
    try:
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile("is not text in UTF-8") from error


def read_json(path: Path, findings: ImportFindings | None = None) -> Any:
    """The file's JSON; NaN and Infinity, which other tools write, are taken as such.

    Args:
        path: of the file.
        found: called for names that an object holds twice with different values; such names are left out.

    Raises:
        Unreadable: half a file, not JSON, not text, too large.
    """
    text = read_text(path)
    twice: dict[str, None] = {}

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held = dict(pairs)
        if len(held) < len(pairs):
            for name in {name for name, value in pairs if not _same(value, held[name])}:
                del held[name]
                twice[name] = None
        return held

    try:
        content = parse_json(text, once)
    except json.JSONDecodeError as error:
        raise UnreadableFile(_broken(text, error)) from error
    except NotPlain as error:
        raise UnreadableFile(str(error)) from error
    if twice and findings is not None:
        findings.leave_out(path, f"given twice with different values, so neither is used: {listed(twice)}")
    return content


def read_object(path: Path, findings: ImportFindings | None = None) -> dict[str, Any]:
    """The same, where it must be an object."""
    content = read_json(path, findings)
    if not isinstance(content, dict):
        kinds = {list: "a list", str: "a text", bool: "a flag", type(None): "nothing"}
        raise UnreadableFile(f"holds {kinds.get(type(content), 'a number')} where an object is expected")
    return content


def iso_time(seconds: object) -> str:
    """Seconds since 1970 as ISO 8601; "" for what is none (negative, beyond the year 9999)."""
    value = number(seconds)
    if math.isnan(value) or not 0 <= value <= LATEST:
        return ""
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")


def mean_of(values: Iterable[float], stated: float = math.nan, *, bounds: Bounds = ANYTHING) -> MetricNumber:
    """A metric from values of single examples, with the interval that such a mean of ours has.

    Args:
        values: of the examples, NaN left out.
        stated: the value that the file gives. The interval is only that of the mean where the two agree.
        bounds: where the values may lie.
    """
    sample = np.array([value for value in values if not math.isnan(value)], np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(sample.mean()) if len(sample) else math.nan
        if not math.isfinite(mean):
            mean = math.nan
        if not math.isnan(stated) and not _agree(stated, mean):
            return MetricNumber(stated, n=float(len(sample)) if len(sample) else math.nan)
        low, high = (
            bootstrap_interval(sample, bounds=bounds) if not math.isnan(mean) else (math.nan, math.nan)
        )
    return MetricNumber(mean if math.isnan(stated) else stated, low, high, float(len(sample)))


def auc_of(forget: Iterable[float], holdout: Iterable[float], stated: float) -> MetricNumber:
    """A membership AUC, with its interval from the scores of single examples.

    Args:
        forget: scores, NaN left out.
        holdout: scores, NaN left out.
        stated: the AUC that the file gives. The interval is only its own where the scores have the same AUC.
    """
    sides = [np.array([score for score in side if not math.isnan(score)]) for side in (forget, holdout)]
    told = auc(*sides)
    n = float(sum(map(len, sides))) or math.nan
    if math.isnan(told) or not _agree(stated, told):
        return MetricNumber(stated, n=n)
    low, high = interval_of(np.append(stated, bootstrap_areas(sides[0], sides[1])))
    return MetricNumber(stated, float(low), float(high), n)


def _agree(stated: float, ours: float) -> bool:
    return abs(stated - ours) <= 1e-6 * max(1.0, abs(stated))


def bounds_at(key: str) -> Bounds:
    """Where the values of a metric may lie, ours or another tool's, by its role/metric."""
    metric = MetricKey.parse(key).metric
    card = None if metric in METRICS else foreign_card(metric)
    return bounds_of(key) if card is None else (card.low, card.high)


def plain_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings that can be shown and compared: numbers, texts, flags; nested ones by dotted names.

    What is nested deeper than `MOST_DEPTH` or more than `MOST_SETTINGS` is left out: no tool writes that.
    """
    flat: dict[str, object] = {}
    _flatten(settings, "", flat, [0])
    return flat


def _flatten(
    settings: Mapping[str, object], before: str, flat: dict[str, object], seen: list[int], depth: int = 0
) -> None:
    """Fills `flat`; `seen` counts, since what is nested may be the same thing many times over."""
    for name, value in settings.items():
        seen[0] += 1
        if seen[0] > MOST_SEEN or len(flat) >= MOST_SETTINGS:
            return
        key = storable(f"{before}{name}")[:MOST_TEXT]
        if isinstance(value, Mapping):
            if depth < MOST_DEPTH:
                _flatten(value, f"{key}.", flat, seen, depth + 1)
        elif isinstance(value, list):
            if len(value) <= MOST_SETTINGS and all(isinstance(each, str | int | float) for each in value):
                flat[key] = storable(", ".join(map(_short, value)))[:MOST_TEXT]
        elif isinstance(value, str | int | float | bool):
            flat[key] = storable(value)[:MOST_TEXT] if isinstance(value, str) else value


def _short(value: object) -> str:
    return str(value)[:MOST_TEXT]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or (one != one and other != other)


def _broken(text: str, error: json.JSONDecodeError) -> str:
    rest = text.rstrip()
    if not rest or not rest.endswith(("}", "]")):
        return (
            "is truncated, like a file that was still being written"
            if rest[:1] in ("", "{", "[")
            else _no(error)
        )
    return _no(error)


def _no(error: json.JSONDecodeError) -> str:
    return f"is not JSON ({error.msg}, line {error.lineno}, column {error.colno})"
