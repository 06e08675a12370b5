"""Short names for charts and long lists: without what all of them have in common."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

MANY = 9
"""Names from which on a list drops what all begin with."""
LEAST_PREFIX = 6
"""Characters that are worth dropping."""
LONGEST = 22
"""Characters of a name on a chart."""


def common_prefix(names: Sequence[str]) -> str:
    """What every name of a long list begins with, up to the end of a word; "" where that is not worth dropping.

    The rest of no name is empty.
    """
    if len(names) < MANY:
        return ""
    first, last = min(names), max(names)  # what these two begin with, all in between do
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    start = "".join(sign for sign, _ in alike)
    end = max((start.rfind(sign) for sign in " -_/.:"), default=-1) + 1
    return start[:end] if end >= LEAST_PREFIX and all(len(name) > end for name in names) else ""


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names as they stand on a chart, by whole name: as they are, or the words that tell them apart.

    Names with equally many words lose the words that all share, and then those that are not needed to tell them apart;
    others lose the words that all begin or end with. What is still too long has dots in its middle.
    """
    whole = list(dict.fromkeys(names))
    if len(whole) < 2 or max(map(len, whole)) <= LONGEST:
        return {name: cut(name) for name in whole}
    words = [re.split(r"[ _/:]+", name) for name in whole]
    rows = _columns(words) if len({len(each) for each in words}) == 1 else _middles(words)
    shortened = [cut(" ".join(row)) or name for name, row in zip(whole, rows, strict=True)]
    return dict(zip(whole, _apart(shortened), strict=True))


def cut(name: str) -> str:
    """A name in at most LONGEST characters: its end tells checkpoints apart, so that is kept."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}…{name[-8:]}"


def _columns(words: Sequence[Sequence[str]]) -> list[list[str]]:
    """Of names with equally many words, those that differ, or where that is too long as few as tell all apart."""

    def told(places: Sequence[int]) -> list[list[str]]:
        return [[row[place] for place in sorted(places)] for row in words]

    def apart(places: Sequence[int]) -> int:
        return len(set(map(tuple, told(places))))

    differing = [place for place in range(len(words[0])) if apart([place]) > 1]
    if all(len(" ".join(row)) <= LONGEST for row in told(differing)):
        return told(differing)
    kept: list[int] = []
    while apart(kept) < apart(differing):
        kept.append(max(differing, key=lambda place: (apart([*kept, place]), -place)))
    return told(kept)


def _middles(words: Sequence[Sequence[str]]) -> list[list[str]]:
    """Names without the words that all begin with and those that all end with; none becomes empty."""
    least = min(map(len, words))
    start = next((n for n in range(least - 1) if len({row[n] for row in words}) > 1), least - 1)
    room = least - 1 - start
    end = next((n for n in range(room) if len({row[-1 - n] for row in words}) > 1), room)
    return [list(row[start : len(row) - end]) for row in words]


def _apart(names: Sequence[str]) -> list[str]:
    """The names, with a number where the dots have made two of them one."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name} ·{seen[name]}")
    return told
