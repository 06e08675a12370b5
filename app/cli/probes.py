"""`unlearnboard probes`: how a file of probes will be read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.status import OK, USER_ERROR
from app.cli.terminal import printable
from backends.errors import StudyError
from backends.study import ROLES, Reading

if TYPE_CHECKING:
    from app.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard probes`."""
    parser = subparsers.add_parser(
        "probes",
        help="show how a probe file is read: what each column becomes, and rows that cannot be used",
        description="Show how a probe file will be read, before anything runs: what each column becomes, the first "
        "probe, and every row that cannot be used. The exit status is 2 if there are such rows.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="JSONL, JSON, CSV, TSV, Parquet or Arrow, also .gz, .xz, .zst, .bz2; or hf://owner/name/file",
    )
    parser.add_argument(
        "--columns",
        metavar="YOURS=OURS",
        nargs="+",
        help="what your columns are: q=prompt a=answer; yours= leaves one out (in a study: columns = {...})",
    )
    parser.add_argument("--role", choices=ROLES, default="forget", help="default: %(default)s")
    parser.add_argument(
        "--modality",
        choices=["text", "image"],
        help="kind of the models; default: inferred from the columns",
    )
    parser.add_argument("--encoding", default="", help="encoding of a non-Unicode file, such as cp1252")
    parser.add_argument("--split", default="", help="which of several splits in one file")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    return parser


def run(options: argparse.Namespace) -> int:
    """Print how the file is read; the status says whether all of its rows can be used."""
    from app.shared import probe_listing
    from backends.probes.reading import inspect_probes
    from backends.probes.sources import is_on_hub, probe_file

    reading = Reading(columns(options), encoding=options.encoding, split=options.split)
    path = probe_file(options.file) if is_on_hub(options.file) else Path(options.file).expanduser().absolute()
    pictures = None if options.modality is None else options.modality == "image"
    found = inspect_probes(path, options.role, reading, pictures=pictures)
    for line in [probe_listing.as_json(found)] if options.json else probe_listing.lines(found):
        print(line if options.json else printable(line))
    return USER_ERROR if found.problems else OK


def columns(options: argparse.Namespace) -> dict[str, str]:
    """What was given with --columns; an empty right side leaves the column out."""
    result: dict[str, str] = {}
    for text in options.columns or []:
        theirs, equals, ours = text.partition("=")
        if not (theirs and equals):
            raise StudyError(f"{text!r} is not YOURS=OURS", where="--columns", how="Write it as q=prompt")
        result[theirs] = ours
    return result
