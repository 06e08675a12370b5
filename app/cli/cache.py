"""`unlearnboard cache`: take over another cache, look whether everything in one is whole."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_cache, add_study
from app.cli.status import DAMAGED, OK, USER_ERROR
from app.cli.terminal import CountLine, printable
from backends.errors import StoreError

if TYPE_CHECKING:
    from app.cli.options import Subparsers
    from cache.store import Store
    from cache.store.check import CacheCheck, CheckFindings
    from cache.store.merge import MergeResult

KINDS = {
    "evidence": ("piece of evidence", "pieces of evidence"),
    "pictures": ("picture", "pictures"),
    "runs": ("run", "runs"),
    "results": ("imported run", "imported runs"),
    "result_examples": ("imported run's examples", "imported runs' examples"),
    "features": ("vector of a network", "vectors of networks"),
    "memos": ("kept number", "kept numbers"),
    "contexts": ("setting of evidence", "settings of evidence"),
    "result_metrics": ("list of imported metrics", "lists of imported metrics"),
    "networks": ("network", "networks"),
}
"""Names of the kinds of rows, in the order in which they are listed."""
CAME = ("runs", "evidence", "pictures", "results", "features", "memos")
MENDED_BY = {
    "evidence": "`unlearnboard evaluate STUDY.toml` computes it again",
    "pictures": "`unlearnboard evaluate STUDY.toml` generates them again",
    "runs": "`unlearnboard evaluate STUDY.toml` writes them again",
    "results": "import the files again",
    "result_examples": "import the files again",
    "features": "`unlearnboard evaluate STUDY.toml` computes them again",
    "memos": "they are computed again when they are needed",
    "contexts": "`unlearnboard evaluate STUDY.toml` writes them again",
    "result_metrics": "import the files again",
    "networks": "`unlearnboard evaluate STUDY.toml` writes them again",
}


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard cache`."""
    parser = subparsers.add_parser(
        "cache",
        help="merge another cache, check the cache, pack a study into one file",
        description="All evidence and results are kept in a cache: one database, and pictures beside it.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(
        title="actions (each has a --help)", dest="action", metavar="ACTION", required=True
    )
    merge = actions.add_parser(
        "merge",
        help="import everything that another cache has and this one lacks",
        description="Import evidence, runs, numbers, notes, imported results and pictures of another cache, such "
        "as a colleague's. If both have different versions of the same thing, the newer one is kept. The "
        "other cache is only read, also where an older version wrote it; doing it again changes nothing. Exit status 2 "
        "where something in the other cache is damaged; everything else is taken over.",
        allow_abbrev=False,
    )
    merge.add_argument(
        "other", type=Path, metavar="OTHER", help="folder of a cache, its evidence.sqlite, or a packed study"
    )
    check = actions.add_parser(
        "check",
        help="check the cache for damage",
        description="Look whether every row, every piece of evidence and every picture in the cache is as it was "
        "written. What is damaged is marked, so that the next evaluation computes it again. Exit "
        "status 1 where something is damaged.",
        allow_abbrev=False,
    )
    pack = actions.add_parser(
        "pack",
        help="write a study with all its results into one file",
        description="Write a study, its probe files, and all evidence, runs, numbers, notes, imported results and "
        "pictures of it into one file. Weights and answers to your own prompts are not included. Recipients "
        "open it with `unlearnboard FILE`, or takes it over with `unlearnboard cache merge FILE`; no weights are "
        "needed. What was written is opened again and its numbers compared with the cache's; exit status 1 where one "
        "differs.",
        allow_abbrev=False,
    )
    add_study(pack)
    pack.add_argument("--to", type=Path, required=True, metavar="FILE", help="the file to write")
    for action in (merge, check, pack):
        add_cache(action)
    return parser


def run(options: argparse.Namespace) -> int:
    """Do the action."""
    return {"merge": _merge, "check": _check, "pack": _pack}[options.action](options)


@contextmanager
def _counting() -> Iterator[CountLine]:
    line = CountLine()
    try:
        yield line
    finally:
        line.close()


def _merge(options: argparse.Namespace) -> int:
    from app.shared.settings import open_cache
    from backends.files.archive import is_zip
    from cache.importers.imported_runs import choices, settle
    from cache.store.merge import merge
    from cache.store.other import database_of, opened

    store = open_cache()
    if is_zip(options.other.expanduser()):
        return _take(options.other.expanduser(), store)
    database = database_of(options.other.expanduser())
    if database.samefile(store.path):
        raise StoreError(
            "this is the cache itself",
            where=str(options.other),
            how="Name another, or choose this one with --cache",
        )
    with _counting() as line, opened(database, store.path.parent) as other:
        ours = choices(store)
        merged = merge(store, other.store, database.parent / "images", line.show)
        settle(store, ours, choices(other.store))
    for sentence in merged_lines(merged, str(options.other), other.unreadable):
        print(printable(sentence))
    return USER_ERROR if other.unreadable or any(merged.damaged.values()) else OK


