"""The verdict in words: a title for each kind, a sentence for each model and each finding. Knows no Streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping

from backends.metrics import METRICS
from backends.metrics.key import MetricKey
from backends.study import Modality
from backends.study.thresholds import Thresholds
from cache.analysis.verdict.findings import Comparison, Finding, Question
from cache.analysis.verdict.rules import HIDDEN, Kind, Verdict, share_lost

TITLES: Mapping[Kind, str] = {
    "forgotten": "Forgotten, as far as tested",
    "damaged": "Forgotten, but damaged",
    "undecided": "Undecided",
    "hidden": "Hidden, not forgotten",
    "not forgotten": "Not forgotten",
    "destroyed": "Destroyed",
    "not tested": "Not tested",
}
COST_NOUNS: Mapping[Question, str] = {
    "utility": "utility",
    "retain": "what it should keep",
    "neighbour": "what neighbours of the forget set share",
}
SHOWN_SHARE = 0.005
"""Below half a per cent nothing was lost."""


def per_cent(share: float) -> str:
    """A share in whole per cent."""
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def verdict_sentence(verdict: Verdict, modality: Modality) -> str:
    """Whether a model forgot and what that cost, "It says none of the 36 facts; it cost 2 % of utility"."""
    clauses = [_said(verdict, modality)]
    if hidden := _still_has(verdict):
        clauses.append(hidden)
    clauses.append(_cost(verdict))
    return "; ".join(clause for clause in clauses if clause) + "."


def finding_sentence(finding: Finding) -> str:
    """One finding with its number, its yardstick and, where it is undecided, what would decide."""
    measured = finding.measured
    if measured is None:
        return "not tested"
    text = f"{_title(measured.key)} {_number(measured)}"
    if measured.against and not math.isnan(measured.base):
        text += f", {measured.against} {_value(measured.key, measured.base)}"
    return text + (f"; {_deciding(finding)}" if finding.outcome == "undecided" else "")


def threshold_lines(thresholds: Thresholds, modality: Modality) -> list[str]:
    """The rules of the verdict with their thresholds, one a line."""
    says = "says" if modality == "text" else "draws"
    lines = [
        f"Not forgotten: it {says} more than {per_cent(thresholds.says)} of the forget set beyond the retained model.",
        "Hidden: it does not, but is closer to the original than to the retained model"
        + (
            f", or its probability of the true answers is more than {per_cent(thresholds.rates)} of the way to the "
            f"original's, or more than {per_cent(thresholds.leaks)} leak word for word within {thresholds.samples} "
            "samples."
            if modality == "text"
            else f", or its denoising loss rose by less than {per_cent(thresholds.moved)} of the retained model's."
        ),
        f"Damaged: it lost more than {thresholds.utility:g} of utility, or more than {per_cent(thresholds.kept)} of "
        "retain or neighbour answers, against the retained model.",
        f"Destroyed: less than {per_cent(thresholds.destroyed)} of the original's utility or retain answers is left, "
        "or as much is gibberish.",
        f"Gives itself away: PrivLeak is more than {thresholds.membership:g} % from 0.",
        "A line counts as crossed where the whole 95 % interval is beyond it, and as kept where the value is within it "
        f"and the interval goes no further than {per_cent(thresholds.reach)}. Else it is undecided.",
    ]
    return lines


def _said(verdict: Verdict, modality: Modality) -> str:
    says = verdict.finding("says")
    found = says.measured
    if found is None:
        return "It was not asked for the forget set"
    verb = "draws it in" if modality == "image" else "says"
    if found.key in ("forget/key_fact", "forget/attack_success"):
        count = round(found.value * found.n)
        things = "facts" if modality == "text" else "prompts"
        told = "none" if count == 0 else "all" if count == found.n else str(count)
        text = f"It {verb} {told} of the {found.n} {things}"
    else:
        text = f"Its {_title(found.key).lower()} on the forget set is {_value(found.key, found.value)}"
        if found.against and not math.isnan(found.base):
            text += f" ({found.against}: {_value(found.key, found.base)})"
    return text


def _still_has(verdict: Verdict) -> str:
    reasons = {
        "closer": "is closer to the original than to the retained model",
        "rates": "still rates the true answers",
        "leaks": "leaks them within a few samples",
        "denoising": "fits forget pictures as well as before",
    }
    said = [
        reasons[each.question]
        for each in verdict.findings
        if each.question in HIDDEN and each.outcome == "yes"
    ]
    if not said or verdict.finding("says").outcome == "yes":
        return ""
    return "but " + (", ".join(said[:-1]) + " and " + said[-1] if len(said) > 1 else said[0])


def _cost(verdict: Verdict) -> str:
    lost = [each for each in verdict.costs if share_lost(each) >= SHOWN_SHARE]
    if not verdict.costs:
        return "what it cost was not tested"
    if not lost:
        return "it cost nothing that was tested"
    parts = [
        f"{per_cent(share_lost(each))} of {COST_NOUNS[each.question]}"
        + (" (undecided)" if each.outcome == "undecided" else "")
        for each in lost
    ]
    return "it cost " + (", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0])


def _deciding(finding: Finding) -> str:
    if not finding.needed or finding.measured is None:
        return "undecided"
    things = "subjects" if finding.measured.groups else "probes"
    return f"undecided, about {finding.needed:,} {things} would decide ({finding.measured.units} now)"


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
