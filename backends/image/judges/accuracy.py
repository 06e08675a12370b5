"""A judge's accuracy as plain data, with its interval."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from backends.files.disk import write_whole


@dataclass(frozen=True, slots=True)
class JudgeAccuracy:
    """How often a judge was right.

    Attributes:
        n: pictures judged.
        correct: of them, judged as what they show.
        rejected: of them, judged as nothing.
        low, high: ends of the exact 95 % interval of the accuracy (Clopper and Pearson 1934).
        per_class: class -> (pictures, correct).
        unreadable: files that could not be read.
    """

    n: int
    correct: int
    rejected: int
    low: float
    high: float
    per_class: Mapping[str, tuple[int, int]]
    unreadable: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """Share of pictures judged as what they show, 0 to 1."""
        return self.correct / self.n


def write_judgements(
    path: Path, asked: Sequence[str], shown: Sequence[str], unreadable: Sequence[str]
) -> None:
    """Keep what a judge said of real pictures, so that its accuracy is known without asking it again.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(path, (json.dumps(judgements_json(asked, shown, unreadable)) + "\n").encode())


def judgements_json(
    asked: Sequence[str], shown: Sequence[str], unreadable: Sequence[str]
) -> dict[str, list[str]]:
    """What a judge said of real pictures, as JSON has it."""
    return {"asked": list(asked), "shown": list(shown), "unreadable": list(unreadable)}


def read_judgements(path: Path) -> JudgeAccuracy | None:
    """The accuracy that follows from a file of `write_judgements`; None if there is none or it is damaged."""
    try:
        return accuracy_from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def accuracy_from_json(values: object) -> JudgeAccuracy | None:
    """The accuracy that follows from what `judgements_json` gives; None from anything else."""
    if not isinstance(values, dict):
        return None
    try:
        asked, shown = [str(name) for name in values["asked"]], [str(name) for name in values["shown"]]
        unreadable = [str(name) for name in values.get("unreadable", [])]
        return accuracy_of(asked, shown, unreadable) if asked and len(asked) == len(shown) else None
    except (ValueError, TypeError, KeyError):
        return None


def accuracy_of(asked: Sequence[str], shown: Sequence[str], unreadable: Sequence[str] = ()) -> JudgeAccuracy:
    """Accuracy of judgements against the truth, of equal length and at least one."""
    from scipy.stats import binomtest

    right = [truth == said for truth, said in zip(asked, shown, strict=True)]
    interval = binomtest(sum(right), len(right)).proportion_ci(0.95, method="exact")
    per_class = {
        name: (asked.count(name), sum(r for truth, r in zip(asked, right, strict=True) if truth == name))
        for name in dict.fromkeys(asked)
    }
    return JudgeAccuracy(
        n=len(right),
        correct=sum(right),
        rejected=sum(said == "none" for said in shown),
        low=float(interval.low),
        high=float(interval.high),
        per_class=MappingProxyType(per_class),
        unreadable=tuple(unreadable),
    )
