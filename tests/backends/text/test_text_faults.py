"""Language models where something is wrong: NaN logits, too little memory, another model's tokenizer, odd answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from backends.errors import ModelError
from backends.evidence import TokenScores
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import RAW_TEXT, Decoding, ModelSpec
from backends.text import teacher_forcing
from backends.text.memory import halves, out_of_memory
from backends.text.models import LanguageModels
from backends.text.scoring import prompt_groups
from backends.text.tokens import EncodedAnswer
from tests.tiny_text import write_tiny_model

ITEMS = [ScoreItem(f"Who is number {i % 3}?", "Ada Quill" + "!" * i) for i in range(9)]


def never() -> bool:
    return False


@pytest.fixture
def models(tmp_path: Path) -> LanguageModels:
    loaded = LanguageModels("cpu")
    loaded.add(ModelSpec("base", "original", str(write_tiny_model(tmp_path / "model"))))
    return loaded


def module_of(models: LanguageModels) -> Any:
    return models._families[models._family_of["base"]].module


def scores(models: LanguageModels, items: list[ScoreItem]) -> list[TokenScores]:
    found = {part.index: part.scores for part in models.score("base", items, never)}
    return [found[i] for i in range(len(items))]


def with_little_memory(models: LanguageModels, rows: int, error: Callable[[], RuntimeError]) -> None:
    """A model that cannot run more rows than so many at once."""
    module = module_of(models)
    whole = module.forward

    def forward(*args: Any, **given: Any) -> Any:
        if given["input_ids"].shape[0] > rows:
            raise error()
        return whole(*args, **given)

    module.forward = forward


ERRORS = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_too_little_memory_halves_the_batch_and_says_so(
    models: LanguageModels, error: Callable[[], RuntimeError]
) -> None:
    whole = scores(models, ITEMS)
    with_little_memory(models, 2, error)
    parted = scores(models, ITEMS)
    for one, other in zip(whole, parted, strict=True):
        assert other.logprobs == pytest.approx(one.logprobs, abs=1e-5)
    assert "Not enough memory for 9 answers at once; continued with half as many." in models.notes


def test_answers_are_written_in_halves_where_memory_is_short(models: LanguageModels) -> None:
    requests = [GenerationRequest("base", f"Who is number {i}?") for i in range(5)]
    decoding = Decoding(max_new_tokens=6)
    whole = {p.index: p.answer.text for p in models.generate(requests, decoding, never) if p.done}
    with_little_memory(models, 2, ERRORS[0])
    done = [p for p in models.generate(requests, decoding, never) if p.done]
    assert {p.index: p.answer.text for p in done} == whole
    assert len(done) == len(requests)
    assert models.notes[0].startswith("Not enough memory to generate 5 answers at once")


def test_memory_that_does_not_suffice_for_one_answer_is_said(models: LanguageModels) -> None:
    with_little_memory(models, 0, ERRORS[0])
    with pytest.raises(ModelError, match="there is not enough memory for this answer"):
        scores(models, ITEMS[:1])
    with pytest.raises(ModelError, match="there is not enough memory for this answer"):
        list(models.generate([GenerationRequest("base", "Hi")], Decoding(), never))


def test_another_runtime_error_is_not_taken_for_lack_of_memory(models: LanguageModels) -> None:
    with_little_memory(models, 2, lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        scores(models, ITEMS)
    assert not out_of_memory(RuntimeError("index out of range"))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_make_no_scores_and_no_answers(
    models: LanguageModels, value: float
) -> None:
    with torch.no_grad():
        module_of(models).lm_head.weight[5] = value
    with pytest.raises(ModelError, match="is not a finite number"):
        scores(models, ITEMS[:1])
    with pytest.raises(ModelError, match="is not finite"):
        list(models.generate([GenerationRequest("base", "Hi")], Decoding(), never))


def test_a_tokenizer_larger_than_the_models_vocabulary_is_named(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["moored"])
    tokenizer.save_pretrained(folder)
    models = LanguageModels("cpu")
    models.add(ModelSpec("base", "original", str(folder)))
    with pytest.raises(ModelError, match=r"token 'moored' has the number .* vocabulary has"):
        scores(models, [ScoreItem("Who?", "A moored barge")])
    with pytest.raises(ModelError, match="trained with"):
        list(models.generate([GenerationRequest("base", "moored?")], Decoding(), never))
    assert scores(models, [ScoreItem("Who?", "Ada")])  # what it can serve, it serves


def test_an_answer_that_makes_no_token_is_refused(models: LanguageModels) -> None:
    with pytest.raises(ModelError, match="has no tokens"):
        scores(models, [ScoreItem("Who?", "")])
    with pytest.raises(ModelError, match="has no tokens"):
        scores(models, [ScoreItem("", "x", format=RAW_TEXT)])  # its only token is what has been seen


def test_a_long_text_in_segments_has_the_scores_of_one_pass(
    models: LanguageModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "In the beginning was a moored barge, and on it sat Ada Quill. " * 2
    items = [ScoreItem("Who?", text), ScoreItem("Who?", "Ada"), ScoreItem("", text, format=RAW_TEXT)]
    whole = scores(models, items)
    monkeypatch.setattr(teacher_forcing, "SEGMENT", 16)
    for one, other in zip(whole, scores(models, items), strict=True):
        assert other.logprobs == pytest.approx(one.logprobs, abs=1e-4)
        assert other.argmax_ids.tolist() == one.argmax_ids.tolist()


def test_groups_hold_at_most_so_many_tokens_and_answers() -> None:
    encoded = [EncodedAnswer([1] * 100, [2] * 10, ()) for _ in range(7)]
    encoded += [EncodedAnswer([3] * 50, [2], ()) for _ in range(3)]
    groups = prompt_groups(encoded, 4, 250)
    assert sorted(i for group in groups for part in group for i in part) == list(range(10))
    for group in groups:
        rows = [i for part in group for i in part]
        assert len(rows) <= 4
        assert sum(len(encoded[i].prompt_ids) + len(encoded[i].answer_ids) for i in rows) <= 250
    assert prompt_groups(encoded[:1], 4, 5) == [[[0]]]  # what is longer than that runs alone


def test_halves_keep_every_answer() -> None:
    assert halves([[1, 2, 3]]) == ([[1, 2]], [[3]])
    assert halves([[1, 2], [3], [4]]) == ([[1, 2]], [[3], [4]])
