"""One question about a model, what was measured for it, and the answer that a threshold gives. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

Question = Literal[
    "says",
    "rates",
    "closer",
    "leaks",
    "attacked",
    "denoising",
    "utility",
    "retain",
    "neighbour",
    "destroyed",
    "gibberish",
    "refuses",
    "membership",
]
"""What is asked of a model. "yes" to any of them speaks against it."""
Outcome = Literal["yes", "no", "undecided", "missing"]

ROUNDING = 1e-9
MOST_PROBES = 100_000
"""Where more than so many would be needed, no number of probes is named."""


class Comparison(NamedTuple):
    """A number of a model beside that of the model it is held against.

    Attributes:
        key: role/metric.
        value, low, high: the model's own number and its 95 % interval; NaN where unknown.
        base: the number that it is held against, NaN for none.
        against: name of the model whose number that is, "" for none.
        difference, least, most: value - base and its 95 % interval, by the test that fits; NaN where unknown.
        n: probes.
        groups: subjects that the probes are of, 0 where each stands for itself.
        complete: probes that would be answered if none were left out, 0 where that is not known.
    """

    key: str
    value: float
    low: float
    high: float
    base: float
    against: str
    difference: float
    least: float
    most: float
    n: int
    groups: int = 0
    complete: int = 0

    @property
    def incomplete(self) -> bool:
        """Probes were left out: the model was not evaluated to the end."""
        return self.n < self.complete

    @property
    def units(self) -> int:
        """How many independent things were asked: subjects, or probes."""
        return self.groups or self.n


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question.

    Attributes:
        question: what was asked.
        outcome: "yes" speaks against the model; "missing" where nothing was measured.
        measured: by what; None where nothing was.
        excess: what was held against the threshold, and `low` and `high` its interval.
        threshold: that it was held against.
        needed: about how many probes (or subjects) would decide; 0 where it is decided or no number can be told.
    """

    question: Question
    outcome: Outcome
    measured: Comparison | None = None
    excess: float = math.nan
    low: float = math.nan
    high: float = math.nan
    threshold: float = math.nan
    needed: int = 0

    @property
    def leans(self) -> bool:
        """The value alone says "yes", whatever its interval."""
        return self.excess > self.threshold + ROUNDING


def missing(question: Question) -> Finding:
    """Nothing was measured."""
    return Finding(question, "missing")


def decided(
    question: Question,
    measured: Comparison,
    excess: float,
    low: float,
    high: float,
    threshold: float,
    reach: float,
) -> Finding:
    """Hold an excess against a threshold.

    Args:
        question: what is asked.
        measured: by what.
        excess: how much of what speaks against the model there is.
        low, high: its 95 % interval.
        threshold: "yes" where the whole interval is above it.
        reach: "no" where the value is at most the threshold and the interval ends at or below this (or the
            threshold, where that is larger).
    """
    if math.isnan(excess):
        return missing(question)
    end = max(reach, threshold)
    outcome: Outcome = "undecided"
    if low > threshold + ROUNDING:
        outcome = "yes"
    elif excess <= threshold + ROUNDING and high <= end + ROUNDING:
        outcome = "no"
    needed = units_needed(measured.units, excess, low, high, threshold, end) if outcome == "undecided" else 0
    return Finding(question, outcome, measured, excess, low, high, threshold, needed)


def units_needed(units: int, excess: float, low: float, high: float, threshold: float, end: float) -> int:
    """Units at which an interval that narrows with their root would decide, if the value stayed; 0 if none would."""
    if excess > threshold + ROUNDING:
        width, room = excess - low, excess - threshold
    else:
        width, room = high - excess, end - excess
    if not (math.isfinite(width) and width > 0 and room > ROUNDING):
        return 0
    most = units * (width / room) ** 2
    return max(math.ceil(most - ROUNDING), units + 1) if most <= MOST_PROBES else 0
