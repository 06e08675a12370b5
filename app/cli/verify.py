"""`unlearnboard verify`: whether the cache still gives the evidence and the numbers of a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_cache, check_cache
from app.cli.status import DAMAGED, OK
from app.cli.terminal import printable
from backends.errors import StudyError

if TYPE_CHECKING:
    from app.cli.options import Subparsers
    from backends.study import Study

KINDS = {"text": "language models", "image": "image models"}
SAME = "Same evidence, same numbers."


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard verify`."""
    parser = subparsers.add_parser(
        "verify",
        help="check a report against the cache",
        description="Says whether the cache gives the evidence and the numbers of a report, or names the models, probe "
        "sets and numbers that differ. Ends with status 1 where something does. No model is loaded.",
        allow_abbrev=False,
    )
    parser.add_argument("report", type=Path, metavar="REPORT.html", help="what `unlearnboard report` wrote")
    parser.add_argument(
        "study",
        type=Path,
        nargs="?",
        metavar="STUDY.toml",
        help="the study file (default: the study.toml beside the report or in this folder, else the demo's)",
    )
    add_cache(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Print what differs, a line each."""
    from dataclasses import replace

    from app.export.report import study_record
    from app.export.seal import read_report
    from app.shared.settings import open_cache
    from cache.analysis.evidence_record import differences
    from cache.analysis.scoreboard import scoreboard

    check_cache(options.cache)
    report = read_report(options.report.expanduser())
    study = _study(options, str(report.record["study"]), redacted=report.redacted)
    if study.modality != report.record["modality"]:
        raise StudyError(
            f"the report is on {KINDS.get(report.record['modality'], 'another kind')} and this study on "
            f"{KINDS[study.modality]}",
            where=str(study.path),
            how="Name the study file that the report was made from",
        )
    if study.modality == "text":  # a report may have been made under another protocol than the file names
        study = replace(study, protocol=report.record["protocol"])
    found = study_record(study, scoreboard(study, open_cache()), redact=report.redacted)
    wrong = [*report.faults, *differences(report.record, found)]
    for sentence in wrong:
        print(printable(f"{sentence[:1].upper()}{sentence[1:]}."))
    if not wrong:
        print(SAME)
    return DAMAGED if wrong else OK


def _study(options: argparse.Namespace, name: str, *, redacted: bool) -> Study:
    from app.export.redaction import Redaction
    from app.shared.settings import demo_studies
    from backends.study.file import read_study

    if options.study is not None:
        return read_study(options.study)
    beside = [options.report.expanduser().parent / "study.toml", Path("study.toml")]
    for path in [*(path for path in beside if path.is_file()), *demo_studies()]:
        study = read_study(path)
        if (Redaction(study).text(study.name) if redacted else study.name) == name:
            return study
    raise StudyError(
        f"the study file of {name!r} is not beside the report, nor in this folder",
        where=str(options.report),
        how=f"Name it: unlearnboard verify {options.report} STUDY.toml",
    )
