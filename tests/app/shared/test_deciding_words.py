"""How many probes would decide is said alike by `check`, the verdict, Overview's scales and what is missing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from app.pages.overview.missing import gaps
from app.pages.overview.scales import scales
from app.pages.overview.subject import of_study
from app.shared.contract_words import said
from app.shared.verdict_sureness import how_sure
from app.shared.verdict_words import finding_sentence
from backends.study.contract import parsed
from cache.analysis.contract import Checked
from cache.analysis.scoreboard import scoreboard
from cache.analysis.verdict.findings import Comparison, Finding, missing
from cache.analysis.verdict.rules import Verdict
from cache.store import open_store
from tests.filled_store import text_study


def undecided(needed: int, groups: int = 0) -> Finding:
    measured = Comparison("retain/key_fact", 0.7, 0.5, 0.9, 0.9, "Retained", -0.2, -0.4, 0.01, 36, groups)
    return Finding("retain", "undecided", measured, 0.2, -0.01, 0.4, 0.1, needed)


@pytest.mark.parametrize(
    ("needed", "groups", "told"),
    [
        (14, 6, "about 14 subjects would decide"),
        (1000, 0, "about 1,000 probes would decide"),
        (1001, 0, "more than 1,000 probes would decide"),
        (83_214, 6, "more than 1,000 subjects would decide"),
    ],
)
def test_every_place_says_the_same(needed: int, groups: int, told: str, tmp_path: Path) -> None:
    finding = undecided(needed, groups)
    study = text_study()
    empty = tuple(missing(each) for each in ("says", "rates", "utility", "neighbour", "refuses", "gibberish"))
    verdict = Verdict("NPO 10", (*empty, finding))
    frame = scoreboard(study, open_store(tmp_path / "evidence.sqlite")).frame
    subject = of_study(study, frame, {"NPO 10": verdict})
    now = groups or 36
    assert finding_sentence(finding).endswith(f"undecided, {told} ({now} now)")
    assert f"NPO 10 ({told}, {now} now)" in " ".join(gap.text for gap in gaps(subject, [], ["retain"]))
    scale = next(each for each in scales(verdict, subject) if each["title"] == "Retain")
    assert scale["said"].endswith(f"undecided, {told} ({now} now)")


def test_how_sure_and_check_cap_it_too() -> None:
    condition = parsed("retain/key_fact", ">= retained - 0.1")
    assert condition is not None
    checked = Checked("NPO 10", condition, "undecided", math.nan, math.nan, math.nan, math.nan, math.nan)
    assert said(replace(checked, needed=5000, units=36)) == "more than 1,000 probes would decide (36 now)"
    says, kept = replace(undecided(0), question="says", outcome="no"), undecided(5000)
    sure = how_sure(Verdict("NPO 10", (says, kept, missing("utility"))), "text")
    assert "; more than 1,000 would decide)" in sure
