"""`unlearnboard unlearn`: unlearned versions of a study's original, by one method or a grid of settings."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.options import add_device, pair
from app.cli.terminal import ctrl_c_flag, printable
from backends.errors import StudyError
from backends.study import Modality, ModelSpec

if TYPE_CHECKING:
    from app.cli.options import Subparsers
    from app.shared.unlearning import UnlearningRequest
    from backends.unlearning.run_files import RunProgress


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Adds the options of `unlearnboard unlearn`."""
    parser = subparsers.add_parser(
        "unlearn",
        help="make unlearned versions of a study's original",
        description="Unlearn the forget probes of a study with one method. Checkpoints are saved as the smallest "
        "change of the weights, each with its recipe; a study file with the new models is written "
        "beside them. Seeded: the same command gives the same weights on the same machine. Ctrl-C "
        "stops it; the same command resumes.",
        allow_abbrev=False,
    )
    parser.add_argument("study", type=Path, nargs="?", metavar="STUDY.toml", help="the study file")
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="name of a method, or a Python file that defines one; --list shows them",
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="lr=1e-4 steps=60 beta=0.1 ..."
    )
    parser.add_argument(
        "--grid",
        nargs="+",
        default=[],
        metavar="NAME=A,B",
        help="one run for each combination: lr=1e-4,3e-4 beta=.1,.5",
    )
    parser.add_argument(
        "--checkpoints", type=int, default=5, metavar="N", help="how many checkpoints are saved (default: 5)"
    )
    parser.add_argument(
        "--retain", type=Path, metavar="FILE", help="retain rows, in place of the study's retain probes"
    )
    parser.add_argument(
        "--anchor",
        metavar="CONCEPT",
        help="anchor concept that replaces the forgotten one (image models; default: a retained concept)",
    )
    parser.add_argument("--to", type=Path, default=Path("unlearned"), metavar="FOLDER", help="where to")
    add_device(parser)
    parser.add_argument("--list", action="store_true", help="list the methods, or the settings of --method")
    return parser


def run(options: argparse.Namespace) -> int:
    """Train unlearned versions of a study's original, or list the methods."""
    from app.shared.unlearning import UnlearningRequest, grid

    if options.list:
        for line in setting_lines(options.method) if options.method else listing():
            print(line)
        return 0
    if options.study is None or options.method is None:
        raise StudyError("a study file and --method are needed", how="--list shows the methods")
    if not 1 <= options.checkpoints <= 100:
        raise StudyError("from 1 to 100 checkpoints can be kept", where="--checkpoints")
    asked = UnlearningRequest(
        options.method,
        dict(pair(text, "--set") for text in options.set),
        options.checkpoints,
        options.to.expanduser(),
        options.retain,
        options.anchor,
    )
    return unlearn_study(options.study, asked, grid(options.grid), options.device)


def unlearn_study(
    path: Path, asked: UnlearningRequest, varied: Sequence[Mapping[str, str]], device: str | None
) -> int:
    """Train a method, or a grid of settings, on a study; returns the exit status.

    Raises:
        BoardError: anything that a person can mend, in one sentence.
        Cancelled: Ctrl-C; what was done is kept, and the same command resumes.
    """
    from app.shared.unlearning import STUDY, add_to_study, prepare
    from backends.device import pick_device
    from backends.study.file import read_study
    from backends.unlearning.run_log import RUN, read_json

    study = read_study(path)
    asked = replace(asked, folder=asked.folder.absolute())
    runs = [prepare(study, asked, each) for each in varied]
    made: list[ModelSpec] = []
    with ctrl_c_flag() as stop:
        for each in runs:
            for sentence in each.about:
                print(printable(sentence))
            lines = _Lines(each.steps, made)
            try:
                made += [spec for spec in each.run(pick_device(device), lines.show, stop) if spec not in made]
            finally:
                lines.end()
                add_to_study(study, asked.folder, made)
            early = read_json(each.files.path / RUN).get("ended")
            if early:
                print(printable(f"{each.label} stopped early: {early}"))
    written = asked.folder / STUDY
    print(f"{len(made)} checkpoints are in {printable(str(asked.folder))}. Evaluate them with:")
    print(f"  unlearnboard evaluate {printable(str(written))}")
    print(f"  unlearnboard {printable(str(written))}")
    return 0


def listing() -> list[str]:
    """The methods, a line each."""
    from backends.unlearning import image_methods, text_methods

    lines = ["Language models:"]
    lines += [f"  {each.name:<17} {each.about}  [{each.source}]" for each in text_methods.METHODS.values()]
    lines += ["Image models:"]
    lines += [f"  {each.name:<17} {each.about}  [{each.source}]" for each in image_methods.METHODS.values()]
    return lines


def setting_lines(method: str) -> list[str]:
    """The settings of a method, a line each, for each kind of model that has it.

    Raises:
        StudyError: there is no such method.
    """
    from app.shared.unlearning import settings_for

    lines: list[str] = []
    kinds: tuple[Modality, ...] = ("text", "image")
    for modality in kinds:
        try:
            known = settings_for(method, modality)
        except StudyError:
            if modality == "image" and not lines:
                raise
            continue
        lines.append("Language models:" if modality == "text" else "Image models:")
        lines += [f"  {key:<13} {setting.usual:<8g} {setting.help}" for key, setting in known.items()]
    return lines


class _Lines:
    """One growing line in a terminal, a line at every checkpoint elsewhere."""

    def __init__(self, steps: int, made: list[ModelSpec]) -> None:
        self._made = made
        self._steps, self._began, self._first = steps, time.monotonic(), 0
        self._live = sys.stdout.isatty()

    def show(self, progress: RunProgress) -> None:
        """Draw how far the run is; note what it made, which counts however the run ends."""
        if progress.kept:
            self._made.append(progress.kept)
        if progress.step == 0 or not self._first:
            self._first, self._began = max(1, progress.step), time.monotonic()
        done = max(1, progress.step + 1 - self._first)
        left = (time.monotonic() - self._began) / done * (self._steps - progress.step)
        line = f"step {progress.step} of {self._steps}"
        if progress.step:
            line += f", loss {progress.loss:.4f}"
        if progress.forget is not None and progress.utility is not None:
            line += f", forget {progress.forget:.3f}, utility {progress.utility:.3f}"
        if progress.kept:
            line += ", kept"
        if progress.step > self._first:
            line += f", about {left:.0f} s left"
        if self._live:
            print(f"\r{line:<78}", end="", flush=True)
        elif progress.kept or progress.step == 0:
            print(line, flush=True)

    def end(self) -> None:
        """Finish the line."""
        if self._live:
            print()
