"""A real picture that a picture begins from, instead of from noise alone: plain data, part of a probe.

How it is drawn is in `backends/image/starting.py`. Imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

StartKind = Literal["noised", "repainted"]
START_KINDS: tuple[StartKind, ...] = get_args(StartKind)


@dataclass(frozen=True, slots=True)
class Start:
    """What is given of a real picture, and what is left to the model.

    Attributes:
        kind: "noised": the picture is noised, and the model draws the rest of the steps (SDEdit, Meng et al. 2022);
            "repainted": a square in the middle is drawn anew, the picture around it stays.
        picture: path of the file.
        content: BLAKE3 of the file.
        share: what is left to the model, 0 to 1: of the steps, or of the sides for "repainted". At 1 nothing of the
            picture is given, and the drawing is the one from noise alone.
    """

    kind: StartKind
    picture: str
    content: str
    share: float

    def identity(self) -> list[object]:
        """All of it that can change a drawing: not where the file lies."""
        return [self.kind, self.content, self.share]

    def steps_given(self, steps: int) -> int:
        """How many of the first steps follow the real picture."""
        return steps - round(self.share * steps) if self.kind == "noised" else 0


def start_from(picture: Path, kind: StartKind, share: float) -> Start:
    """A start from this file.

    Raises:
        CheckpointError: it is no plain file.
        ValueError: the share is not within 0 and 1.
    """
    from backends.checkpoints.tensors import file_digest

    if not 0 <= share <= 1:
        raise ValueError(f"the share is {share}, not within 0 and 1")
    return Start(kind, str(picture), file_digest(picture), share)
