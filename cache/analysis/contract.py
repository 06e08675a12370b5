"""Whether models keep to a study's contract: every condition is held against a 95 % interval, never against a value.

A condition holds where the whole interval of the difference to its line is on the right side, is broken where the whole
interval is on the wrong side, and is undecided otherwise. What was not measured is broken: nothing shows that it holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from backends.study import Study
from backends.study.contract import Condition
from backends.study.targets import retained_for
from cache.analysis.paired_tests import LEAST_GROUPS
from cache.analysis.scoreboard import Scoreboard
from cache.analysis.verdict.comparisons import StudyNumbers
from cache.analysis.verdict.findings import ROUNDING, Comparison, Question, units_needed
from cache.analysis.verdict.rules import COST, DESTROYED, HIDDEN, Verdict
from cache.analysis.verdict.verdicts import verdicts

EVALUATE = "run `unlearnboard evaluate`"
NOT_MEASURED = f"not evaluated: {EVALUATE}"
Kept = Literal["holds", "broken", "undecided"]
Things = Literal["probes", "subjects"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One condition, held against one model.

    Attributes:
        model: its name.
        condition: what was promised.
        outcome: whether it holds.
        value: the model's number, NaN where it has none or the condition is on the verdict.
        line: the number that it must not cross, as far as it is known: of the yardstick on the same probes.
        difference, low, high: value - line with its 95 % interval; NaN where unknown.
        units: probes (or subjects) that it stands on.
        things: what they are.
        needed: about how many would decide; 0 where it is decided or no number can be told.
        why: what the verdict is, or what is missing; "" for a number that was measured.
    """

    model: str
    condition: Condition
    outcome: Kept
    value: float = math.nan
    line: float = math.nan
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    units: int = 0
    things: Things = "probes"
    needed: int = 0
    why: str = ""


def check_contract(study: Study, board: Scoreboard, models: Sequence[str]) -> list[Checked]:
    """All conditions of the study's contract on these models, model by model."""
    numbers = StudyNumbers(study, board)
    asked = any(each.word for each in study.contract)
    judged: Mapping[str, Verdict] = verdicts(study, board) if asked else {}
    return [
        on_verdict(model, condition, judged) if condition.word else _on_number(model, condition, numbers)
        for model in models
        for condition in study.contract
    ]


def outcome_of(checked: Sequence[Checked]) -> Kept:
    """Of all conditions together: broken where one is, undecided where one is and none is broken."""
    found = {each.outcome for each in checked}
    return "broken" if "broken" in found else "undecided" if "undecided" in found else "holds"


def held(
    condition: Condition, model: str, difference: float, low: float, high: float, units: int = 0
) -> Checked:
    """Hold value - line, with its 95 % interval, against a condition.

    Args:
        condition: on which side of its line the value must be; on the line is on the right side.
        model: whose value it is.
        difference: value - line.
        low, high: its interval; NaN or infinite where it cannot be told, which decides nothing.
        units: independent things that were asked.
    """
    excess, least, most = (difference, low, high) if condition.sign == "<=" else (-difference, -high, -low)
    outcome: Kept = "undecided"
    if most <= ROUNDING:
        outcome = "holds"
    elif least > ROUNDING:
        outcome = "broken"
    needed = units_needed(units, excess, least, most, 0.0, 0.0) if outcome == "undecided" else 0
    return Checked(
        model, condition, outcome, difference=difference, low=low, high=high, units=units, needed=needed
    )


def _on_number(model: str, condition: Condition, numbers: StudyNumbers) -> Checked:
    against = condition.against
    if against == "retained" and numbers.study.retained is None:
        return Checked(model, condition, "broken", why="the study has no retained model")
    if against == "retained" and retained_for(numbers.study, model) is None:
        return Checked(model, condition, "broken", why="the retained model saw what this one was to forget")
    found = numbers.read(model, condition.key, against, condition.factor)
    if found is None:
        return Checked(model, condition, "broken", why=NOT_MEASURED)
    if against and math.isnan(found.difference):
        return Checked(model, condition, "broken", found.value, why=f"not measured on the {against} model")
    return _measured(model, condition, found)


