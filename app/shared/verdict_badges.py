"""Badges of a verdict: the kind in a word and a mark, and what else speaks against a model. Pure."""

from __future__ import annotations

from app.shared.verdict_words import SHORT_TITLES, UNTESTED_NOUNS
from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.study import Modality
from cache.analysis.verdict.findings import Comparison
from cache.analysis.verdict.rules import COST, HIDDEN, Verdict

SO_FAR = "forgotten so far"
"""Mark of a model that is only forgotten as far as was tested and decided: no tick."""


def is_open(verdict: Verdict) -> bool:
    """Whether a forgotten model's harm is undecided, or something that could speak against it was not tested."""
    return verdict.kind == "forgotten" and (
        verdict.harm != "none found" or any(each in (*HIDDEN, *COST) for each in verdict.untested)
    )


def badge_mark(verdict: Verdict) -> str:
    """Which mark and colour the badge has."""
    return SO_FAR if is_open(verdict) else verdict.kind


def badge_word(verdict: Verdict) -> str:
    """What the badge says."""
    return SO_FAR.capitalize() if is_open(verdict) else SHORT_TITLES[verdict.kind]


def badges(verdict: Verdict, modality: Modality) -> list[str]:
    """What else is to be known: damage by name, refusals, gibberish, membership. Only what is beyond its limit."""
    found = []
    if verdict.damage:
        found.append(f"lost: {', '.join(UNTESTED_NOUNS[each.question] for each in verdict.damage)}")
    elif verdict.kind == "forgotten" and verdict.harm == "undecided":
        found.append("damage undecided")
    found += behaviour(verdict, modality)
    membership = verdict.finding("membership")
    if membership.outcome == "yes" and membership.measured is not None:
        found.append(_membership(membership.measured))
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


def _membership(measured: Comparison) -> str:
    """The number by which a membership attack tells, "PrivLeak −53 %"."""
    metric = METRICS.get(MetricKey.parse(measured.key).name)
    title = metric.card.title.removesuffix(" (%)") if metric is not None else measured.key
    return f"{title} {measured.value:+.0f} %".replace("-", "\N{MINUS SIGN}")
