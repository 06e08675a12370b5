"""The small trade-off curve: how much is still there of what should go, against what is left of what should stay.

Pure: verdicts in, places out. Beside the verdicts it reads only the numbers of the original and the retained model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from app.looks.safe_text import visible
from app.pages.overview.scales import SCALES
from app.pages.overview.subject import Subject
from cache.analysis.verdict.findings import Question
from cache.analysis.verdict.rules import Verdict, share_lost

FORGETTING: tuple[Question, ...] = ("rates", "says")
"""The first that any model has a number of is the axis."""
LONGEST_LABEL = 20
"""Characters of a name beside a point; where it has more, the method's name stands there."""
MOST_POINTS = 400
"""More than these are drawn on Trade-offs; here only what stands for a method."""


def curve(subject: Subject, *, dark: bool, link: Callable[[str], str]) -> dict[str, Any] | None:
    """Axes, points and lines as the component draws them; None where fewer than two models can be placed.

    Args:
        subject: what is shown.
        dark: the theme.
        link: address that a point leads to.
    """
    models = [each for method in subject.methods for each in method.checkpoints]
    for question in FORGETTING:
        if question not in {scale.question for scale in SCALES[subject.modality]}:
            continue
        placed = {each.model: place for each in models if (place := _place(each, question))}
        if placed:
            break
    else:
        return None
    best = {method.best.model for method in subject.methods[:MOST_POINTS]}
    if len(placed) > MOST_POINTS:
        placed = {name: place for name, place in placed.items() if name in best}
    names = [subject.original, subject.retained]
    marks = {
        name: place
        for name in names
        if name and (place := _place(subject.verdicts[name], question)) is not None
    }
    if len(placed) + len(marks) < 2:
        return None

    short = {method.best.model: method.name for method in subject.methods}
    short |= {subject.original: "Original", subject.retained: "Retained"}

    def point(name: str, place: tuple[float, float]) -> dict[str, Any]:
        look = subject.looks[name]
        return {
            "name": name,
            "title": visible(name),
            "label": visible(name if len(name) <= LONGEST_LABEL else short.get(name, name)),
            "x": place[0],
            "y": place[1],
            "look": {"symbol": look.symbol, "colour": look.on(dark)},
            "main": name in best or name in names,
            "hollow": subject.verdicts[name].kind == "destroyed",
            "href": link(name),
            "said": f"{visible(name)}: {_percent(place[0])} still there, {_percent(place[1])} left of the rest",
        }

    lines = [
        {
            "colour": subject.looks[method.best.model].on(dark),
            "points": [
                placed[each.model]
                for each in sorted(method.checkpoints, key=lambda each: subject.steps.get(each.model, 0))
                if each.model in placed
            ],
        }
        for method in subject.methods
    ]
    title = {
        "rates": "Probability of the true answers",
        "says": "Share of the forget set that it says"
        if subject.modality == "text"
        else "Share that it still draws",
    }[question]
    return {
        "x": title,
        "y": "Left, at worst: utility, retain, neighbours",
        "lines": [line for line in lines if len(line["points"]) > 1],
        "points": [point(name, place) for name, place in (*placed.items(), *marks.items())],
        "aim": marks.get(subject.retained),
    }


def _place(verdict: Verdict, question: Question) -> tuple[float, float] | None:
    measured = verdict.finding(question).measured
    worst = verdict.worst
    if measured is None or worst is None or math.isnan(measured.value):
        return None
    return min(max(measured.value, 0.0), 1.0), min(max(1 - share_lost(worst), 0.0), 1.0)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