def _measured(model: str, condition: Condition, found: Comparison) -> Checked:
    offset = condition.offset
    line = found.base + offset if condition.against else offset
    difference, low, high = (
        (found.difference, found.least, found.most)
        if condition.against
        else (found.value, found.low, found.high)
    )
    each = held(condition, model, difference - offset, low - offset, high - offset, found.units)
    things: Things = "subjects" if found.groups else "probes"
    why = ""
    if each.outcome == "undecided" and not (math.isfinite(each.low) and math.isfinite(each.high)):
        few = f" (fewer than {LEAST_GROUPS} {things})" if math.isinf(each.low) else ""
        why = f"interval not known{few}"
    each = replace(each, value=found.value, line=line, things=things, why=why)
    return _answered(each, found) if found.incomplete else each


def _answered(each: Checked, found: Comparison) -> Checked:
    """What is missing might be what breaks the condition, so it does not hold yet."""
    said = f"{found.n} of {found.complete} probes answered; {EVALUATE}"
    outcome: Kept = "broken" if each.outcome == "broken" else "undecided"
    return replace(each, outcome=outcome, needed=0, why="; ".join(text for text in (each.why, said) if text))


def on_verdict(model: str, condition: Condition, judged: Mapping[str, Verdict]) -> Checked:
    """Hold a model's verdict, of those by name, against a condition on it."""
    verdict = judged.get(model)
    if verdict is None:
        return Checked(model, condition, "broken", why=NOT_MEASURED)
    said, outcome, asked = _said(verdict, condition)
    lacking = [
        each.measured for each in verdict.incomplete if each.question in asked and each.measured is not None
    ]
    if lacking:
        return _answered(Checked(model, condition, outcome, why=said), min(lacking, key=_share_answered))
    if outcome != "undecided":
        return Checked(model, condition, outcome, why=said)
    # All of them must be decided: the one that takes the most probes is the last.
    open_ones = [each for each in verdict.open_questions if each.question in asked]
    last = max(open_ones, key=lambda each: each.needed or math.inf, default=None)
    if last is None or last.measured is None:
        return Checked(model, condition, outcome, why=said)
    measured = last.measured
    if not last.needed:
        key = measured.key.replace("/", ".", 1)
        finite = math.isfinite(last.low) and math.isfinite(last.high)
        why = "its value is at or near the line" if finite else "its interval is not known"
        said = f"{said}: no number of probes is known to decide {key}, {why}"
    things: Things = "subjects" if measured.groups else "probes"
    return Checked(
        model, condition, outcome, units=measured.units, things=things, needed=last.needed, why=said
    )


def _share_answered(found: Comparison) -> float:
    return found.n / found.complete


def _said(verdict: Verdict, condition: Condition) -> tuple[str, Kept, tuple[Question, ...]]:
    """What the verdict is, whether that keeps the condition, and which questions it rests on."""
    if condition.word == "forgotten":
        forgetting: dict[str, Kept] = {"forgotten": "holds", "undecided": "undecided"}
        return verdict.forgetting, forgetting.get(verdict.forgetting, "broken"), ("says", *HIDDEN)
    if condition.word == "not damaged":
        harm: dict[str, Kept] = {"none found": "holds", "undecided": "undecided"}
        return verdict.harm, harm.get(verdict.harm, "broken"), COST
    found = {each.outcome for each in verdict.findings if each.question in DESTROYED}
    if "yes" in found:
        return verdict.harm, "broken", DESTROYED
    if "undecided" in found:
        said = (
            "undecided" if verdict.harm == "undecided" else f"{verdict.harm}; destroyed or not is undecided"
        )
        return said, "undecided", DESTROYED
    return (verdict.harm, "holds", DESTROYED) if "no" in found else ("not tested", "broken", DESTROYED)
