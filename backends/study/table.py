"""One TOML table of a study file with its place: values of a stated type, and errors that name line and key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from backends.checkpoints.sources import located
from backends.errors import StudyError
from backends.study.lines import line_of

LARGEST = 2**63 - 1
"""What 64 bits hold: generators take no larger seed."""

KINDS: Mapping[type, str] = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    bool: "true or false",
}


@dataclass(frozen=True, slots=True)
class Range:
    """Which numbers a key takes: from `low` to `high`, both included unless `above` leaves `low` out."""

    kind: type
    low: float
    high: float
    above: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether the number is in the range; NaN never is."""
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        """The range in words, "a whole number from 1 to 4096"."""
        low, high = (_number(bound) for bound in (self.low, self.high))
        return (
            f"{KINDS[self.kind]} above {low}, at most {high}"
            if self.above
            else f"{KINDS[self.kind]} from {low} to {high}"
        )


@dataclass(frozen=True, slots=True)
class Table:
    """One TOML table with its place in the file: reads values of a stated type, names line and key where it cannot."""

    values: Mapping[str, Any]
    place: tuple[str | int, ...]
    text: str
    path: Path

    def where(self, key: str = "") -> str:
        """File, line and key, for messages."""
        return f"{self.path}, line {self.line(key)}" + (f", key `{key}`" if key else "")

    def line(self, key: str = "") -> int:
        """Line of the key, from 1, or of the table's header."""
        return line_of(self.text, self.place, key)

    def only(self, known: Sequence[str], what: str) -> None:
        """Raises StudyError at the first key that is not known."""
        for key in self.values:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                how = f"Did you mean `{close[0]}`?" if close else f"Known are: {', '.join(known)}"
                raise StudyError(f"a {what} has no such key", where=self.where(key), how=how)

    def need(self, key: str) -> str:
        """Text that must be there and hold something."""
        value = self.get(key, str, None)
        if value is None:
            raise StudyError(f"the key `{key}` is missing", where=self.where(), how=f'Add {key} = "..."')
        if not value.strip():
            raise StudyError("this is empty", where=self.where(key), how="Write something")
        return cast(str, value)

    def get(self, key: str, kind: type, default: Any) -> Any:
        """A value of that type, or the default where the key is missing."""
        value = self.values.get(key, default)
        if value is default and key not in self.values:
            return default
        right = isinstance(value, (int, float) if kind is float else kind) and not (
            isinstance(value, bool) and kind is not bool
        )
        if not right:
            raise StudyError(f"{KINDS[kind]} was expected, not {shown(value)}", where=self.where(key))
        try:
            return float(value) if kind is float else value
        except OverflowError:
            raise StudyError(f"{shown(value)} is too large", where=self.where(key)) from None

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of some words."""
        value = self.need(key)
        if value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            meant = f"Did you mean `{close[0]}`?" if close else ""
            raise StudyError(
                f"this must be {_either(choices)}, not {shown(value)}", where=self.where(key), how=meant
            )
        return value

    def number(self, key: str, allowed: Range, default: Any) -> Any:
        """A number of that range, or the default."""
        value = self.get(key, allowed.kind, default)
        if key in self.values and value not in allowed:
            raise StudyError(f"{allowed} was expected, not {shown(value)}", where=self.where(key))
        return value

    def seeds(self, default: tuple[int, ...]) -> tuple[int, ...]:
        """Different whole numbers under `seeds`."""
        value = self.values.get("seeds", list(default))
        good = (
            isinstance(value, list)
            and value
            and all(type(seed) is int and 0 <= seed <= LARGEST for seed in value)
        )
        if not good or len(set(value)) < len(value):
            wanted = "a list of different whole numbers from 0 to 2^63 - 1, such as [1, 2, 3]"
            raise StudyError(f"{wanted}, was expected, not {shown(value)}", where=self.where("seeds"))
        return tuple(value)

    def table(self, key: str) -> Table:
        """A table inside this one, empty where it is missing."""
        return Table(self.get(key, dict, {}), (*self.place, key), self.text, self.path)

    def tables(self, key: str) -> list[Table]:
        """The [[key]] tables inside this one."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise StudyError(f"[[{key}]] tables were expected, not {shown(value)}", where=self.where(key))
        return [Table(item, (*self.place, key, n), self.text, self.path) for n, item in enumerate(value)]

    def local(self, key: str) -> str:
        """A path of this table, made absolute."""
        return str(_absolute(self.need(key), self.path.parent))

    def source(self, key: str) -> str:
        """A folder made absolute, or a hub id or package file as it stands."""
        return located(self.need(key), self.path.parent)


def _number(bound: float) -> str:
    return "2^63 - 1" if bound == LARGEST else f"{bound:g}"


def _absolute(value: str, folder: Path) -> Path:
    return (folder / Path(value).expanduser()).absolute()


def shown(value: object) -> str:
    """A value as TOML writes it, on one line, cut where it is long."""
    try:
        text = _toml(value)
    except ValueError:  # hexadecimal numbers may be of any length, but are not written out in decimal
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value).replace("'", '"')
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return (
            f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}" if value else "{}"
        )
    return str(value)


def _either(choices: Sequence[str]) -> str:
    return ", ".join(choices[:-1]) + " or " + choices[-1]
