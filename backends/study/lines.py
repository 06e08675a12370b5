"""Which line of a TOML file a key stands on; `tomllib` does not say.

A line scanner that knows headers, keys, comments and multi-line values well enough to point a person to the place. It
reads only files that `tomllib` has accepted, and falls back to the header's line, then to line 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
NAME = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
KEY = re.compile(rf"^\s*({NAME}(?:\s*\.\s*{NAME})*)\s*=(.*)$")
QUOTES = ('"""', "'''")


def line_of(text: str, place: Sequence[str | int], key: str = "") -> int:
    """Line number, from 1, of a key in the table at `place`, or of the table's header where the key is empty.

    Args:
        text: the whole file.
        place: names from the top, with the index after the name of an array of tables: ("models", 2).
        key: a key of that table, or "".
    """
    table, found = 0, 0
    for number, here, name in _keys(text):
        if list(here) == list(place):
            if name is None:
                table = number
            elif name == key:
                found = found or number
        elif list(here) == [*place, key] and name is None:
            found = found or number  # [key] as a table of its own
        elif len(here) == len(place) + 2 and list(here[:-1]) == [*place, key] and name is None:
            found = found or number  # [[key]]
    if not found and not table and place and isinstance(place[-1], str):
        return line_of(text, place[:-1], place[-1])  # a table in braces, on the line of its key
    return found or table or 1


def _keys(text: str) -> Iterator[tuple[int, tuple[str | int, ...], str | None]]:
    """(line, table, key) for every key, and (line, table, None) for every header."""
    here: tuple[str | int, ...] = ()
    counts: dict[str, int] = {}
    until, depth = "", 0  # the quotes that end an open multi-line string; brackets of an open array
    for number, line in enumerate(text.splitlines(), start=1):
        if until:
            until = "" if until in line else until
            continue
        if depth > 0:
            depth += _brackets(line)
            continue
        if header := HEADER.match(line):
            name = header[2].strip().strip("\"'")
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                here = (name, counts[name])
            else:
                here = tuple(part.strip().strip("\"'") for part in name.split("."))
            yield number, here, None
        elif assignment := KEY.match(line):
            table = here
            for name in re.findall(NAME, assignment[1]):  # in a.b = 1, a is a key, and b one of the table a
                yield number, table, name.strip("\"'")
                table = (*table, name.strip("\"'"))
            value = assignment[2]
            until = next((quote for quote in QUOTES if value.count(quote) == 1), "")
            depth = 0 if until else _brackets(value)


def _brackets(line: str) -> int:
    """Opening minus closing square brackets outside of quotes and comments."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*', "", line)
    return bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
