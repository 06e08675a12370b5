"""Differences in words: what cannot be told is said, not printed as a number."""

import numpy as np
import pandas as pd

from app.shared.difference_words import difference_text, effect_text, remarks
from app.shared.difference_words import told as told_table
from cache.analysis.differences import difference
from cache.exporters.tables import to_csv, to_json, to_latex, to_markdown


def told(values: list[float], subjects: dict[str, str] | None = None) -> str:
    ids = [f"p{n}" for n in range(len(values))]
    found = difference(pd.Series(0.0, index=ids), pd.Series(values, index=ids), subjects=subjects)
    assert found is not None
    return difference_text(found)


def test_a_difference_has_its_interval_test_and_effect() -> None:
    said = told([0.1, 0.2, 0.3, 0.15, 0.25, 0.2, 0.1, 0.3])
    assert said.startswith("mean difference +0.200 [+0.")
    assert "over 8 probes, paired sign-flip test p = 0.0" in said
    assert "effect size d = 2.49" in said


def test_too_few_probes_and_equal_differences_are_said() -> None:
    assert "(fewer than 6 probes: how large it is cannot be told)" in told([0.1, 0.2])
    assert told([0.5] * 8).endswith("all differences are equal")
    assert "inf" not in told([0.5] * 8) + told([0.0] * 8)
    assert "all values are equal" in told([0.0] * 8)


def test_subjects_are_named() -> None:
    subjects = {f"p{n}": f"s{n // 2}" for n in range(14)}
    assert "over 14 probes of 7 subjects, each taken as a whole" in told(list(np.arange(14.0)), subjects)
    few = {name: f"s{n % 3}" for n, name in enumerate(subjects)}
    assert "(fewer than 6 subjects: how large it is cannot be told)" in told(list(np.arange(14.0)), few)
    one = dict.fromkeys(subjects, "one")
    assert "over 14 probes of one subject, paired" in told(list(np.arange(14.0)), one)


def test_an_effect_without_spread_reads_properly() -> None:
    assert [effect_text(each) for each in (0.5, 0.0, -np.inf, np.inf, np.nan)] == [
        "+0.50",
        "none",
        "all equal",
        "all equal",
        "–",
    ]


def test_a_table_for_files_has_words_and_gaps_and_nothing_infinite() -> None:
    table = pd.DataFrame({"low": [-np.inf, -0.2], "high": [np.inf, 0.1], "effect": [-np.inf, 0.25]})
    for text in (each(told_table(table)) for each in (to_csv, to_json)):
        assert "inf" not in text.lower() and "all equal" in text and "0.25" in text
    for text in (each(told_table(table), {}) for each in (to_latex, to_markdown)):
        assert "inf" not in text.lower() and "all equal" in text and "0.25" in text
    assert told_table(table.iloc[1:]).equals(table.iloc[1:])


def test_remarks_of_a_table() -> None:
    def said(n: int, groups: int, alone: bool = False, p: float = np.nan) -> str:
        table = {"n": [n, n], "groups": [groups, 0], "alone": [alone, False], "p": [0.04, p]}
        return remarks(pd.DataFrame(table))

    assert said(12, 0) == ""
    assert said(3, 0) == "With fewer than 6 probes it cannot be told whether a mean changed."
    assert "(7 subjects)" in said(14, 7) and "cannot be told" not in said(14, 7)
    assert "fewer than 6 subjects it cannot be told" in said(12, 4)
    assert "this subject alone" in said(14, 0, alone=True)
    assert "no p-value is below 0.031, and none below 0.05 after correction for 2 models" in said(
        36, 6, p=0.3
    )
    assert "no p-value" not in said(36, 0, p=0.3)
