"""`unlearnboard import`: results of other tools, what was understood of them, and what is there."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_cache
from app.cli.status import OK, USER_ERROR
from app.cli.terminal import printable
from backends.errors import StoreError, StudyError

if TYPE_CHECKING:
    from app.cli.options import Subparsers
    from cache.importers import ImportChanges, ImportFindings, Remark
    from cache.store import Store

MOST_LINES = 40


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard import`."""
    parser = subparsers.add_parser(
        "import",
        help="import results of other tools as runs for the Trade-offs page",
        description="Import results of other tools as runs for the Trade-offs page: open-unlearning files and "
        "whole `saves` folders, TOFU 2024, NPO and SimNPO, MUSE CSV, RWKU, Unlearning Depth Score, "
        "lm-evaluation-harness, UnlearnCanvas, UnlearnDiffAtk, eval-unlearn, CSV tables. No model is needed. What is "
        "not recognised is listed; importing again changes nothing. The exit status is 2 if a file could not be used.",
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders")
    parser.add_argument("--list", action="store_true", help="list what was imported")
    parser.add_argument("--remove", metavar="COLLECTION", help="remove the runs of a collection")
    parser.add_argument(
        "--reference",
        nargs=2,
        metavar=("COLLECTION", "RUN"),
        help='the retained run that forget quality of a collection is measured against; "" resets the choice',
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of text")
    add_cache(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Take in results of other tools, list them, or forget some."""
    from app.shared.settings import open_cache

    if options.remove:
        return remove(open_cache(), options.remove)
    if options.list:
        return list_collections(open_cache())
    if options.reference and not options.paths:
        return choose(open_cache(), *options.reference)
    if not options.paths:
        raise StudyError(
            "no files or folders to import were named",
            how="Name files or folders, or use --list to see what was imported",
        )
    status = import_paths(open_cache(), options.paths, as_json=options.json)
    if options.reference:
        choose(open_cache(), *options.reference, quiet=options.json)
    return status


def import_paths(store: Store, paths: Sequence[Path], *, as_json: bool) -> int:
    """Read the files, say what happened; the status is 2 where a file could not be used."""
    from cache.importers import import_results

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
    from cache.importers.imported_runs import reference
    from cache.store.results import collections

    held = collections(store)
    for each in held:
        count = f"{each.runs:6} {_noun(each.runs, 'run')}"
        print(printable(f"{count}  {each.name}  ({each.tool}, protocol {each.protocol})"))
        reference_run = reference(store, each.name)
        if reference_run.run is not None:
            print(
                printable(
                    f"             forget quality against {reference_run.run.model} ({reference_run.why})"
                )
            )
    if not held:
        print("Nothing has been imported into this cache.")
    return OK


def remove(store: Store, name: str) -> int:
    """Forget the runs of a collection.

    Raises:
        StoreError: there is none of that name.
    """
    from cache.store.results import collections, remove_collection

    count = remove_collection(store, name)
    if not count:
        known = ", ".join(repr(each.name) for each in collections(store)) or "none"
        raise StoreError(f"no collection is named {name!r}", how=f"Available: {known}")
    print(f"{count} runs removed. Import the files again to restore them.")
    return OK


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
    from cache.importers.imported_runs import choose_reference, reference

    choose_reference(store, collection, model)
    reference_run = reference(store, collection)
    if quiet:
        return OK
    if reference_run.run is None:
        print(printable(f"No retained run of {collection} has truth ratios, so there is no forget quality."))
    else:
        print(
            printable(
                f"Forget quality in {collection}: against {reference_run.run.model} ({reference_run.why})."
            )
        )
    return OK


def lines(findings: ImportFindings, changed: ImportChanges) -> list[str]:
    """What an import did, for people: runs by collection, notes on them, what was not recognised."""
    counts: dict[str, int] = {}
    for result in findings.results:
        counts[result.collection] = counts.get(result.collection, 0) + 1
    said = [f"{count:6} {_noun(count, 'run')}  {name}" for name, count in sorted(counts.items())]
    said.append(f"{changed.new} new, {changed.replaced} replaced, {changed.known} already imported.")
    said += _listed(findings.notes, "note")
    said += _listed(findings.problems, "file could not be used", "files could not be used")
    said += _listed(
        findings.left_out, "entry was not recognised and left out", "entries were not recognised and left out"
    )
    return said


def _noun(count: int, one: str, more: str = "") -> str:
    return one if count == 1 else more or f"{one}s"


def _listed(items: Sequence[Remark], one: str, many: str = "") -> list[str]:
    """A title with how many there are, then a line for each kind."""
    from cache.importers import grouped

    told = grouped(items)
    if not told:
        return []
    count = len(set(items))
    more = [f"  and {len(told) - MOST_LINES} more (--json lists all)"] if len(told) > MOST_LINES else []
    return [f"{count} {_noun(count, one, many)}:", *(f"  {item}" for item in told[:MOST_LINES]), *more]


def _described(findings: ImportFindings, changed: ImportChanges) -> dict[str, object]:
    return {
        "runs": [
            {"collection": each.collection, "model": each.model, "source": each.source}
            for each in findings.results
        ],
        "new": changed.new,
        "replaced": changed.replaced,
        "known": changed.known,
        "problems": [str(each) for each in findings.problems],
        "left_out": [str(each) for each in findings.left_out],
        "notes": [str(each) for each in findings.notes],
    }
