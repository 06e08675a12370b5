"""The original against itself: sampled answers give a band, greedy ones none; texts without prompts; notes of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backends.evidence import TextEvidence
from backends.metrics.protocols import values_of
from backends.pool import ModelPool
from backends.study import RAW_TEXT, Decoding, Probe, ProbeSet, Study
from cache.analysis.noise import noise_band
from cache.analysis.resampling import bootstrap_means
from cache.analysis.scoreboard import scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.evaluate.plan import plan
from cache.store import Store, open_store
from cache.store.reading import evidence_for


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "evidence.sqlite")


def small(study: Study, decoding: Decoding) -> Study:
    sets = tuple(replace(each, probes=each.probes[:4]) for each in study.probe_sets)
    return replace(study, probe_sets=sets, decoding=decoding)


def test_two_seeds_of_the_original_differ_by_what_the_band_says(tiny_study: Study, store: Store) -> None:
    study = small(tiny_study, Decoding(16, 1.0, 1.0, (1, 2)))
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")), ["Original"])
    written = evidence_for(study, store, "Original", study.probe_sets[0].probes)
    # Its first answer as the reference: the first seed then agrees with it, the second does not.
    asked = tuple(replace(p, answer=written[p.id].answers[0].text) for p in study.probe_sets[0].probes)
    study = replace(study, probe_sets=(ProbeSet("forget", "forget", asked),))
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")), ["Original"])
    found = evidence_for(study, store, "Original", asked)
    key, value = "rouge_l_f1", values_of("corrected", "forget")["rouge_l_f1"]
    rows = np.array(
        [
            [value(p, TextEvidence(found[p.id].scores, (answer,))) for answer in found[p.id].answers]
            for p in asked
        ]
    )
    difference = rows[:, 0] - rows[:, 1]
    assert np.nan_to_num(difference).any()
    band = noise_band(study, store, f"forget/{key}", "float32")
    assert band is not None and band.pairs == 1
    drawn = bootstrap_means(difference[:, None])[:, 0]
    assert band.half == pytest.approx(np.nanquantile(np.abs(drawn), 0.95))
    assert noise_band(study, store, "forget/probability", "float32") is None  # knows no seed


def test_greedy_answers_have_no_band(tiny_study: Study, store: Store) -> None:
    study = small(tiny_study, Decoding(4))
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")), ["Original"])
    assert noise_band(study, store, "forget/rouge_l", "float32") is None


def test_a_text_by_itself_is_scored_and_not_answered(tiny_study: Study, store: Store) -> None:
    texts = tuple(Probe(f"t{i}", "forget", "", f"Once upon a time {i}", format=RAW_TEXT) for i in range(3))
    others = tuple(Probe(f"h{i}", "holdout", "", f"Never before {i}", format=RAW_TEXT) for i in range(3))
    study = replace(
        tiny_study,
        probe_sets=(ProbeSet("raw", "forget", texts), ProbeSet("held out", "holdout", others)),
    )
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")), ["Original"])
    found = plan(study, store, "float32", ["Original"])
    assert {item.kind: item.total for item in found.items if item.probe_set == "raw"} == {
        "scores": 3,
        "answers": 0,
    }
    assert found.missing == 0
    assert all(run.status == "complete" for run in store.runs(study.name))
    frame = scoreboard(study, store).frame
    assert {"loss", "probability", "mia_min_k", "mia_loss_tpr5"} <= set(frame.metric)


def test_a_run_notes_rows_and_probes_that_were_left_out(tiny_study: Study, store: Store) -> None:
    from backends.errors import ModelError

    long = Probe("long", "forget", "Who? " * 300, "Ada")
    first = replace(
        tiny_study.probe_sets[0],
        probes=(tiny_study.probe_sets[0].probes[0], long),
        left_out=("line 3: empty",),
    )
    study = replace(tiny_study, probe_sets=(first, tiny_study.probe_sets[2]))
    with pytest.raises(ModelError):
        evaluate(EvaluationContext.of(study, store, ModelPool("cpu")), ["Original"])
    notes = {run.probe_set: run.notes for run in store.runs(study.name)}
    assert notes["forget"][0] == "Row left out: line 3: empty"
    assert notes["forget"][1].startswith("Probe long left out: ")
    assert notes["facts"] == ()


@pytest.mark.parametrize("protocol", ["open-unlearning", "muse"])
def test_protocols_are_evaluated_beside_one_another_and_never_mixed(
    tiny_study: Study, store: Store, protocol: str
) -> None:
    plain = small(tiny_study, Decoding(4))
    other = replace(plain, protocol=protocol)  # type: ignore[arg-type]
    evaluate(EvaluationContext.of(plain, store, ModelPool("cpu")), ["Original"])
    before = scoreboard(plain, store).frame
    assert scoreboard(other, store).frame.empty
    assert plan(other, store, "float32", ["Original"]).missing > 0
    evaluate(EvaluationContext.of(other, store, ModelPool("cpu")), ["Original"])
    assert scoreboard(plain, store).frame.equals(before)
    theirs = scoreboard(other, store).frame
    both = before.merge(theirs, on=["model", "key"])
    assert (both["value_x"] != both["value_y"]).any()
