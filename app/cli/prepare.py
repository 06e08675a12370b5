"""`unlearnboard prepare`: the demo's language model as a folder, and its recorded evidence in the cache."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_cache
from app.cli.status import OK
from backends.errors import StudyError

if TYPE_CHECKING:
    from app.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard prepare`."""
    parser = subparsers.add_parser(
        "prepare",
        help="convert the demo's language model in advance",
        description="Convert the demo's language model into the cache, and import its recorded answers.",
        allow_abbrev=False,
    )
    add_cache(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Make what the demo needs once: its base model as a folder, its recorded evidence in the cache."""
    from app.shared.settings import cache_folder, open_cache
    from backends.checkpoints.identity import resolve
    from backends.checkpoints.packages import package_file
    from backends.checkpoints.sources import PACKAGE, kind_of
    from backends.study.file import read_study
    from cache.analysis.scoreboard import scoreboard

    store = open_cache()
    studies = [read_study(path) for path in demo_files()]
    for study in studies:
        scoreboard(study, store)  # kept, so that the first look at Trade-offs need not wait
    print(f"The cache is {cache_folder()}.", flush=True)
    # Last: where its packages are missing, this says how to install them, and all else is done.
    packed = {spec.source for study in studies for spec in study.models if kind_of(spec.source) is PACKAGE}
    for source in sorted(packed):
        if package_file(source) is not None:
            print(f"Preparing {Path(source).stem} (once, less than a minute) ...", flush=True)
        started = time.monotonic()
        folder = resolve(source)
        print(f"  ready in {time.monotonic() - started:.0f} s: {folder}")
    return OK


def demo_files() -> list[Path]:
    """The demo's study files.

    Raises:
        StudyError: they were not built.
    """
    from app.shared.settings import demo_studies

    paths = demo_studies()
    if not paths:
        raise StudyError(
            "the demo is not in this checkout", how="Build it with `make demo-pack`, or name a study file"
        )
    return paths
