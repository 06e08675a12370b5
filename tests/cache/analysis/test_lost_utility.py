"""A model utility of 0 says which of its parts is 0."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from backends.evidence import ANSWER, PARAPHRASE, Answer, TextEvidence, TokenScores, perturbed
from cache.analysis.lost_utility import lost_utility
from cache.analysis.scoreboard import MODEL_UTILITY, scoreboard
from cache.store import open_store
from cache.store.keys import answers_context, scores_context
from cache.store.reading import identity_to_read
from tests.filled_store import fill_text, text_study, token_scores


def scored(text: str, logprob: float) -> TokenScores:
    scores = token_scores(text, 1.0, np.random.default_rng(0))
    return replace(scores, logprobs=np.full_like(scores.logprobs, logprob))


def test_paraphrases_that_no_model_would_write_are_named(tmp_path: Path) -> None:
    """Every perturbed answer is likelier than the paraphrased one, in every model: the truth ratio of retain is 0."""
    study = text_study()
    study = replace(study, models=study.models[:3], probe_sets=study.probe_sets[2:3])
    store = open_store(tmp_path / "evidence.sqlite")
    for spec in study.models:
        known = identity_to_read(spec)
        context = store.register(scores_context(known.fingerprint, known.tokenizer, "float32"))
        written = store.register(
            answers_context(known.fingerprint, known.tokenizer, study.decoding, 0, "float32")
        )
        for probe in study.probe_sets[0].probes:
            found = {ANSWER: scored(probe.answer, -0.1), PARAPHRASE: scored(probe.paraphrased_answer, -20.0)}
            found |= {perturbed(i): scored(text, -0.2) for i, text in enumerate(probe.perturbed_answers)}
            store.put_text(context, [(probe.digest(), TextEvidence(found))])
            wrote = Answer(probe.answer, 5, "stop", 0, 0.1)
            store.put_text(written, [(probe.digest(), TextEvidence({}, (wrote,)))])
    board = scoreboard(study, store)
    names = [spec.name for spec in study.models]
    assert {board.lost_parts(name, 0.0005) for name in names} == {("retain/truth_ratio",)}
    utility = board.frame[board.frame["key"] == MODEL_UTILITY]["value"]
    assert len(utility) == len(names) and (utility < 1e-6).all()
    said = lost_utility(board, "Original")
    assert len(said) == 1 and "retain/truth_ratio is 0" in said[0] and ", ".join(names) in said[0]
    assert "paraphrased answers are of another form" in said[0]
    assert "another form" not in lost_utility(board, "Original", names[1:])[0]


def test_nothing_is_said_where_every_part_has_a_value(tmp_path: Path) -> None:
    study = text_study()
    store = open_store(tmp_path / "evidence.sqlite")
    fill_text(study, store)
    assert lost_utility(scoreboard(study, store), "Original") == []
