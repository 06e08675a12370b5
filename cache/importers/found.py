"""What reading other tools' files gives: runs, and a line for everything that could not be understood."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cache.results import Number, Result
from cache.statistics import bootstrap_interval

MOST_BYTES = 512 * 2**20


@dataclass(slots=True)
class Found:
    """What an import found.

    Attributes:
        results: runs.
        problems: a line for each file that could not be used, and why.
        left_out: a line for what was not understood in files that could be.
    """

    results: list[Result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take over what another reader found."""
        self.results += other.results
        self.problems += other.problems
        self.left_out += other.left_out


class Unreadable(Exception):
    """A file that cannot be used; the message is one line for a person, without the file's name."""


def read_json(path: Path) -> Any:
    """The file's JSON; NaN and Infinity, which other tools write, are taken as such.

    Raises:
        Unreadable: half a file, not JSON, not text, too large.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unreadable(f"larger than {MOST_BYTES // 2**20} MB")
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        text = path.read_text(encoding="utf-8", errors="replace").rstrip()
        broken = not text or not text.endswith(("}", "]"))
        what = (
            "ends in the middle, as a file that was being written" if broken else f"is not JSON ({error.msg}"
        )
        raise Unreadable(what if broken else f"{what}, line {error.lineno})") from error
    except UnicodeDecodeError as error:
        raise Unreadable("is not text in UTF-8") from error
    except RecursionError as error:
        raise Unreadable("is nested too deeply") from error
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from error


def read_object(path: Path) -> dict[str, Any]:
    """The same, where it must be an object."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise Unreadable(f"holds a {type(found).__name__} where an object is expected")
    return found


def number(value: object) -> float:
    """A finite number, also from a string that is one; NaN where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        read = float(value)
    except ValueError:
        return math.nan
    return read if math.isfinite(read) else math.nan


def mean_of(values: Iterable[float], stated: float = math.nan) -> Number:
    """A metric from values of single examples, with a bootstrap interval.

    Args:
        values: of the examples, NaN left out.
        stated: the value that the file gives. The interval is only that of the mean where the two agree.
    """
    sample = np.array([value for value in values if not math.isnan(value)], np.float64)
    mean = float(sample.mean()) if len(sample) else math.nan
    if not math.isnan(stated) and not (abs(stated - mean) <= 1e-6 * max(1.0, abs(stated))):
        return Number(stated, n=float(len(sample)) if len(sample) else math.nan)
    low, high = bootstrap_interval(sample)
    return Number(mean if math.isnan(stated) else stated, low, high, float(len(sample)))


def plain_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings that can be shown and compared: numbers, texts, flags; nested ones by dotted names."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": each for inner, each in plain_settings(value).items()}
        elif isinstance(value, str | int | float | bool):
            flat[str(name)] = value
        elif isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
            flat[str(name)] = ", ".join(map(str, value))
    return flat
