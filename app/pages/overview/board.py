"""Everything the Overview component draws, as plain data: headline, rows, curve, examples, gaps, rules. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.looks.safe_text import visible
from app.pages.overview.curve import curve
from app.pages.overview.missing import Gap
from app.pages.overview.scales import SCALES, scales
from app.pages.overview.subject import Subject
from app.shared.verdict_badges import badge_mark, badge_word, badges
from app.shared.verdict_sureness import how_sure
from app.shared.verdict_words import TITLES, choice_lines, headline, threshold_lines, verdict_sentence
from cache.analysis.verdict.methods import Method
from cache.analysis.verdict.rules import Verdict

MOST_METHODS = 100
MOST_CHECKPOINTS = 40
"""More rows than a person reads: what did worse than these is on Trade-offs."""

Opened = Mapping[str, Any]
"""Where a click leads: page, and what that page is to show."""
Link = Callable[[Opened], str]
"""The address of the same, for a new window."""


def board(
    subject: Subject,
    examples: Sequence[Mapping[str, Any]],
    gaps: Sequence[Gap],
    opens: Callable[[str], Opened],
    link: Link,
    *,
    dark: bool,
) -> dict[str, Any]:
    """What the component draws.

    Args:
        subject: what is judged.
        examples: from `example_cards`.
        gaps: what is missing.
        opens: where a click on a model leads.
        link: addresses.
        dark: the theme.
    """
    rows = [_method(method, subject, opens, link, dark) for method in subject.methods[:MOST_METHODS]]
    drawn = curve(subject, dark=dark, link=lambda name: link({"page": "tradeoffs", "run": name}))
    return {
        "headline": [visible(each) for each in _headline(subject)],
        "sure": how_sure(subject.methods[0].best, subject.modality) if subject.methods else "",
        "about": visible(subject.about),
        "heads": [{"title": each.title, "about": each.about} for each in SCALES[subject.modality]],
        "against": [_mark(name, subject, dark) for name in (subject.original, subject.retained) if name],
        "yardstick": visible(subject.yardstick),
        "rows": rows,
        "methods": len(subject.methods),
        "curve": drawn,
        "examples": list(examples),
        "gaps": [
            {"text": visible(each.text), "mend": each.mend, "how": each.how, "code": each.code}
            for each in gaps
        ],
        "runs": link({"page": "runs"}),
        "attacks": link({"page": "robustness"}),
        "rules": [
            *threshold_lines(subject.thresholds, subject.modality, retained=bool(subject.retained)),
            *choice_lines(subject.methods, subject.modality),
        ],
    }


def _headline(subject: Subject) -> list[str]:
    best = [subject.concept_of(method.best.model) for method in subject.methods[:1]]
    return headline(subject.methods, subject.modality, *best)


def _method(
    method: Method, subject: Subject, opens: Callable[[str], Opened], link: Link, dark: bool
) -> dict[str, Any]:
    return {
        "name": visible(method.name),
        "count": len(method.others),
        "others": [
            _row(each, subject, opens, link, dark)
            for each in sorted(
                method.others[:MOST_CHECKPOINTS], key=lambda each: subject.steps.get(each.model, 0)
            )
        ],
    } | _row(method.best, subject, opens, link, dark)


def _row(
    verdict: Verdict, subject: Subject, opens: Callable[[str], Opened], link: Link, dark: bool
) -> dict[str, Any]:
    opened = opens(verdict.model)
    return {
        **_mark(verdict.model, subject, dark),
        "kind": badge_mark(verdict),
        "short": badge_word(verdict),
        "kind_title": TITLES[verdict.kind],
        "badges": badges(verdict, subject.modality),
        "sentence": visible(verdict_sentence(verdict, subject.modality, subject.concept_of(verdict.model))),
        "scales": scales(verdict, subject),
        "open": opened,
        "href": link(opened),
    }


def _mark(name: str, subject: Subject, dark: bool) -> dict[str, Any]:
    look = subject.looks[name]
    return {
        "key": name,
        "title": visible(name),
        "look": {"symbol": look.symbol, "colour": look.on(dark)},
    }
