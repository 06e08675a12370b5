"""`unlearnboard unlearn`: make unlearned versions of a study's original, and a study file that has them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.terminal import printable, stopped_by_ctrl_c
from backends.device import pick_device
from backends.errors import StudyError
from backends.probes import read_probes
from backends.study import ModelSpec, Study
from backends.study_file import read_study
from backends.study_writing import write_study

if TYPE_CHECKING:  # torch is imported only by who trains
    from backends.unlearning.text_methods import Recipe
    from backends.unlearning.text_training import TrainingStep

STUDY = "study.toml"


def unlearn_study(
    path: Path,
    method: str,
    settings: dict[str, str],
    folder: Path,
    checkpoints: int,
    retain: Path | None,
    device: str | None,
) -> int:
    """Train one method on a study; returns the exit status.

    Raises:
        BoardError: anything that a person can mend, in one sentence.
        Cancelled: Ctrl-C; finished checkpoints are kept.
    """
    from backends.unlearning.text_methods import METHODS, recipe
    from backends.unlearning.text_runs import rows_of, unlearn

    study = read_study(path)
    if study.modality != "text":
        raise StudyError("only language models can be unlearned from here", where=str(path))
    chosen = recipe(method, settings, checkpoints)
    others = None if retain is None else read_probes(retain, "retain").probes
    rows = rows_of(study, chosen, others)
    used = chosen.method.alpha > 0 or chosen.method.keep > 0
    print(f"{chosen.name}: {METHODS[chosen.name].about} ({METHODS[chosen.name].source})")
    print(
        f"{len(rows.forget)} rows to forget" + (f", {len(rows.retain)} to keep" if used else ", none to keep")
    )
    if used and retain is None:
        print(
            "It trains on the study's retain probes, so their scores are of seen rows; --retain FILE takes others."
        )
    lines = _Lines(chosen)
    with stopped_by_ctrl_c() as stop:
        made = unlearn(study, chosen, rows, folder.absolute(), pick_device(device), lines.show, stop)
    lines.end()
    written = folder.absolute() / STUDY
    write_study(_with(read_study(written) if written.is_file() else study, made), written)
    print(
        f"{len(made)} checkpoints are in {printable(str(folder / chosen.name.lower()))}. See what they cost with:"
    )
    print(f"  unlearnboard evaluate {printable(str(written))}")
    print(f"  unlearnboard {printable(str(written))}")
    return 0


def listing() -> list[str]:
    """The methods, a line each."""
    from backends.unlearning.text_methods import METHODS

    return [f"{each.name:<11} {each.about}  [{each.source}]" for each in METHODS.values()]


def _with(study: Study, made: Sequence[ModelSpec]) -> Study:
    """The study with these models; one that has their weights already is replaced, other names stay as they are."""
    weights = {spec.adapter for spec in made}
    others = [spec for spec in study.models if spec.adapter not in weights]
    taken = {spec.name for spec in others}
    named = [replace(spec, name=f"{spec.name} (mine)") if spec.name in taken else spec for spec in made]
    return replace(study, models=(*others, *named))


class _Lines:
    """One growing line in a terminal, a line at every checkpoint elsewhere."""

    def __init__(self, chosen: Recipe) -> None:
        self._chosen, self._started, self._live = chosen, time.monotonic(), sys.stdout.isatty()

    def show(self, state: TrainingStep) -> None:
        """Draw how far the run is."""
        steps, seconds = self._chosen.schedule.steps, time.monotonic() - self._started
        left = seconds / state.step * (steps - state.step)
        kept = ", kept" if state.checkpoint else ""
        line = f"step {state.step} of {steps}, loss {state.loss:.4f}{kept}, about {left:.0f} s left"
        if self._live:
            print(f"\r{line:<78}", end="", flush=True)
        elif state.checkpoint:
            print(line, flush=True)

    def end(self) -> None:
        """Finish the line."""
        if self._live:
            print()
