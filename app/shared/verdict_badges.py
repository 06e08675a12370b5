"""Badges of a verdict: the kind in a word, and what else speaks against a model. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from app.shared.verdict_words import UNTESTED_NOUNS
from backends.study import Modality
from cache.analysis.verdict.rules import Kind, Verdict

SHORT: Mapping[Kind, str] = {
    "forgotten": "Forgotten",
    "damaged": "Forgotten, damaged",
    "undecided": "Undecided",
    "hidden": "Hidden",
    "not forgotten": "Not forgotten",
    "destroyed": "Destroyed",
    "not tested": "Not tested",
}


SHORTEST: Mapping[Kind, str] = {**SHORT, "damaged": "Damaged"}


def badges(verdict: Verdict, modality: Modality) -> list[str]:
    """What else is to be known: damage by name, refusals, gibberish, membership. Only what is beyond its limit."""
    found = []
    if verdict.damage:
        found.append(f"lost: {', '.join(UNTESTED_NOUNS[each.question] for each in verdict.damage)}")
    elif verdict.kind == "forgotten" and verdict.harm == "undecided":
        found.append("damage undecided")
    found += behaviour(verdict, modality)
    if verdict.gives_itself_away == "yes":
        found.append("gives itself away")
    return found


def behaviour(verdict: Verdict, modality: Modality) -> list[str]:
    """What good numbers of forgetting may come from, other than forgetting: hidden, refusals, gibberish."""
    found = []
    if verdict.kind != "hidden" and verdict.forgetting == "hidden":
        found.append("hidden")
    refuses = verdict.finding("refuses")
    if refuses.outcome == "yes" and refuses.measured is not None:
        words = {"text": ("refuses all", "refuses most"), "image": ("draws nothing", "draws mostly nothing")}
        found.append(words[modality][0 if refuses.measured.value > 0.995 else 1])
    if any(each.outcome == "yes" for each in verdict.findings if each.question == "gibberish"):
        found.append("gibberish" if modality == "text" else "nothing recognisable")
    return found
