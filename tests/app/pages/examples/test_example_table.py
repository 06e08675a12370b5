"""Which examples are shown, in which order, and what can be taken along."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace

import pandas as pd
import pytest

from app.pages.examples.example_table import (
    NOT_WRITTEN,
    ExampleFilter,
    as_csv,
    as_jsonl,
    chosen_rows,
    order_names,
    outcome_names,
    table,
)
from backends.errors import StudyError
from cache.analysis.examples import Examples

INDEX = pd.Index(["a", "b", "c"])
VALUES = pd.DataFrame({"Original": [0.9, 0.9, 0.9], "NPO": [0.1, 0.9, 0.5]}, index=INDEX)
CHANGES = VALUES.sub(VALUES["Original"], axis=0)
SHOWN = Examples(
    original="Original",
    probes=pd.DataFrame(
        {
            "id": list(INDEX),
            "prompt": ["Where was Ada born?", "Who wrote it?", "Where (now)?"],
            "reference": ["Oslo", "Homer", "Lima"],
            "subject": ["Ada", "", "Bo"],
            "tags": [("place", "birth, early"), (), ("place",)],
        },
        index=INDEX,
    ),
    answers=pd.DataFrame(
        {"Original": ["Oslo", "Homer", "Lima"], "NPO": ["=1+1", "Homer", "I don't know\u202e"]}, index=INDEX
    ),
    outcomes=pd.DataFrame(
        {"Original": ["true", "true", "true"], "NPO": ["other", "true", "refusal"]}, index=INDEX
    ),
    values=VALUES,
    changes=CHANGES,
    gains=-CHANGES,
)


@pytest.mark.parametrize(
    ("choice", "rows"),
    [
        (ExampleFilter(), ["a", "c", "b"]),
        (ExampleFilter(order="best"), ["a", "c", "b"]),
        (ExampleFilter(order="worst"), ["b", "c", "a"]),
        (ExampleFilter(order="file"), ["a", "b", "c"]),
        (ExampleFilter(find="^where"), ["a", "c"]),
        (ExampleFilter(find="don't know"), ["c"]),
        (ExampleFilter(find="HOMER"), ["b"]),
        (ExampleFilter(outcomes=frozenset({"true"})), ["b"]),  # the original's own do not count
        (ExampleFilter(outcomes=frozenset({"true", "refusal"})), ["c", "b"]),
        (ExampleFilter(subject="Bo"), ["c"]),
        (ExampleFilter(tag="place"), ["a", "c"]),
        (ExampleFilter(tag="birth, early"), ["a"]),
        (ExampleFilter(tag="birth"), []),
        (ExampleFilter(different=True), ["a", "c"]),
    ],
)
def test_rows_are_those_that_fit_in_the_order_asked_for(choice: ExampleFilter, rows: list[str]) -> None:
    assert list(chosen_rows(SHOWN, choice)) == rows


@pytest.mark.parametrize("find", ["(", "*", "[", "\\", "(?=a)", r"(a)\1", "((a{1,1000}){1,1000})"])
def test_an_expression_that_is_not_searched_for_gets_one_sentence(find: str) -> None:
    with pytest.raises(
        StudyError, match=r"this is not a regular expression that can be searched for \([^)]+\)"
    ):
        chosen_rows(SHOWN, ExampleFilter(find=find))
    with pytest.raises(StudyError, match="501 characters is too long"):
        chosen_rows(SHOWN, ExampleFilter(find="a" * 501))


@pytest.mark.parametrize("find", ["(a+)+$", "(a|a)*$", "(.*a){12}$", r"^(\w+\s?)*$"])
def test_no_expression_takes_longer_than_the_text_is_long(find: str) -> None:
    hostile = pd.DataFrame({"Original": ["a" * 40 + "!", "", "a" * 5_000 + "!"]}, index=INDEX)
    shown = replace(SHOWN, answers=hostile)
    start = time.process_time()
    chosen_rows(shown, ExampleFilter(find=find))
    assert time.process_time() - start < 5.0  # seconds of the CPU; `re` needs years


def test_another_answer_with_the_same_value_differs() -> None:
    same = VALUES.assign(NPO=0.9)
    shown = Examples("Original", SHOWN.probes, SHOWN.answers, SHOWN.outcomes, same, same - same, same - same)
    assert list(chosen_rows(shown, ExampleFilter(different=True))) == ["a", "c"]


def test_the_table_shows_what_was_asked_for_and_no_hidden_characters() -> None:
    shown = table(SHOWN, ["c", "a"], ["answer", "outcome", "change"], "forget")
    assert shown["NPO", "answer"].tolist() == ["I don't know⟨U+202E⟩", "=1+1"]
    assert shown["NPO", "outcome"].tolist() == ["refusal", "other"]
    assert shown["Original", "outcome"].tolist() == ["leak", "leak"]
    assert shown["NPO", "change"].tolist() == pytest.approx([-0.4, -0.8])
    assert ("Original", "change") not in shown and ("NPO", "value") not in shown


def test_pictures_stand_before_their_models_values() -> None:
    drawn: dict[str, list[str | None]] = {"Original": ["data:a", "data:c"], "NPO": [None, "data:n"]}
    shown = table(SHOWN, ["a", "c"], ["picture", "value"], "forget", drawn)
    names = [column for column in shown if column[0]]
    assert names == [(model, what) for model in ("Original", "NPO") for what in ("picture", "value")]
    assert shown["NPO", "picture"].tolist()[1] == "data:n"


def test_an_answer_that_nobody_wrote_is_told_from_an_empty_one() -> None:
    answers = SHOWN.answers.assign(NPO=["", "", "Lima"])
    outcomes = SHOWN.outcomes.assign(NPO=["", "gibberish", "true"])
    shown = Examples("Original", SHOWN.probes, answers, outcomes, VALUES, CHANGES, CHANGES)
    assert list(table(shown, list("abc"), ["answer"], "holdout")["NPO", "answer"]) == [
        NOT_WRITTEN,
        "",
        "Lima",
    ]


def test_the_truth_is_a_leak_on_forget_probes_only() -> None:
    assert outcome_names("forget")["true"] == "leak"
    assert outcome_names("retain")["true"] == "true answer"


def test_a_csv_runs_nothing_and_jsonl_is_exact() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(SHOWN, ["a", "c"], "probability"))))
    assert rows[0]["NPO: answer"] == "'=1+1"
    assert float(rows[0]["NPO: probability"]) == 0.1
    lines = [json.loads(line) for line in as_jsonl(SHOWN, ["a", "c"], "probability").splitlines()]
    assert lines[0]["NPO: answer"] == "=1+1"
    assert lines[1]["NPO: answer"] == "I don't know\u202e"
    gap = Examples(
        "Original", SHOWN.probes, SHOWN.answers, SHOWN.outcomes, VALUES * float("nan"), CHANGES, CHANGES
    )
    assert json.loads(as_jsonl(gap, ["a"], "probability"))["NPO: probability"] is None


def test_beside_a_retained_model_rows_are_ordered_and_told_by_distance() -> None:
    values = VALUES.assign(Retained=[0.0, 0.0, 0.5])  # NPO: closer by 0.8, as far, closer by 0.4
    values.loc["c", "NPO"] = 0.0  # farther by 0.1
    distances = values.sub(values["Retained"], axis=0).abs()
    gains = distances.mul(-1).add(distances["Original"], axis=0)
    shown = replace(SHOWN, values=values, gains=gains, retained="Retained", distances=distances)
    assert list(chosen_rows(shown, ExampleFilter(order="worst"))) == ["c", "b", "a"]
    assert list(chosen_rows(shown, ExampleFilter(order="best"))) == ["a", "b", "c"]
    told = table(shown, ["c"], ["distance"], "forget")
    assert told["NPO", "distance"].tolist() == [0.5] and ("Retained", "distance") not in told
    row = next(csv.DictReader(io.StringIO(as_csv(shown, ["c"], "probability"))))
    assert row["NPO: distance to Retained"] == "0.5" and "Retained: distance to Retained" not in row
    assert "retained" in order_names("Retained")["worst"] and "retained" not in order_names("")["worst"]
