"""A checked contract in words: a condition as it is written, and what was found. Knows no Streamlit."""

from __future__ import annotations

import math

from app.shared.deciding_words import would_decide
from backends.study.contract import Condition
from cache.analysis.contract import Checked


def condition_text(condition: Condition) -> str:
    """As it stands in the study file, on one line."""
    return f"{condition.key.replace('/', '.', 1)} {condition.word or condition.text}"


def said(each: Checked) -> str:
    """What was found, in words: the number, the line, their difference with its interval, and what would decide."""
    parts = [each.why] if each.why else []
    if not math.isnan(each.value):
        text = _number(each.value)
        if not math.isnan(each.line):
            text += f", line {_number(each.line)}, difference {_signed(each.difference)}"
        if math.isfinite(each.low) and math.isfinite(each.high):
            text += f" [{_signed(each.low)}, {_signed(each.high)}]"
        parts.append(text)
    if each.outcome == "undecided" and each.needed:
        parts.append(would_decide(each.needed, each.things, each.units))
    return "; ".join(parts)


def _number(number: float) -> str:
    return f"{number:.3f}" if abs(number) < 100 else f"{number:,.0f}"


def _signed(number: float) -> str:
    return f"{number:+.3f}" if abs(number) < 100 else f"{number:+,.0f}"
