"""The files of an unlearning run: checkpoints with their recipes, the log, and the state to resume from.

A run is a folder: `run.json` (what it is, and what it made once it has ended), `log.jsonl` (loss of every step,
measurements of every checkpoint), `state.safetensors` (while it is under way) and a folder or file a checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from backends.errors import StudyError
from backends.files.disk import FULL, full
from backends.study import ModelSpec
from backends.unlearning.run_log import LOG, RUN, read_json

STATE, RECIPE = "state.safetensors", "recipe.json"


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is.

    Attributes:
        step: steps done.
        loss: of the last one; NaN before the first.
        forget, utility: what was measured of the forget and the utility rows at a checkpoint. Text: mean probability
            per token of the answers. Images: loss of the denoiser, divided by the original's, see `image_runs.py`.
        kept: the checkpoint that was just made.
    """

    step: int
    loss: float
    forget: float | None = None
    utility: float | None = None
    kept: ModelSpec | None = None


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run on disk.

    Attributes:
        path: its folder.
        told: everything that decides the weights, as JSON.
    """

    path: Path
    told: Mapping[str, Any]

    def made(self) -> list[int] | None:
        """Steps of the checkpoints of a run that has ended; None where it has not."""
        known = read_json(self.path / RUN)
        if known.get("told") != self.told or not isinstance(known.get("steps"), list):
            return None
        steps = [int(step) for step in known["steps"]]
        return steps if all((self.path / f"checkpoint-{step}" / RECIPE).is_file() for step in steps) else None

    def is_free(self) -> bool:
        """Whether the folder has nothing of another run, or nothing that anybody would miss."""
        if read_json(self.path / RUN).get("told") == self.told:
            return True
        return not any((self.path / name).exists() for name in (STATE, RECIPE)) and not any(
            self.path.glob("checkpoint-*")
        )

    def begin(self) -> None:
        """Say what the run is; what a run without a checkpoint left in the folder is taken away.

        Raises:
            StudyError: the folder cannot be written.
        """
        with saved(self.path):
            if not self.is_free():
                raise FileExistsError(17, "this folder holds another run")
            if read_json(self.path / RUN).get("told") != self.told:
                for name in (LOG, STATE):
                    (self.path / name).unlink(missing_ok=True)
            self.path.mkdir(parents=True, exist_ok=True)
            _write(self.path / RUN, {"told": self.told})

    def state(self) -> dict[str, torch.Tensor] | None:
        """Where the run was when it was ended; None where there is nothing to resume from."""
        try:
            return load_file(self.path / STATE)
        except (OSError, SafetensorError):  # not there, or cut off: the run starts again
            return None

    def keep_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Keep what is needed to resume.

        Raises:
            StudyError: it cannot be written.
        """
        part = self.path / f"{STATE}.part"
        with saved(part):
            save_file(dict(state), part)
            part.replace(self.path / STATE)

    def checkpoint(self, step: int, write: Callable[[Path], None], details: Mapping[str, Any]) -> Path:
        """A checkpoint and its recipe, whole or not at all.

        Args:
            step: of the run.
            write: puts the weights into a folder.
            told: what is known of this checkpoint beside the run's recipe.

        Raises:
            StudyError: it cannot be written.
        """
        folder, part = self.path / f"checkpoint-{step}", self.path / f"checkpoint-{step}.part"
        with saved(part):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            write(part)
            _write(part / RECIPE, {**self.told, **details})
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        return folder

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log.

        Raises:
            StudyError: it cannot be written.
        """
        with saved(self.path / LOG), (self.path / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def end(self, steps: list[int], why: str) -> None:
        """Say that nothing is left to do.

        Args:
            steps: checkpoints that were made.
            why: the run ended, "" where all steps were done.

        Raises:
            StudyError: it cannot be written.
        """
        with saved(self.path):
            _write(self.path / RUN, {"told": self.told, "steps": steps, "ended": why})
            (self.path / STATE).unlink(missing_ok=True)


def as_json(value: Any) -> Any:
    """A value as it will be read back."""
    return json.loads(json.dumps(value, default=str))


@contextmanager
def saved(place: Path) -> Iterator[None]:
    """Writing, whose failure is one sentence and leaves no half of a file.

    Raises:
        StudyError: nothing can be written there.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        if place.name.endswith(".part"):
            shutil.rmtree(place, ignore_errors=True)
            if place.is_file():
                place.unlink()
        reason = getattr(error, "strerror", None) or str(error)[:200]
        if getattr(error, "errno", None) in FULL or "No space left" in reason:
            reason = full(place.parent)
        raise StudyError(
            f"the checkpoint cannot be saved ({reason})",
            where=str(place),
            how="Free some space or name another folder; what was saved is kept, and the same command resumes",
        ) from error


def changed_tensors(own: Mapping[str, torch.Tensor], files: list[Path]) -> dict[str, torch.Tensor]:
    """Parameters that differ from the base's files, on the CPU; the files are read tensor by tensor."""
    changed = dict(own)
    for file in files:
        with safe_open(file, framework="pt") as handle:
            for name in handle.keys():  # noqa: SIM118 - no mapping
                if name in own and torch.equal(handle.get_tensor(name).to(own[name]), own[name].detach()):
                    del changed[name]
    return {name: tensor.detach().cpu().contiguous() for name, tensor in changed.items()}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, default=str), encoding="utf-8")
