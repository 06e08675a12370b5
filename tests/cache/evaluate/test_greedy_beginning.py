"""What token scores tell about a greedy answer is what greedy decoding writes, and nothing is decoded twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backends.interfaces import GenerationRequest, ScoreItem
from backends.pool import ModelPool
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Study
from backends.text.models import LanguageModels
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.evaluate.gather_text import greedy_beginning
from cache.store import open_store
from cache.store.reading import evidence_for
from tests.tiny_text import write_tiny_model

PROMPTS = ("Who wrote it?", "Where was she born?", "Hi", "What is the name of the dog, and what of the cat?")
MOST = 12


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("beginning") / "model", seed=5)


@pytest.fixture(scope="module")
def models(folder: Path) -> LanguageModels:
    loaded = LanguageModels("cpu")
    loaded.add(ModelSpec("base", "original", str(folder)))
    return loaded


def greedy(models: LanguageModels, request: GenerationRequest) -> tuple[str, int, str]:
    parts = [part for part in models.generate([request], Decoding(MOST), never) if part.done]
    assert len(parts) == 1
    return parts[0].answer.text, parts[0].answer.n_tokens, parts[0].answer.finish


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("kept", [0, 1, 3, 99])
def test_a_known_beginning_gives_the_same_answer(models: LanguageModels, prompt: str, kept: int) -> None:
    """References that agree with the model's answer for so many characters, then go on otherwise."""
    plain = greedy(models, GenerationRequest("base", prompt))
    reference = plain[0][:kept] + "zq moored" * (kept < 99)
    (scored,) = models.score("base", [ScoreItem(prompt, reference)], never)
    begun, ended = greedy_beginning(scored.scores, models.end_ids("base"))
    assert begun or ended
    assert greedy(models, GenerationRequest("base", prompt, 0, "", begun, ended)) == plain


def test_several_rows_of_which_some_have_begun_and_some_have_ended(models: LanguageModels) -> None:
    plain = [greedy(models, GenerationRequest("base", prompt)) for prompt in PROMPTS]
    requests = []
    for index, prompt in enumerate(PROMPTS):
        (scored,) = models.score("base", [ScoreItem(prompt, plain[index][0][: 2 * index] or "z")], never)
        begun, ended = greedy_beginning(scored.scores, models.end_ids("base"))
        requests.append(
            GenerationRequest("base", prompt, 0, "", begun if index % 2 else (), index % 2 > 0 and ended)
        )
    done = {p.index: p.answer for p in models.generate(requests, Decoding(MOST), never) if p.done}
    assert [(a.text, a.n_tokens, a.finish) for _, a in sorted(done.items())] == plain


def test_a_beginning_longer_than_the_answer_may_be_is_cut(models: LanguageModels) -> None:
    whole = greedy(models, GenerationRequest("base", "Hi"))
    ids = models._families[models._family_of["base"]].tokenizer.encode("Hi", whole[0]).answer_ids
    parts = models.generate([GenerationRequest("base", "Hi", 0, "", tuple(ids))], Decoding(3), never)
    (answer,) = [part.answer for part in parts if part.done]
    assert answer.n_tokens == 3 and answer.finish == "length"


def test_an_ending_first_choice_ends_the_answer(models: LanguageModels) -> None:
    (scored,) = models.score("base", [ScoreItem("Hi", "abc")], never)
    ends = models.end_ids("base")
    first = np.array([next(iter(ends)), *scored.scores.argmax_ids[1:]], np.int32)
    assert greedy_beginning(replace(scored.scores, argmax_ids=first), ends) == ((), True)


def test_a_whole_answer_ends_only_where_the_end_is_more_likely_than_anything_else(
    models: LanguageModels,
) -> None:
    (scored,) = models.score("base", [ScoreItem("Hi", "abc")], never)
    ids = scored.scores.token_ids
    sure = replace(scored.scores, argmax_ids=ids, end_logprob=float(np.log(0.51)))
    unsure = replace(sure, end_logprob=float(np.log(0.49)))
    none = replace(sure, end_logprob=float("nan"))
    whole = tuple(ids.tolist())
    ends = models.end_ids("base")
    assert greedy_beginning(sure, ends) == (whole, True)
    assert greedy_beginning(unsure, ends) == (whole, False)
    assert greedy_beginning(none, ends) == (whole, False)


def test_an_evaluation_with_known_beginnings_writes_what_plain_decoding_writes(
    folder: Path, models: LanguageModels, tmp_path: Path
) -> None:
    answers = {prompt: greedy(models, GenerationRequest("base", prompt))[0] for prompt in PROMPTS}
    probes = tuple(
        Probe(f"p{i}", "forget", prompt, answers[prompt][: 3 * i] + "z") for i, prompt in enumerate(PROMPTS)
    )
    study = Study(
        "s",
        "text",
        (ModelSpec("base", "original", str(folder)),),
        (ProbeSet("forget", "forget", probes),),
        decoding=Decoding(MOST),
    )
    store = open_store(tmp_path / "evidence.sqlite")
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")))
    found = evidence_for(study, store, "base", probes)
    assert {p.prompt: found[p.id].answers[0].text for p in probes} == answers
