"""Importing other tools' results from the command line: what was taken in, what was not understood, what is there."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from app.terminal import printable
from backends.errors import StoreError
from cache.importers import Found, Imported, import_results
from cache.results import collections, remove_collection
from cache.store import Store

MOST_LINES = 40
USER_ERROR = 2


def import_paths(store: Store, paths: Sequence[Path], *, as_json: bool) -> int:
    """Read the files, say what happened; the status is 2 where a file could not be used."""
    live = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if live:
            print(f"\rReading {done} of {total} files ...", end="", file=sys.stderr, flush=True)

    found, changed = import_results(store, [path.expanduser() for path in paths], progress)
    if live:
        print(file=sys.stderr)
    if as_json:
        print(json.dumps(_described(found, changed), ensure_ascii=False))
    else:
        for line in lines(found, changed):
            print(printable(line))
    return USER_ERROR if found.problems or not found.results else 0


def list_collections(store: Store) -> int:
    """Print what was imported."""
    held = collections(store)
    for each in held:
        print(printable(f"{each.runs:6} runs  {each.name}  ({each.tool}, protocol {each.protocol})"))
    if not held:
        print("Nothing has been imported into this cache.")
    return 0


def remove(store: Store, name: str) -> int:
    """Forget the runs of a collection.

    Raises:
        StoreError: there is none of that name.
    """
    count = remove_collection(store, name)
    if not count:
        known = ", ".join(repr(each.name) for each in collections(store)) or "none"
        raise StoreError(f"no collection is named {name!r}", how=f"There are: {known}")
    print(f"{count} runs forgotten; import the files again to have them back.")
    return 0


def lines(found: Found, changed: Imported) -> list[str]:
    """What an import did, for people: runs by collection, then what was not understood."""
    counts: dict[str, int] = {}
    for result in found.results:
        counts[result.collection] = counts.get(result.collection, 0) + 1
    said = [f"{count:6} runs  {name}" for name, count in sorted(counts.items())]
    said.append(f"{changed.new} new, {changed.replaced} replaced, {changed.known} were known already.")
    said += _listed(found.problems, "files could not be used")
    said += _listed(found.left_out, "things were not understood and left out")
    return said


def _listed(items: Sequence[str], title: str) -> list[str]:
    if not items:
        return []
    more = [f"  and {len(items) - MOST_LINES} more (--json lists all)"] if len(items) > MOST_LINES else []
    return [f"{len(items)} {title}:", *(f"  {item}" for item in items[:MOST_LINES]), *more]


def _described(found: Found, changed: Imported) -> dict[str, object]:
    return {
        "runs": [
            {"collection": each.collection, "model": each.model, "source": each.source}
            for each in found.results
        ],
        "new": changed.new,
        "replaced": changed.replaced,
        "known": changed.known,
        "problems": found.problems,
        "left_out": found.left_out,
    }
