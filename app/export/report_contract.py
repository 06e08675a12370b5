"""The contract in a report: its conditions, and whether the models shown keep to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from app.export.report_parts import Table
from app.shared.contract_words import condition_text, said
from cache.analysis.contract import Checked, outcome_of


def contract_tables(checked: Sequence[Checked], shown: Collection[str]) -> list[Table]:
    """A table for each model shown: every condition, whether it holds, and what was found."""
    found = []
    for model in (name for name in shown if any(each.model == name for each in checked)):
        own = [each for each in checked if each.model == model]
        rows = [[condition_text(each.condition), each.outcome, said(each) or "–"] for each in own]
        found.append(Table(["Condition", "Outcome", "Found"], rows, f"{model}: {outcome_of(own)}"))
    return found


def contract_result(checked: Sequence[Checked], shown: Collection[str]) -> list[str]:
    """The overall result: a sentence for each outcome that models shown have; nothing without a contract."""
    by_model: dict[str, list[Checked]] = {}
    for each in checked:
        if each.model in shown:
            by_model.setdefault(each.model, []).append(each)
    groups: dict[str, list[str]] = {}
    for model, own in by_model.items():
        groups.setdefault(outcome_of(own), []).append(model)
    words = {
        "holds": "Every condition holds for",
        "undecided": "Undecided, with no condition broken, for",
        "broken": "Broken by",
    }
    return [f"{told} {', '.join(groups[name])}." for name, told in words.items() if name in groups]
