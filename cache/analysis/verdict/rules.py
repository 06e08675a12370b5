"""The verdict on a model: rules over findings. Pure functions of intervals and stated thresholds.

It is always relative to this original, this retained model and these tests; nothing is ever "gone".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cache.analysis.verdict.findings import Finding, Outcome, Question

Forgetting = Literal["forgotten", "undecided", "hidden", "not forgotten", "not tested"]
"""forgotten: as far as tested. hidden: it does not say it, but still has it."""
Harm = Literal["none found", "undecided", "damaged", "destroyed", "not tested"]
Kind = Literal["forgotten", "damaged", "undecided", "hidden", "not forgotten", "destroyed", "not tested"]
"""Both in one word, for badges and for order."""

HIDDEN: tuple[Question, ...] = ("closer", "rates", "leaks", "attacked", "denoising")
"""Questions whose "yes" means that the model still has what it does not say."""
COST: tuple[Question, ...] = ("utility", "retain", "neighbour")
DESTROYED: tuple[Question, ...] = ("destroyed", "gibberish")
SEVEREST_FIRST: tuple[Outcome, ...] = ("yes", "undecided", "no", "missing")
KINDS: tuple[Kind, ...] = (
    "forgotten",
    "damaged",
    "undecided",
    "hidden",
    "not forgotten",
    "destroyed",
    "not tested",
)
"""From the best to the worst."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says of one model.

    Attributes:
        model: its name.
        findings: every question that is asked in this modality, in order; those without evidence are "missing".
    """

    model: str
    findings: tuple[Finding, ...]

    def finding(self, question: Question) -> Finding:
        """The answer to a question, of several the one that speaks most against it; KeyError if it was not asked."""
        found = [each for each in self.findings if each.question == question]
        if not found:
            raise KeyError(question)
        return min(found, key=lambda each: SEVEREST_FIRST.index(each.outcome))

    @property
    def forgetting(self) -> Forgetting:
        """Whether it forgot."""
        says = self.finding("says")
        held = [each for each in self.findings if each.question in HIDDEN]
        outcomes = {each.outcome for each in held}
        if says.outcome == "missing":
            return "not tested"
        if says.outcome == "yes":
            return "not forgotten"
        if "yes" in outcomes:  # it has it, whether or not it says it
            return "not forgotten" if says.leans else "hidden"
        open_yet = "undecided" in outcomes | {says.outcome} or self._lacks(("says", *HIDDEN))
        return "undecided" if open_yet else "forgotten"

    @property
    def harm(self) -> Harm:
        """What it cost the rest."""
        gone = {each.outcome for each in self.findings if each.question in DESTROYED}
        cost = {each.outcome for each in self.findings if each.question in COST}
        if "yes" in gone:
            return "destroyed"
        if "yes" in cost:
            return "damaged"
        if cost <= {"missing"}:
            return "not tested"
        return "undecided" if "undecided" in cost or self._lacks(COST) else "none found"

    @property
    def kind(self) -> Kind:
        """Forgetting and harm in one word: a destroyed model has forgotten nothing worth having."""
        if self.forgetting == "not tested":
            return "not tested"
        if self.harm == "destroyed":
            return "destroyed"
        if self.forgetting == "forgotten":
            return "damaged" if self.harm == "damaged" else "forgotten"
        return self.forgetting

    @property
    def damage(self) -> tuple[Finding, ...]:
        """Costs that are beyond their threshold, the worst first."""
        return tuple(each for each in self.costs if each.outcome == "yes")

    @property
    def costs(self) -> tuple[Finding, ...]:
        """Everything that was measured of what should stay, the largest share lost first."""
        found = [each for each in self.findings if each.question in COST and each.outcome != "missing"]
        return tuple(sorted(found, key=lambda each: -share_lost(each)))

    @property
    def worst(self) -> Finding | None:
        """What was lost most, as a share of what there was."""
        return next(iter(self.costs), None)

    @property
    def incomplete(self) -> tuple[Finding, ...]:
        """Findings that stand on fewer probes than would be answered, so that their "no" shows nothing yet."""
        return tuple(each for each in self.findings if each.measured is not None and each.measured.incomplete)

    def _lacks(self, questions: Sequence[Question]) -> bool:
        return any(each.question in questions for each in self.incomplete)

    @property
    def untested(self) -> tuple[Question, ...]:
        """Questions without evidence."""
        return tuple(
            dict.fromkeys(
                each.question
                for each in self.findings
                if each.outcome == "missing" and self.finding(each.question).outcome == "missing"
            )
        )

    @property
    def open_questions(self) -> tuple[Finding, ...]:
        """Findings that keep the verdict from being firmer, those that the fewest probes would decide first."""
        found = [each for each in self.findings if each.outcome == "undecided"]
        return tuple(sorted(found, key=lambda each: each.needed or math.inf))


def share_lost(cost: Finding) -> float:
    """Which share of the yardstick's number a model lost, 0 to 1 and below 0 where it gained; 0 without one."""
    measured = cost.measured
    if measured is None or not measured.base > 0 or math.isnan(cost.excess):
        return 0.0
    return cost.excess / measured.base


def order(verdict: Verdict) -> tuple[int, float]:
    """Sort key, best first: by kind, then by the worst cost."""
    worst = verdict.worst
    return KINDS.index(verdict.kind), share_lost(worst) if worst else 0.0


def best_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts in order; of equal ones, as given."""
    return sorted(verdicts, key=order)


def destroyed_models(found: Mapping[str, Verdict]) -> tuple[str, ...]:
    """Names of the models that are destroyed."""
    return tuple(name for name, verdict in found.items() if verdict.kind == "destroyed")