def _take(path: Path, store: Store) -> int:
    from cache.importers.pack import open_pack

    with _counting() as line:
        taken = open_pack(path, store, line.show)
    for sentence in merged_lines(taken.merged, str(path)):
        print(printable(sentence))
    print("See it with:")
    print(f"  unlearnboard {shlex.quote(str(taken.study))}")
    return USER_ERROR if any(taken.merged.damaged.values()) else OK


def _pack(options: argparse.Namespace) -> int:
    from app.shared.settings import open_cache
    from backends.study.file import read_study
    from cache.exporters.pack import write_pack

    study, store = read_study(options.study), open_cache()
    target = options.to.expanduser().absolute()
    with _counting() as line:
        packed = write_pack(study, store, target, line.show)
    held = {
        "runs": packed.runs,
        "evidence": packed.evidence,
        "pictures": packed.pictures,
        "results": packed.imported,
    }
    told = [_counted(count, name) for name, count in held.items() if count]
    print(
        printable(
            f"{_listed(told)} of {len(study.models)} models are in {target} ({packed.size / 1e6:,.1f} MB)."
        )
    )
    print("Recipients open it with:")
    print(printable(f"  unlearnboard {shlex.quote(target.name)}"))
    if packed.differing:
        some = ", ".join(packed.differing[:5])
        print(printable(f"{len(packed.differing):,} numbers differ from the cache: {some}"), file=sys.stderr)
    return DAMAGED if packed.differing else OK


def merged_lines(merged: MergeResult, other: str, unreadable: Sequence[str] = ()) -> list[str]:
    """What taking over a cache did, in sentences."""
    came = {name: merged.pictures.new if name == "pictures" else merged.tables[name].taken for name in CAME}
    told = [_counted(count, name) for name, count in came.items() if count]
    lines = [f"{_listed(told)} came from {other}." if told else f"{other} has nothing new."]
    newer = sum(each.newer for each in merged.tables.values())
    older = sum(each.older for each in merged.tables.values())
    if newer or older:
        lines.append(
            f"{newer + older:,} entries differed, and the newer ones were kept: {newer:,} from there, "
            f"{older:,} from here."
        )
    mended = sum(each.mended for each in merged.tables.values())
    lines += [f"{mended:,} of them replaced damaged ones."] if mended else []
    damaged = [_counted(count, name) for name, count in merged.damaged.items() if count]
    lines += [f"Damaged in the other cache, and left out: {_listed(damaged)}."] if damaged else []
    lines += [f"Not recognised, and left out: {_listed(list(unreadable))}."] if unreadable else []
    return lines


def _check(options: argparse.Namespace) -> int:
    from app.shared.settings import cache_folder
    from cache.store import open_store
    from cache.store.check import check
    from cache.store.other import database_of

    store = open_store(database_of(cache_folder()))
    with _counting() as line:
        checked = check(store, line.show)
    for sentence in checked_lines(checked):
        print(printable(sentence))
    return OK if checked.is_whole else DAMAGED


def checked_lines(checked: CacheCheck) -> list[str]:
    """What looking through a cache found: one line per kind, then how what is damaged is mended."""
    lines = (
        [f"database: {len(checked.faults)} faults, such as: {checked.faults[0]}"] if checked.faults else []
    )
    result = {name: checked.kinds[name] for name in KINDS}
    lines += [
        _found_line(name, each) for name, each in result.items() if each.whole or _bad(each) or each.unused
    ]
    for name, what in (
        ("pictures", "unused pictures"),
        ("evidence", "older evidence that was replaced"),
    ):
        if result[name].unused:
            lines.append(
                f"{what}: {result[name].unused:,} ({result[name].unused_bytes / 1e6:,.1f} MB); they are harmless"
            )
    bad = [name for name, each in result.items() if _bad(each)]
    lines += [f"To restore {KINDS[name][1]}: {MENDED_BY[name]}." for name in bad]
    if checked.faults:
        lines.append(
            "To repair the database: move it away and import what can be read with `unlearnboard cache merge`."
        )
    return lines or ["The cache is empty."]


def _found_line(name: str, found: CheckFindings) -> str:
    said = [f"{found.whole:,} whole"]
    said += [f"{found.damaged:,} damaged"] if found.damaged else []
    said += [f"{found.missing:,} missing"] if found.missing else []
    return f"{KINDS[name][1]}: {', '.join(said)}"


def _bad(found: CheckFindings) -> int:
    return found.damaged + found.missing


def _counted(count: int, name: str) -> str:
    return f"{count:,} {KINDS[name][count != 1]}"


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
