"""`unlearnboard report`: the verdict on a study with all that it stands on, as one HTML page or PDF."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_cache, add_study, check_cache
from app.cli.status import OK
from app.cli.terminal import printable
from backends.errors import StoreError, StudyError

if TYPE_CHECKING:
    from app.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard report`."""
    parser = subparsers.add_parser(
        "report",
        help="write the verdict with all that it stands on, as one page to hand on",
        description="One self-contained file: what was to be forgotten and at whose request, models, data, protocol, "
        "verdict, curves, side effects, examples, what was not tested, and how to check it. No model is loaded.",
        allow_abbrev=False,
    )
    add_study(parser)
    parser.add_argument(
        "--to",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="an .html file, or a .pdf, beside which the HTML stays for `unlearnboard verify` (default: report.html)",
    )
    parser.add_argument(
        "--redact",
        action="store_true",
        help="hide what was to be forgotten, for readers who must not see it; its numbers stay",
    )
    parser.add_argument(
        "--attest",
        action="store_true",
        help="also write FILE.intoto.json, an in-toto statement on the weights that cosign and other signers take",
    )
    add_cache(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Write the files and print their names."""
    from app.export.attestation import statement
    from app.export.printing import print_pdf
    from app.export.report import study_report
    from app.shared.settings import open_cache
    from backends.study.file import read_study
    from cache.analysis.scoreboard import scoreboard

    check_cache(options.cache)
    to = options.to.expanduser()
    if to.suffix.lower() not in (".html", ".pdf"):
        raise StudyError("a report is an .html or a .pdf file", where=str(to), how="Name it so")
    study, store = read_study(options.study), open_cache()
    board = scoreboard(study, store)
    report = study_report(study, store, board, redact=options.redact)
    page = to.with_suffix(".html") if to.suffix.lower() == ".pdf" else to
    _write(page, report.page)
    print(printable(str(page)))
    if to != page:
        print_pdf(page, to)
        print(printable(str(to)))
    if options.attest:
        told = statement(study, report.record, page, to if to != page else None)
        attested = to.with_name(f"{to.name}.intoto.json")
        _write(attested, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
        print(printable(str(attested)))
    measured = set(board.frame["model"])
    if absent := [spec.name for spec in study.models if spec.name not in measured]:
        print(printable(f"No numbers, because not evaluated: {', '.join(absent)}"), file=sys.stderr)
    return OK


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    except OSError as error:
        raise StoreError(
            f"the report cannot be written ({error.strerror})", where=str(path), how="Choose another place"
        ) from error
