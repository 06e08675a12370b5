"""Importing other tools' results from the command line: what was taken in, what was not understood, what is there."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from app.cli.terminal import printable
from backends.errors import StoreError
from cache.importers import Found, Imported, Said, grouped, import_results
from cache.importers.imported_runs import choose_reference, reference
from cache.store import Store
from cache.store.results import collections, remove_collection

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
        count = f"{each.runs:6} {_noun(each.runs, 'run')}"
        print(printable(f"{count}  {each.name}  ({each.tool}, protocol {each.protocol})"))
        found = reference(store, each.name)
        if found.run is not None:
            print(printable(f"             forget quality against {found.run.model} ({found.why})"))
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


def choose(store: Store, collection: str, model: str, *, quiet: bool = False) -> int:
    """Make a retained run the one that a collection's forget quality is measured against; "" takes it back.

    Args:
        store: keeps the runs.
        collection: whose runs are compared.
        model: name of the retained run, or its folder.
        quiet: say nothing, where JSON is printed.

    Raises:
        StoreError: there is no such collection or retained run.
    """
    choose_reference(store, collection, model)
    found = reference(store, collection)
    if quiet:
        return 0
    if found.run is None:
        print(printable(f"No retained run of {collection} has truth ratios, so there is no forget quality."))
    else:
        print(printable(f"Forget quality in {collection}: against {found.run.model} ({found.why})."))
    return 0


def lines(found: Found, changed: Imported) -> list[str]:
    """What an import did, for people: runs by collection, what must be known of them, what was not understood."""
    counts: dict[str, int] = {}
    for result in found.results:
        counts[result.collection] = counts.get(result.collection, 0) + 1
    said = [f"{count:6} {_noun(count, 'run')}  {name}" for name, count in sorted(counts.items())]
    said.append(f"{changed.new} new, {changed.replaced} replaced, {changed.known} were known already.")
    said += _listed(found.notes, "note")
    said += _listed(found.problems, "file could not be used", "files could not be used")
    said += _listed(found.left_out, "thing was not understood", "things were not understood and left out")
    return said


def _noun(count: int, one: str, more: str = "") -> str:
    return one if count == 1 else more or f"{one}s"


def _listed(items: Sequence[Said], one: str, many: str = "") -> list[str]:
    """A title with how many there are, then a line for each kind."""
    told = grouped(items)
    if not told:
        return []
    count = len(set(items))
    more = [f"  and {len(told) - MOST_LINES} more (--json lists all)"] if len(told) > MOST_LINES else []
    return [f"{count} {_noun(count, one, many)}:", *(f"  {item}" for item in told[:MOST_LINES]), *more]


def _described(found: Found, changed: Imported) -> dict[str, object]:
    return {
        "runs": [
            {"collection": each.collection, "model": each.model, "source": each.source}
            for each in found.results
        ],
        "new": changed.new,
        "replaced": changed.replaced,
        "known": changed.known,
        "problems": [str(each) for each in found.problems],
        "left_out": [str(each) for each in found.left_out],
        "notes": [str(each) for each in found.notes],
    }
