"""How many more probes would decide what is undecided, in words: the same on every page, in reports and in `check`."""

from __future__ import annotations

from cache.analysis.verdict.findings import Finding

MOST_TOLD = 1000
"""Beyond so many, how many probes would decide is no advice."""


def about(needed: int) -> str:
    """How many would decide, "about 14" or "more than 1,000"."""
    return f"about {needed:,}" if needed <= MOST_TOLD else f"more than {MOST_TOLD:,}"


def would_decide(needed: int, things: str, now: int, *, aside: bool = False) -> str:
    """How many would decide beside how many there are, "about 14 subjects would decide (6 now)"; "" where unknown.

    Args:
        needed: how many would decide; 0 where that is not known.
        things: probes or subjects.
        now: how many there are.
        aside: it will stand in parentheses itself.
    """
    if not needed:
        return ""
    return f"{about(needed)} {things} would decide" + (f", {now:,} now" if aside else f" ({now:,} now)")


def would_decide_finding(finding: Finding, *, aside: bool = False) -> str:
    """The same of an undecided finding; "" of any other."""
    measured = finding.measured
    if measured is None or finding.outcome != "undecided":
        return ""
    things = "subjects" if measured.groups else "probes"
    return would_decide(finding.needed, things, measured.units, aside=aside)
