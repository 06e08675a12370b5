"""`unlearnboard export`: what a study measured, into a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_cache, add_study
from app.cli.status import OK
from app.cli.terminal import printable

if TYPE_CHECKING:
    from app.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard export`."""
    parser = subparsers.add_parser(
        "export",
        help="write figures, tables and the report",
        description="Export a study's results into a folder: the report (see `unlearnboard report`), tables "
        "(CSV, JSON, LaTeX, Markdown), figures (HTML, and PNG, SVG, PDF where Chrome or Chromium is on this machine), "
        "and runs in open-unlearning's format. No model is loaded.",
        allow_abbrev=False,
    )
    add_study(parser)
    parser.add_argument(
        "--to", type=Path, default=Path("unlearnboard-export"), metavar="FOLDER", help="where to"
    )
    parser.add_argument("--no-figures", action="store_true", help="no PNG, SVG and PDF; HTML figures only")
    add_cache(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Write the files and print their names."""
    from app.charts.paper import why_no_pictures
    from app.export.study_folder import export_study
    from app.shared.settings import open_cache
    from backends.study.file import read_study
    from cache.analysis.scoreboard import scoreboard

    study, store = read_study(options.study), open_cache()
    for file in export_study(study, store, options.to.expanduser(), figures=not options.no_figures):
        print(printable(str(file)))
    if not options.no_figures and (why := why_no_pictures()):
        print(printable(f"{why} Everything else is written."), file=sys.stderr)
    measured = set(scoreboard(study, store).frame["model"])
    if absent := [spec.name for spec in study.models if spec.name not in measured]:
        print(printable(f"No numbers, because not evaluated: {', '.join(absent)}"), file=sys.stderr)
    return OK
