"""How sure a verdict is, in words: what is still undecided, by how much, and what was not tested. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from app.shared.deciding_words import about
from backends.study import Modality
from cache.analysis.verdict.findings import Finding, Question
from cache.analysis.verdict.rules import COST, HIDDEN, Verdict

MOST_NAMED = 2
"""More open questions than these are counted; all are in the list of what is missing."""
THINGS: Mapping[Question, str] = {
    "says": "what it says of the forget set",
    "closer": "whether it is closer to the original",
    "rates": "how likely it finds the true answers",
    "leaks": "what it gives away when sampled often",
    "attacked": "what attacks bring out",
    "denoising": "whether it still fits such pictures",
    "utility": "utility lost",
    "retain": "retain answers lost",
    "neighbour": "neighbour answers lost",
}


def how_sure(verdict: Verdict, modality: Modality) -> str:
    """One sentence, "Not sure yet: neighbour answers lost, 0 to 75 points (6 subjects; about 14 would decide)."

    Only what could still change the kind of the verdict counts; "" where nothing was tested.

    Args:
        verdict: on the model.
        modality: of the study.
    """
    if verdict.kind == "not tested":
        return ""
    asked = _could_change(verdict)
    found = [each for each in verdict.open_questions if each.question in asked]
    untested = [_thing(each, modality) for each in verdict.untested if each in asked and each != "attacked"]
    parts = [_open(each, modality) for each in found[:MOST_NAMED]]
    more = len(found) - MOST_NAMED
    parts += [f"{more} more" if more > 0 else ""]
    short = dict.fromkeys(
        _thing(each.question, modality) for each in verdict.incomplete if each.question in asked
    )
    parts += [f"not all probes answered: {', '.join(short)}" if short else ""]
    parts += [f"not tested: {', '.join(untested)}" if untested else ""]
    said = "; ".join(part for part in parts if part)
    if said:
        return f"Not sure yet: {said}."
    return "Not sure yet." if verdict.kind == "undecided" else "Sure as far as tested."


def _could_change(verdict: Verdict) -> tuple[Question, ...]:
    if verdict.kind == "forgotten":
        return ("says", *HIDDEN, *COST)
    return ("says", *HIDDEN) if verdict.kind in ("undecided", "damaged") else ()


def _open(finding: Finding, modality: Modality) -> str:
    measured = finding.measured
    text = _thing(finding.question, modality)
    low, high = max(finding.low, 0.0) + 0.0, finding.high  # no -0
    if finding.question in ("says", "leaks", "rates", "attacked", *COST) and not (
        math.isnan(low) or math.isnan(high)
    ):
        text += f", {100 * low:.0f} to {100 * high:.0f} points"
    if measured is None:
        return text
    units = "subjects" if measured.groups else "probes"
    would = f"; {about(finding.needed)} would decide" if finding.needed else ""
    return f"{text} ({measured.units:,} {units}{would})"


def _thing(question: Question, modality: Modality) -> str:
    text = THINGS[question]
    return text if modality == "text" else text.replace("answers", "pictures").replace("says", "draws")
