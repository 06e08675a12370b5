"""The small scales of a model: where its number lies between those of the original and the retained model.

Pure: verdicts and numbers in, places from 0 to 1 and words out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.pages.overview.subject import Subject
from app.shared.deciding_words import would_decide_finding
from backends.study import Modality
from cache.analysis.verdict.findings import Finding, Question
from cache.analysis.verdict.rules import COST, Verdict


class Scale(NamedTuple):
    """A column of the table.

    Attributes:
        question: whose finding it shows.
        title: its head.
        about: what its number is.
    """

    question: Question
    title: str
    about: str


SCALES: Mapping[Modality, Sequence[Scale]] = {
    "text": (
        Scale("says", "Says it", "what it says of the forget set when asked plainly"),
        Scale("rates", "Still knows it", "probability that it gives the true answers of the forget set"),
        Scale("neighbour", "Neighbours", "answers that are kept about what is near the forget set"),
        Scale("retain", "Retain", "answers that are kept about what should stay"),
        Scale("utility", "Utility", "model utility"),
        Scale("refuses", "Refuses", "share of forget probes that it refuses to answer"),
    ),
    "image": (
        Scale("says", "Draws it", "share of forget prompts for which it draws the concept"),
        Scale("denoising", "Loss moved", "how far its denoising loss on pictures of the concept rose"),
        Scale("neighbour", "Neighbours", "share of prompts near the concept that it still draws"),
        Scale("retain", "Retain", "share of other prompts that it still draws"),
        Scale("utility", "Utility", "model utility"),
        Scale("refuses", "Draws nothing", "share of forget prompts for which it draws nothing recognisable"),
    ),
}
OUTCOMES = {
    "yes": "beyond the limit",
    "no": "within the limit",
    "undecided": "undecided",
    "missing": "not tested",
}


def scales(verdict: Verdict, subject: Subject) -> list[dict[str, Any]]:
    """One a column of `SCALES`; places are None where there is no number."""
    return [_scale(each, verdict.finding(each.question), subject) for each in SCALES[subject.modality]]


def _scale(scale: Scale, finding: Finding, subject: Subject) -> dict[str, Any]:
    measured = finding.measured
    if measured is None:
        return {"title": scale.title, "outcome": "missing", "text": "–", "said": f"{scale.title}: not tested"}
    key = measured.key
    original, retained = (subject.numbers.get((name, key)) for name in (subject.original, subject.retained))
    top = _top(scale.question, key, subject)
    shown = [measured.value, *(min(max(end, 0.0), top) for end in interval(finding))]
    others = [None if each is None else each[0] for each in (original, retained)]
    return {
        "title": scale.title,
        "outcome": finding.outcome,
        "text": number(scale.question, measured.value),
        "value": _place(measured.value, top),
        "low": _place(shown[1], top),
        "high": _place(shown[2], top),
        "original": _place(others[0], top),
        "retained": _place(others[1], top),
        "zone": _zone(scale.question, finding, top),
        "said": _sentence(scale, finding, shown, others, subject),
    }


def number(question: Question, value: float) -> str:
    """A value as the table shows it: shares in per cent, utility and probabilities as they are."""
    if math.isnan(value):
        return "–"
    if question in ("utility", "rates", "denoising"):
        return f"{value:.2f}"
    return f"{100 * value:.0f} %"


def _top(question: Question, key: str, subject: Subject) -> float:
    """Where the scale ends: 1, but losses have no end of their own."""
    if question != "denoising":
        return 1.0
    highest = [values[0] for (_, each), values in subject.numbers.items() if each == key]
    return 1.1 * max([*(value for value in highest if not math.isnan(value)), 1e-6])


def _place(value: float | None, top: float) -> float | None:
    return None if value is None or math.isnan(value) else round(min(max(value / top, 0.0), 1.0), 4)


FALLING: tuple[Question, ...] = (*COST, "denoising")
"""What speaks against the model grows as the value falls."""


def interval(finding: Finding) -> tuple[float, float]:
    """Ends of the interval that was held against the threshold, around the model's value; NaN where there is none.

    Where a difference was tested, that is the yardstick's value with the interval of the difference: the model's own
    interval can lie wholly beyond a limit that the difference does not surely cross.
    """
    measured = finding.measured
    if measured is None:
        return math.nan, math.nan
    below, above = finding.excess - finding.low, finding.high - finding.excess
    if math.isnan(below) or math.isnan(above):
        return measured.low, measured.high
    if finding.question in FALLING:
        below, above = above, below
    return measured.value - below, measured.value + above


def of_difference(finding: Finding) -> bool:
    """Whether the interval of `interval` is that of a difference to the yardstick."""
    measured = finding.measured
    return measured is not None and finding.question != "refuses" and not math.isnan(measured.least)


def _zone(question: Question, finding: Finding, top: float) -> list[float] | None:
    """Where a value is within the limit."""
    measured = finding.measured
    if measured is None or math.isnan(finding.excess):
        return None
    room = finding.threshold - finding.excess
    if question in FALLING:
        low = _place(measured.value - room, top)
        return None if low is None else [low, 1.0]
    high = _place(measured.value + room, top)
    return None if high is None else [0.0, high]


def _sentence(
    scale: Scale, finding: Finding, shown: list[float], others: list[float | None], subject: Subject
) -> str:
    value, low, high = (number(scale.question, each) for each in shown)
    text = f"{scale.title}: {value}"
    if not math.isnan(shown[1]):
        against = finding.measured.against if finding.measured is not None else ""
        of = f" of the difference to {against}" if against and of_difference(finding) else ""
        text += f", 95 % interval{of} {low} to {high}"
    for name, other in zip((subject.original, subject.retained), others, strict=True):
        if other is not None:
            text += f"; {name} {number(scale.question, other)}"
    said = OUTCOMES[finding.outcome]
    deciding = would_decide_finding(finding)
    said += f", {deciding}" if deciding else ""
    return f"{text}; {said}"
