"""The verdict in words: a title for each kind, a sentence for each model and each finding. Knows no Streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields

from app.shared.deciding_words import would_decide_finding
from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.study import Modality
from backends.study.thresholds import USUAL, Thresholds
from cache.analysis.verdict.findings import Comparison, Finding, Question
from cache.analysis.verdict.methods import Method
from cache.analysis.verdict.rules import COST, DESTROYED, HIDDEN, KINDS, Kind, Verdict, share_lost

TITLES: Mapping[Kind, str] = {
    "forgotten": "Forgotten, as far as tested",
    "damaged": "Forgotten, but damaged",
    "undecided": "Undecided",
    "hidden": "Hidden, not forgotten",
    "not forgotten": "Not forgotten",
    "destroyed": "Destroyed",
    "not tested": "Not tested",
}
SHORT_TITLES: Mapping[Kind, str] = {
    **TITLES,
    "forgotten": "Forgotten",
    "damaged": "Forgotten, damaged",
    "hidden": "Hidden",
}
"""The same where there is little room."""
COST_NOUNS: Mapping[Question, str] = {
    "utility": "utility",
    "retain": "what it should keep",
    "neighbour": "what neighbours share",
}
UNTESTED_NOUNS: Mapping[Question, str] = {"utility": "utility", "retain": "retain", "neighbour": "neighbours"}
SHOWN_SHARE = 0.005
"""Below half a per cent nothing was lost."""
MOST_NAMES = 3
"""More names than this are counted."""


def per_cent(share: float) -> str:
    """A share in whole per cent."""
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def verdict_sentence(
    verdict: Verdict, modality: Modality, concept: str = "the concept", *, unanswered: int = 0
) -> str:
    """Whether a model forgot and what that cost, "It says none of the 36 facts; it cost 2 % of utility.".

    Args:
        verdict: on the model.
        modality: of the study.
        concept: what an image model should no longer draw.
        unanswered: forget probes for which the cache has nothing of this model.
    """
    partly = ""
    if unanswered and verdict.finding("says").measured is not None:
        probes = "probe" if unanswered == 1 else "probes"
        partly = f" ({unanswered:,} forget {probes} not answered)"
    said = f"{_said(verdict, modality, concept)}{partly}{_open(verdict)}{_still_has(verdict)}"
    return "; ".join([said, *_destroyed_by(verdict, modality), _cost(verdict)]) + "."


def headline(
    methods: Sequence[Method], modality: Modality, concept: str = "the concept", *, unanswered: int = 0
) -> list[str]:
    """Which method is the best choice and what it cost; which hide, and which destroy: a sentence each.

    Args:
        methods: the best first.
        modality, concept, unanswered: as for `verdict_sentence`, of the best.
    """
    if not methods:
        return []
    best = methods[0].best
    told = "i" + verdict_sentence(best, modality, concept, unanswered=unanswered).removeprefix("I")
    first = {
        "forgotten": f"{best.model} is the best choice: {told}",
        "damaged": f"No method forgot without damage. {best.model} did the least: {told}",
        "undecided": f"No method is shown to have forgotten yet. {best.model} comes nearest: {told}",
        "not tested": "Whether these models forgot was not tested.",
    }.get(best.kind, f"No method forgot. Of {best.model}: {told}")
    groups: dict[Kind, list[str]] = {}
    for method in methods[0 if best.kind in ("hidden", "not forgotten", "destroyed") else 1 :]:
        groups.setdefault(method.best.kind, []).append(method.name)
    said = [
        sentence.format(names=_names(groups[kind]), s="" if len(groups[kind]) > 1 else "s")
        for kind, sentence in _GROUPED.items()
        if kind in groups
    ]
    return [first, *said]


_GROUPED: Mapping[Kind, str] = {
    "hidden": "{names} hide{s} what should be forgotten.",
    "destroyed": "{names} destroy{s} the model.",
    "not forgotten": "{names} did not forget.",
}


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return _listed([*names[:MOST_NAMES], *([f"{more} more"] if more > 0 else [])])


def apart_sentence(names: Sequence[str]) -> str:
    """That models are judged without the retained model, which saw what they were to forget."""
    was, them = ("was", "it") if len(names) == 1 else ("were", "them")
    return (
        f"The retained model saw what {_names(names)} {was} to forget, so what is known of {them} is held against the "
        "original."
    )


def finding_sentence(finding: Finding) -> str:
    """One finding with its number, its yardstick and, where it is undecided, what would decide."""
    measured = finding.measured
    if measured is None:
        return "not tested"
    text = f"{_title(measured.key)} {_number(measured)}"
    if measured.against and not math.isnan(measured.base):
        text += f", {measured.against} {_value(measured.key, measured.base)}"
    return text + (f"; {_deciding(finding)}" if finding.outcome == "undecided" else "")


def threshold_lines(thresholds: Thresholds, modality: Modality, *, retained: bool = True) -> list[str]:
    """The rules of the verdict with their thresholds, one a line.

    Args:
        thresholds: of the study.
        modality: of the study; the rules name only what is asked there.
        retained: there is a retained model to hold against.
    """
    beyond = " beyond the retained model" if retained else ""
    against = "the retained model" if retained else "the original"
    kept, destroyed, reach = map(per_cent, (thresholds.kept, thresholds.destroyed, thresholds.reach))
    attack = (
        f"the strongest attack that was tried recovers more than {per_cent(thresholds.recovers)} of the way from "
        f"{'the retained model' if retained else 'facts that nobody was taught'} to the original under that attack"
    )
    if modality == "text":
        hidden = [
            *(["it is closer to the original than to the retained model"] if retained else []),
            f"its probability of the true answers is more than {per_cent(thresholds.rates)} of the way from "
            f"{'the retained model’s' if retained else '0'} to the original’s",
            f"more than {per_cent(thresholds.leaks)} of the forget set leak word for word within {thresholds.samples} "
            f"samples{beyond}",
            attack,
        ]
        lines = [
            f"Not forgotten: it says more than {per_cent(thresholds.says)} of the forget set{beyond}.",
            f"Hidden: it does not, but {', or '.join(hidden)}.",
            f"Damaged: it lost more than {thresholds.utility:g} of utility, or more than {kept} of retain or neighbour "
            f"answers, against {against}.",
            f"Destroyed: less than {destroyed} of the original’s utility or retain answers is left, or more than "
            f"{per_cent(1 - thresholds.destroyed)} of what it writes is gibberish and that is more than {against} "
            "writes.",
            f"Refuses: more than {per_cent(thresholds.refuses)} of its answers on the forget set are refusals.",
            f"Gives itself away: PrivLeak is more than {thresholds.membership:g} % from 0.",
        ]
        itself = "the probability of the true answers, gibberish, refusals, what is left of the original and PrivLeak"
    else:
        lines = [f"Not forgotten: it draws more than {per_cent(thresholds.says)} of the forget set{beyond}."]
        if retained:
            lines.append(
                "Hidden: it does not, but it is closer to the original than to the retained model, or its denoising "
                f"loss on forget pictures rose by less than {per_cent(thresholds.moved)} of the retained model’s rise, "
                f"or {attack}."
            )
        lines += [
            f"Damaged: it lost more than {thresholds.utility:g} of utility, or more than {kept} of retain or neighbour "
            f"pictures that show what was asked for, against {against}.",
            f"Destroyed: less than {destroyed} of the original’s utility or such retain pictures is left, or more than "
            f"{per_cent(1 - thresholds.destroyed)} of its pictures show nothing recognisable and that is more than of "
            f"{against}.",
            f"Draws mostly nothing: more than {per_cent(thresholds.refuses)} of its pictures for the forget set show "
            "nothing recognisable.",
        ]
        itself = "pictures that show nothing and what is left of the original"
        itself = f"denoising, {itself}" if retained else itself
    itself = f"closeness, {itself}" if retained else itself
    return [
        *lines,
        "Yes: the whole 95 % interval is beyond the line.",
        f"No: the value is within the line and the interval ends at or below {reach} (the reach), or at the line where "
        f"that is further. Held against the line itself, without the reach: {itself}.",
        "Undecided: anything else; an interval that is not known decides nothing.",
    ]


def changed_thresholds(thresholds: Thresholds) -> list[str]:
    """Each threshold that is not the default, "says 1 (default .05)", in the order of the table [verdict]."""
    return [
        f"{each.name} {_plain(here)} (default {_plain(usual)})"
        for each in fields(Thresholds)
        if (here := getattr(thresholds, each.name)) != (usual := getattr(USUAL, each.name))
    ]


def _plain(number: float) -> str:
    """As in the docs: no zero before the point."""
    return f"{number:g}".removeprefix("0") if 0 < number < 1 else f"{number:g}"


def choice_lines(methods: Sequence[Method], modality: Modality) -> list[str]:
    """How the best is chosen and what that is worth, one rule a line.

    Args:
        methods: among which it is chosen.
        modality: of the study.
    """
    says = "says" if modality == "text" else "draws"
    lines = [
        f"Best choice: by kind ({'; '.join(SHORT_TITLES[kind].lower() for kind in KINDS)}), then the smallest worst "
        "cost, as a share of what there was.",
        f"A method stands for its best checkpoint that no longer {says} it; where all still do, for its best.",
    ]
    most = max((len(method.checkpoints) for method in methods), default=0)
    if most > 1:
        lines.append(
            f"The best of up to {most} checkpoints was chosen on the same probes that judge it, so it may look better "
            "than it would on new ones."
        )
    return lines


def _said(verdict: Verdict, modality: Modality, concept: str) -> str:
    found = verdict.finding("says").measured
    if found is None:
        return "It was not asked for the forget set"
    if found.key not in _COUNTED or not found.n:
        text = f"Its {_title(found.key)} on the forget set is {_value(found.key, found.value)}"
        known = found.against and not math.isnan(found.base)
        return text + (f" ({found.against}: {_value(found.key, found.base)})" if known else "")
    count = round(found.value * found.n)
    told = "none" if count == 0 else "all" if count == found.n else str(count)
    if modality == "image":
        prompts = "the only prompt" if found.n == 1 else f"{told} of the {found.n} prompts"
        return f"It {'does not draw' if found.n == 1 and not count else 'draws'} {concept} for {prompts}"
    if found.n == 1:
        return f"It {'says' if count else 'does not say'} the only fact"
    return f"It says {told} of the {found.n} facts"


_COUNTED = ("forget/key_fact", "forget/attack_success")
"""Shares of probes, so that how many they are can be said."""


def _open(verdict: Verdict) -> str:
    """Why a model has not forgotten although it may say little enough."""
    known = verdict.forgetting == "not forgotten" and verdict.finding("says").outcome == "undecided"
    return " (whether that is too much is undecided)" if known else ""


def _destroyed_by(verdict: Verdict, modality: Modality) -> list[str]:
    """The rules by which a model is destroyed, each with its number; one of a kind is enough."""
    found: dict[Question, str] = {}
    for each in verdict.findings:
        if each.question in DESTROYED and each.outcome == "yes" and each.measured is not None:
            words = _useless if each.question == "gibberish" else _left
            found.setdefault(each.question, words(each.measured, modality))
    return list(found.values())


def _useless(measured: Comparison, modality: Modality) -> str:
    things = "answers are gibberish" if modality == "text" else "pictures show nothing recognisable"
    share = "all" if round(100 * measured.value) == 100 else f"{per_cent(measured.value)} of"
    return f"{share} {MetricKey.parse(measured.key).role} {things}"


def _left(measured: Comparison, modality: Modality) -> str:
    role = MetricKey.parse(measured.key).role
    things = (
        f"{role} {'answers' if modality == 'text' else 'pictures'} are" if role == "retain" else "utility is"
    )
    share = measured.value / measured.base if measured.base > 0 else math.nan
    if not math.isnan(share) and round(100 * share) <= 0:
        return f"no {things} left"
    return f"only {per_cent(share)} of the original's {things} left"


def _still_has(verdict: Verdict) -> str:
    """What shows that the model still has what it does not say; nothing where it says it."""
    if verdict.finding("says").outcome == "yes":
        return ""
    reasons = {
        each.question: _REASONS[each.question].format(
            value=_value(found.key, found.value), share=per_cent(found.value)
        )
        for each in sorted(verdict.findings, key=lambda each: each.excess)  # of one question the most
        if each.question in HIDDEN and each.outcome == "yes" and (found := each.measured) is not None
    }
    if not reasons:
        return ""
    told = _listed([reasons[each] for each in HIDDEN if each in reasons])
    return f", {'and' if verdict.finding('says').leans else 'but'} {told}"


_REASONS: Mapping[Question, str] = {
    "closer": "is closer to the original than to the retained model",
    "rates": "still finds the true answers likely (probability {value})",
    "leaks": "gives them away when sampled often",
    "attacked": "an attack brings back {share} of what the original knows",
    "denoising": "still fits such pictures as well as before",
}


def _cost(verdict: Verdict) -> str:
    if not verdict.costs:
        return "what it cost was not tested"
    lost = [each for each in verdict.costs if share_lost(each) >= SHOWN_SHARE]
    parts = [
        f"{per_cent(share_lost(each))} of {COST_NOUNS[each.question]}"
        + (" (not decided)" if each.outcome == "undecided" else "")
        for each in lost
    ]
    missed = [UNTESTED_NOUNS[question] for question in COST if question in verdict.untested]
    text = f"it cost {_listed(parts)}" if parts else "it cost nothing that was tested"
    return text + (f" ({_listed(missed)} not tested)" if missed else "")


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _deciding(finding: Finding) -> str:
    deciding = would_decide_finding(finding)
    return f"undecided, {deciding}" if deciding else "undecided"


def _number(measured: Comparison) -> str:
    value = _value(measured.key, measured.value)
    if math.isnan(measured.low) or math.isnan(measured.high):
        return value
    return f"{value} [{_value(measured.key, measured.low)}, {_value(measured.key, measured.high)}]"


def _value(key: str, value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _title(key: str) -> str:
    metric = METRICS.get(MetricKey.parse(key).name)
    return metric.card.title if metric is not None else key
