"""Examples: what is read from kept numbers equals the rules applied to the answers; counts and tests by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from backends.metrics import METRICS, StudyMetric
from backends.metrics.key import MetricKey
from backends.metrics.outcome import outcome
from backends.study import Study
from cache.analysis.examples import (
    STANDINGS,
    Examples,
    _standings,
    compare,
    examples,
    outcomes_of,
    retained_with,
)
from cache.analysis.paired_tests import holm, paired_test
from cache.analysis.scoreboard import Scoreboard, scoreboard
from cache.store import Store, open_store
from cache.store.reading import evidence_for
from tests.filled_store import fill_text, text_study

STUDY = text_study()
MODELS = ["Original", "Retained", "GradAscent 10", "IdkDPO 10"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store, Scoreboard]:
    store = open_store(Path(tmp_path_factory.mktemp("examples")) / "evidence.sqlite")
    fill_text(STUDY, store)
    return STUDY, store, scoreboard(STUDY, store)


def test_outcomes_are_those_of_the_rules(filled: tuple[Study, Store, Scoreboard]) -> None:
    study, store, board = filled
    kinds = set()
    for probe_set in study.probe_sets:
        for spec in study.models:
            found = outcomes_of(board, spec.name, probe_set.role)
            evidence = evidence_for(study, store, spec.name, probe_set.probes)
            for probe in probe_set.probes:
                expected = outcome(probe, evidence[probe.id].answers[0].text)
                assert found[probe.id] == expected, (spec.name, evidence[probe.id].answers[0].text)
                kinds.add(expected)
    assert {"true", "other"} <= kinds


def test_answers_values_and_changes_stand_beside_each_other(
    filled: tuple[Study, Store, Scoreboard],
) -> None:
    study, store, board = filled
    shown = examples(study, store, board, MODELS, "forget/probability", higher=False)
    assert list(shown.values.columns) == MODELS
    assert list(shown.probes["id"]) == [probe.id for probe in study.probe_sets[0].probes]
    assert (shown.changes["Original"] == 0).all()
    row = shown.probes["id"].iloc[2]
    value, original = (
        board.per_probe(name, "forget/probability")[row] for name in ("GradAscent 10", "Original")
    )
    assert shown.changes.loc[row, "GradAscent 10"] == pytest.approx(value - original)
    aim = board.per_probe("Retained", "forget/probability")[row]
    assert shown.retained == "Retained"
    assert shown.distances.loc[row, "GradAscent 10"] == pytest.approx(abs(value - aim))
    assert shown.gains.loc[row, "GradAscent 10"] == pytest.approx(abs(original - aim) - abs(value - aim))
    assert shown.compared == ["GradAscent 10", "IdkDPO 10"]
    probe = study.probe_sets[0].probes[2]
    written = evidence_for(study, store, "Retained", [probe])[probe.id].answers[0].text
    assert shown.answers.loc[row, "Retained"] == written


def made(values: dict[str, list[float]], *, higher: bool = True) -> Examples:
    """Examples with these values; the first model is the original."""
    frame = pd.DataFrame(values)
    frame.index = pd.Index([f"p{n}" for n in range(len(frame))])
    first = next(iter(values))
    changes = frame.sub(frame[first], axis=0)
    texts = pd.DataFrame("", index=frame.index, columns=list(values))
    probes = pd.DataFrame(
        {name: "" for name in ("prompt", "reference", "subject", "tags")}, index=frame.index
    )
    probes.insert(0, "id", list(frame.index))
    return Examples(first, probes, texts, texts, frame, changes, changes if higher else -changes)


def test_without_a_retained_model_the_original_is_the_yardstick(
    filled: tuple[Study, Store, Scoreboard],
) -> None:
    study, store, _ = filled
    study = replace(study, models=tuple(each for each in study.models if each.part != "retained"))
    board = scoreboard(study, store)
    names = [name for name in MODELS if name != "Retained"]
    shown = examples(study, store, board, names, "forget/probability", higher=False)
    assert (retained_with(study, board, "forget/probability"), shown.retained) == ("", "")
    assert shown.distances.columns.empty
    assert shown.gains.equals(-shown.changes)
    assert {"better", "worse"} <= set(compare(shown)) and "closer" not in compare(shown)


def beside_retained(values: dict[str, list[float]]) -> Examples:
    """Examples with these values; the first model is the original, the second the retained one."""
    shown = replace(made(values), outcomes=pd.DataFrame())
    original, retained = list(values)[:2]
    frame = shown.values
    distances = frame.sub(frame[retained], axis=0).abs()
    before = pd.DataFrame({name: distances[original] for name in values})
    return replace(
        shown, retained=retained, distances=distances, distances_before=before, gains=before - distances
    )


def test_forgetting_more_than_the_retained_model_is_farther() -> None:
    shown = beside_retained(
        {
            "Original": [0.9, 0.6, 0.5, 0.4, 0.6, 0.7],
            "Retained": [0.5, 0.5, 0.5, 0.3, 0.5, 0.5],
            "Same as retained": [0.5, 0.5, 0.5, 0.3, 0.5, 0.5],
            "Destroyed": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        }
    )
    table = compare(shown).set_index("model")
    assert list(table.index) == ["Same as retained", "Destroyed"]  # nothing is known of Retained's answers
    sides = table[["closer", "same", "farther"]]
    assert sides.loc["Same as retained"].tolist() == [5, 1, 0]
    assert sides.loc["Destroyed"].tolist() == [0, 0, 6]
    assert table["distance"].tolist() == pytest.approx([0.0, 2.8 / 6])
    assert table["value"].tolist() == pytest.approx([2.8 / 6, 0.0])
    before = np.array([0.4, 0.1, 0.0, 0.1, 0.1, 0.2])
    for name in table.index:
        expected = paired_test(shown.distances[name], before)
        found = table.loc[name, ["mean", "low", "high", "p"]].tolist()
        assert found == pytest.approx([expected.mean, expected.low, expected.high, expected.p])
    assert table["holm"].tolist() == pytest.approx(holm(table["p"].tolist()))


def test_models_stand_as_the_retained_one_short_of_it_or_past_it(
    filled: tuple[Study, Store, Scoreboard],
) -> None:
    study, store, board = filled
    names = [spec.name for spec in study.models]
    shown = examples(study, store, board, names, "forget/probability", higher=False)
    aim, table = shown.values["Retained"], compare(shown).set_index("model")
    for name in shown.compared:
        over = shown.values[name] - aim  # lower is better here
        expected = [int((over.abs() <= 0.1).sum()), int((over > 0.1).sum()), int((over < -0.1).sum())]
        assert table.loc[name, list(STANDINGS)].tolist() == expected and sum(expected) == 6
    assert table.loc["Retained", list(STANDINGS)].isna().all()
    kept = examples(study, store, board, MODELS, "retain/probability", higher=True)
    under = kept.values["Retained"] - kept.values["GradAscent 10"]
    assert (kept.standings["GradAscent 10"] == "short").sum() == (under > 0.1).sum() > 0


def test_a_tenth_of_the_range_is_as_retained() -> None:
    beyond = pd.DataFrame({"A": [0.1, 0.3 - 0.2, -0.1, 0.11, -0.11, np.nan]})
    assert list(_standings(beyond, 0.1)["A"]) == ["alike", "alike", "alike", "past", "short", ""]


def test_a_metric_without_range_or_better_way_has_no_standings(
    filled: tuple[Study, Store, Scoreboard],
) -> None:
    study, store, board = filled
    keys = [key for key in board.frame["key"].unique() if key.startswith("forget/")]
    cards = {key: METRICS[MetricKey.parse(key).name] for key in keys}
    endless = [
        key for key, each in cards.items() if not isinstance(each, StudyMetric) and each.card.reach is None
    ]
    assert endless
    for key in endless:
        shown = examples(study, store, board, MODELS, key, higher=False)
        assert shown.standings.columns.empty and "alike" not in compare(shown)


def test_the_retained_model_has_its_answers_counted_and_is_no_test(
    filled: tuple[Study, Store, Scoreboard],
) -> None:
    study, store, board = filled
    shown = examples(study, store, board, MODELS, "forget/probability", higher=False)
    table = compare(shown).set_index("model")
    assert list(table.index) == MODELS[1:]
    row = table.loc["Retained"]
    assert row[["closer", "same", "farther", "p", "mean"]].isna().all()
    assert row[["true", "refusal", "gibberish", "other"]].sum() == len(shown.probes)
    assert table["holm"].dropna().tolist() == pytest.approx(holm(table["p"].dropna().tolist()))


def test_counts_by_hand() -> None:
    shown = made({"Original": [0.5, 0.5, 0.5, np.nan], "A": [0.7, 0.5004, 0.2, 0.9]})
    row = compare(shown).iloc[0]
    assert row["model"] == "A"
    assert (row["n"], row["better"], row["same"], row["worse"]) == (3, 1, 1, 1)
    assert row["mean"] == pytest.approx((0.2 + 0.0004 - 0.3) / 3)
    assert compare(made({"Original": [1.0, 0.0]})).empty


def test_lower_is_better_turns_the_counts() -> None:
    row = compare(made({"Original": [0.5, 0.5], "A": [0.1, 0.2]}, higher=False)).iloc[0]
    assert (row["better"], row["worse"]) == (2, 0)
    assert row["mean"] < 0


def test_yes_no_values_are_tested_by_mcnemar_and_others_by_the_paired_test_with_holm() -> None:
    random = np.random.default_rng(1)
    base = random.integers(0, 2, 40).astype(float)
    ours = np.where(random.random(40) < 0.4, 1.0, base)
    table = compare(made({"Original": list(base), "A": list(ours)}))
    more, less = int(np.sum(ours > base)), int(np.sum(ours < base))
    assert table["p"].iloc[0] == pytest.approx(binomtest(more, more + less).pvalue)
    left, right = base + random.normal(0, 0.1, 40), base + random.normal(0.05, 0.1, 40)
    table = compare(made({"Original": list(base), "A": list(left), "B": list(right)}))
    expected = [paired_test(left, base), paired_test(right, base)]
    assert table["p"].tolist() == pytest.approx([each.p for each in expected])
    assert table["holm"].tolist() == pytest.approx(holm([each.p for each in expected]))
    assert table["low"].tolist() == pytest.approx([each.low for each in expected])


def test_the_interval_leaves_out_zero_exactly_where_p_is_below_a_twentieth() -> None:
    random = np.random.default_rng(5)
    base = random.beta(0.3, 3, 30)
    models = {f"M{n}": list(base + random.exponential(0.1, 30) - 0.1 + n / 200) for n in range(-12, 13)}
    table = compare(made({"Original": list(base), **models}))
    outside = (table["low"] > 0) | (table["high"] < 0)
    assert (outside == (table["p"] < 0.05)).all()
    assert 0 < outside.sum() < len(table)


def test_subjects_of_the_probes_are_taken_together() -> None:
    random = np.random.default_rng(6)
    base = random.random(24)
    shown = made({"Original": list(base), "A": list(base + np.repeat(random.normal(0, 0.1, 8), 3))})
    alone = compare(shown).iloc[0]
    shown.probes["subject"] = np.repeat([f"s{n}" for n in range(8)], 3)
    together = compare(shown).iloc[0]
    assert (alone["groups"], together["groups"]) == (0, 8)
    assert together["p"] > alone["p"]


def test_a_model_without_values_has_no_test_and_spoils_no_other() -> None:
    table = compare(made({"Original": [0.5, 0.4], "A": [np.nan, np.nan], "B": [0.1, 0.2]}))
    assert table["n"].tolist() == [0, 2]
    assert np.isnan(table["p"].iloc[0]) and not np.isnan(table["p"].iloc[1])


def test_one_probe_is_no_test_and_equal_changes_have_no_effect_size() -> None:
    row = compare(made({"Original": [0.5], "A": [0.75]})).iloc[0]
    assert row["n"] == 1 and row["mean"] == 0.25 and np.isnan(row["p"])
    same = replace(made({"Original": [0.25] * 8, "A": [0.75] * 8}), reach=1.0)
    row = compare(same).iloc[0]
    assert np.isinf(row["effect"])
    assert 0 < row["low"] <= 0.5 < row["high"]
