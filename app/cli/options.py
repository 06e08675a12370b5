"""Options that several commands have, and how their values are read."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from backends.errors import StudyError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
    Options = argparse.ArgumentParser | argparse._ArgumentGroup


def add_study(parser: argparse.ArgumentParser) -> None:
    """Adds the study file that a command works on."""
    parser.add_argument("study", type=Path, metavar="STUDY.toml", help="the study file")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Adds --device."""
    parser.add_argument("--device", choices=["cpu", "cuda", "mps"], help="default: the fastest available")


def add_rehash(options: Options) -> None:
    """Adds --rehash."""
    options.add_argument(
        "--rehash",
        action="store_true",
        help="hash all weights again instead of trusting the time stamps of the files",
    )


def add_cache(options: Options) -> None:
    """Adds --cache."""
    options.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="folder for evidence and converted models (default: $UNLEARNBOARD_CACHE, else the platform's folder)",
    )


def check_cache(folder: Path | None) -> None:
    """For commands that only read: a new folder would have nothing to read, so that a name without one is a mistake.

    Raises:
        StudyError: there is no such folder.
    """
    if folder is not None and not folder.expanduser().is_dir():
        raise StudyError(
            f"there is no folder {str(folder)!r}",
            where="--cache",
            how="Name the one that `unlearnboard evaluate` wrote to, or leave it out",
        )


def use_cache(folder: Path | None) -> None:
    """Makes this folder the cache of this process and of the dashboard that it starts; None changes nothing."""
    if folder is not None:
        from app.shared.settings import CACHE_VARIABLE

        os.environ[CACHE_VARIABLE] = str(folder.expanduser().absolute())


def pair(text: str, option: str) -> tuple[str, str]:
    """Both sides of NAME=VALUE.

    Raises:
        StudyError: one of them is missing.
    """
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise StudyError(f"{text!r} is not NAME=VALUE", where=option, how=f"Write it as {option} style=...")
    return left, right
