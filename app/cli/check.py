"""`unlearnboard check`: whether the unlearned models keep to the study's contract, for people and for pipelines."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_cache, add_study, check_cache
from app.cli.status import DAMAGED, OK, UNDECIDED
from app.cli.terminal import printable
from backends.errors import StoreError, StudyError

if TYPE_CHECKING:
    from app.cli.options import Subparsers
    from backends.study import Study
    from cache.analysis.contract import Kept

STATUS: dict[Kept, int] = {"holds": OK, "broken": DAMAGED, "undecided": UNDECIDED}
EXAMPLE = 'Add [contract] with forget.probability = "<= retained + 0.05"; docs/contract.md has more'


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard check`."""
    parser = subparsers.add_parser(
        "check",
        help="check that the unlearned models keep to the study's contract",
        description="Hold every unlearned model against the [contract] of the study, by the 95 % intervals of kept "
        "numbers; no model is loaded. Ends with 0 where every condition holds, 1 where one is broken or was not "
        "measured, 3 where one is undecided and none is broken, 2 for what cannot be read.",
        allow_abbrev=False,
    )
    add_study(parser)
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="check this model, unlearned or not, instead of all unlearned ones; may be given several times",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a Markdown table")
    form.add_argument("--github", action="store_true", help="also print annotations for GitHub Actions")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write JUnit XML")
    add_cache(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Print every condition with its outcome; the exit status says the outcome of all."""
    from app.cli import check_formats as formats
    from app.shared.settings import open_cache
    from backends.study.file import read_study
    from cache.analysis.contract import check_contract, outcome_of
    from cache.analysis.scoreboard import scoreboard

    check_cache(options.cache)
    study = read_study(options.study)
    if not study.contract:
        raise StudyError("this study has no contract", where=str(study.path), how=EXAMPLE)
    names = _models(study, options.model)
    board = scoreboard(study, open_cache())
    if board.frame.empty:
        raise StoreError(
            f"nothing of {study.name!r} is evaluated, so there is nothing to check",
            how=f"Run `unlearnboard evaluate {study.path}`",
        )
    checked = check_contract(study, board, names)
    if options.json:
        print(json.dumps(formats.as_json(study, checked), indent=1, allow_nan=False))
    elif options.markdown:
        print(formats.as_markdown(study, checked))
    else:
        for line in formats.as_table(study, checked):
            print(line)
    if options.github:
        for line in formats.as_annotations(study, checked):
            print(line)
    if options.junit is not None:
        _write(options.junit.expanduser(), formats.as_junit(study, checked))
    return STATUS[outcome_of(checked)]


def _models(study: Study, named: Sequence[str]) -> list[str]:
    """Those that were named, else all unlearned ones."""
    known = [spec.name for spec in study.models]
    for name in named:
        if name not in known:
            folded = {each.casefold(): each for each in reversed(known)}
            close = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=1)]
            how = f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(known)}"
            raise StudyError(f"the study has no model {name!r}", where="--model", how=how)
    names = list(dict.fromkeys(named)) or [spec.name for spec in study.models if spec.part == "unlearned"]
    if not names:
        raise StudyError(
            "this study has no unlearned model", where=str(study.path), how="Name one with --model"
        )
    return names


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StudyError(
            f"the file cannot be written ({error.strerror})", where=printable(str(path))
        ) from error
