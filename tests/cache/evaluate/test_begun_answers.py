"""A probe whose answer is begun has evidence of its own, of the rest alone, from evaluation and Compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from backends.evidence import ANSWER, Answer, perturbed
from backends.interfaces import GenerationRequest
from backends.pool import ModelPool
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Study
from backends.text.models import LanguageModels
from cache.evaluate.compare import compare_text
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.store import open_store
from cache.store.reading import evidence_for
from tests.tiny_text import write_tiny_model

MOST = 10
PLAIN = Probe(
    "plain",
    "forget",
    "Where was she born?",
    "In Porto, by the sea.",
    perturbed_answers=("In Rome, by the sea.",),
)
BEGUN = replace(
    PLAIN, id="begun", answer_prefix="In Porto,", answer=" by the sea.", perturbed_answers=(" by a lake.",)
)
OTHER = replace(BEGUN, id="other", answer_prefix="In Rome,")


def never() -> bool:
    return False


def test_evidence_of_a_begun_answer_is_that_of_the_rest(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "base", seed=5)
    spec = ModelSpec("base", "original", str(folder))
    rows = (PLAIN, BEGUN, OTHER)
    study = Study("S", "text", (spec,), (ProbeSet("f", "forget", rows),), decoding=Decoding(MOST))
    store = open_store(tmp_path / "evidence.sqlite")
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")))
    found = evidence_for(study, store, "base", rows, study.decoding)
    plain, begun, other = (found[probe.id] for probe in rows)
    tail, whole = begun.scores[ANSWER], plain.scores[ANSWER]
    assert "".join(tail.pieces) == BEGUN.answer
    np.testing.assert_allclose(tail.logprobs, whole.logprobs[-len(tail.logprobs) :], atol=2e-5)
    assert "".join(begun.scores[perturbed(0)].pieces) == " by a lake."
    assert not np.allclose(tail.logprobs, other.scores[ANSWER].logprobs)

    models = LanguageModels("cpu")
    models.add(spec)
    requests = [GenerationRequest("base", row.prompt, answer_prefix=row.answer_prefix) for row in rows]
    written = {p.index: p.answer.text for p in models.generate(requests, study.decoding, never) if p.done}
    assert [each.answers[0].text for each in (plain, begun, other)] == [written[i] for i in range(3)]
    assert written[0] != written[1]


def test_compare_asks_after_the_prefix_and_finds_the_answer_again(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "base", seed=5)
    study = Study(
        "S", "text", (ModelSpec("base", "original", str(folder)),), (ProbeSet("f", "forget", (PLAIN,)),)
    )
    store = open_store(tmp_path / "evidence.sqlite")
    context = EvaluationContext.of(study, store, ModelPool("cpu"))
    typed = Probe("mine", "mine", PLAIN.prompt, answer_prefix="In Porto,", turns=(("system", "Be brief."),))
    told: list[Answer] = []
    for _ in range(2):
        compare_text(context, ["base"], typed, Decoding(MOST), lambda _, answer: told.append(answer))
    assert told[-1] == told[-2] and told[-1].finish
    unbegun = replace(typed, answer_prefix="")
    compare_text(context, ["base"], unbegun, Decoding(MOST), lambda _, answer: told.append(answer))
    assert told[-1].text != told[-2].text
