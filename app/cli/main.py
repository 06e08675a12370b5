"""The command line: which commands there are, and what every one of them does about errors, pipes and Ctrl-C.

Each command is a module with its options (`add_parser`) and its work (`run`); what a command alone needs, torch
above all, is imported inside its `run`. Without a command the dashboard opens (`show`).
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.cli import (
    attack,
    cache,
    check,
    evaluate,
    export,
    import_results,
    metrics,
    models,
    prepare,
    probes,
    report,
    show,
    unlearn,
    verify,
)
from app.cli.options import use_cache
from app.cli.status import BROKEN_PIPE, INTERRUPTED, USER_ERROR
from app.cli.terminal import printable
from backends.errors import BoardError, Cancelled, StudyError
from backends.extras import missing_packages_named

if TYPE_CHECKING:
    from app.cli.options import Subparsers


class Command(Protocol):
    """A module of the command line."""

    def add_parser(self, subparsers: Subparsers) -> argparse.ArgumentParser:
        """Adds the command's options and help."""

    def run(self, options: argparse.Namespace) -> int:
        """Does the work; returns the exit status.

        Raises:
            BoardError: what is wrong and can be mended, in one sentence.
            Cancelled: Ctrl-C stopped it; what was done is kept.
        """


COMMANDS: Mapping[str, Command] = {
    "show": show,
    "evaluate": evaluate,
    "models": models,
    "attack": attack,
    "check": check,
    "metrics": metrics,
    "probes": probes,
    "import": import_results,
    "report": report,
    "verify": verify,
    "export": export,
    "unlearn": unlearn,
    "prepare": prepare,
    "cache": cache,
}
DEFAULT = "show"


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    try:
        options = parse(arguments)
        use_cache(options.cache)
        if options.rehash:
            from backends.files.remembered import forget_all

            forget_all()
        with missing_packages_named():
            return COMMANDS[options.command].run(options)
    except BoardError as error:
        print(f"unlearnboard: {printable(str(error))}", file=sys.stderr)
        for sentence in getattr(error, "each", ()):
            print(f"  {printable(sentence)}", file=sys.stderr)
        return USER_ERROR
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (Cancelled, KeyboardInterrupt):
        print("Stopped. Finished work is kept; run the same command again to resume.", file=sys.stderr)
        return INTERRUPTED


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the command that is meant, whose name is in `command`.

    Raises:
        StudyError: a command stands where a study file is expected, or is misspelt.
        SystemExit: as argparse does it, after --help, --version and options that do not fit.
    """
    parser = root_parser()
    if arguments and arguments[0] in COMMANDS:
        return parser.parse_args(arguments)
    own, streamlit = show.without_streamlit_flags(arguments)
    if {"-h", "--help"} & set(own):
        parser.parse_args(["--help"])
    options = parser.parse_args([DEFAULT, *own])
    options.streamlit = streamlit
    _check_no_command_is_meant(options.study)
    return options


def root_parser() -> argparse.ArgumentParser:
    """Parser of `unlearnboard COMMAND ...`, whose help also shows the options of opening the dashboard."""
    parser = argparse.ArgumentParser(
        prog="unlearnboard",
        usage=show.USAGE + "\n       unlearnboard COMMAND ...",
        description=show.ABOUT,
        epilog=show.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(
        title="commands (each has a --help)", dest="command", metavar="COMMAND", prog="unlearnboard"
    )
    for command in COMMANDS.values():
        command.add_parser(subparsers)
    parser.add_argument_group("study files", "STUDY.toml ..., or packed studies; none opens the demo")
    show.add_options(parser)  # `parse` hands them to `show`: they are here for --help
    return parser


def _check_no_command_is_meant(given: Sequence[str]) -> None:
    """Raises StudyError where a word that would be looked for as a study file is a command, or a misspelt one."""
    for word in given:
        if word in COMMANDS:
            raise StudyError(
                f"{word!r} is a command, and a command comes first",
                how=f"Write `unlearnboard {word} ...`, or ./{word} for a study file of that name",
            )
    first = given[0] if given else ""
    close = difflib.get_close_matches(first, COMMANDS, n=1)
    if close and not Path(first).exists():
        raise StudyError(
            f"there is no command or file {first!r}", how=f"Did you mean `unlearnboard {close[0]}`?"
        )
