"""Earlier turns of a conversation are really asked: through the chat template under each protocol, or in plain text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from backends.errors import ModelError
from backends.interfaces import GenerationRequest, ScoreItem
from backends.pool import ModelPool
from backends.study import Decoding, ModelSpec, Probe, ProbeSet, Study
from backends.text.models import LanguageModels
from backends.text.tokens import OPEN_UNLEARNING_SYSTEM, ChatTokenizer
from backends.unlearning.text_batches import QuestionAnswer, encode_rows
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.store import open_store
from tests.tiny_text import CHATML, tiny_tokenizer, write_tiny_model

EARLIER = (("system", "Be brief."), ("user", "Who is Ada?"), ("assistant", "A poet."))
PROMPT, ANSWER = "Where was she born?", "In Porto."
MESSAGES = [{"role": role, "content": text} for role, text in (*EARLIER, ("user", PROMPT))]
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}" + CHATML
)
DROPS_SYSTEM = "{% set messages = messages | rejectattr('role', 'equalto', 'system') | list %}" + CHATML


def asked(template: str = CHATML) -> ChatTokenizer:
    return ChatTokenizer(tiny_tokenizer(template), frozenset())


def plain() -> ChatTokenizer:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    return ChatTokenizer(tokenizer, frozenset())


def text_of(ids: list[int]) -> str:
    return str(tiny_tokenizer().decode(ids))


@pytest.mark.parametrize("protocol", ["corrected", "open-unlearning"])
def test_the_chat_template_is_given_all_turns(protocol: Any) -> None:
    template = tiny_tokenizer()
    expected = template.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    ids = asked().prompt_ids(PROMPT, protocol=protocol, turns=EARLIER)
    assert text_of(ids) == text_of(template(expected, add_special_tokens=False)["input_ids"])
    encoded = asked().encode(PROMPT, ANSWER, protocol=protocol, turns=EARLIER)
    assert encoded.prompt_ids == ids
    assert "".join(encoded.pieces).startswith(ANSWER)


def test_open_unlearnings_system_text_stands_where_the_turns_have_none() -> None:
    with_none = text_of(asked().prompt_ids(PROMPT, protocol="open-unlearning", turns=EARLIER[1:]))
    assert OPEN_UNLEARNING_SYSTEM in with_none and "A poet." in with_none
    with_own = text_of(asked().prompt_ids(PROMPT, protocol="open-unlearning", turns=EARLIER))
    assert OPEN_UNLEARNING_SYSTEM not in with_own


@pytest.mark.parametrize(
    ("tokenizer", "protocol", "format", "expected"),
    [
        (plain(), "corrected", "", f"Be brief.\n\nWho is Ada? A poet.\n\n{PROMPT}"),
        (
            asked(),
            "muse",
            "",
            f"Be brief.\n\nQuestion: Who is Ada?\nAnswer: A poet.\n\nQuestion: {PROMPT}\nAnswer: ",
        ),
        (
            asked(),
            "corrected",
            "Q: {prompt}\nA:",
            f"Be brief.\n\nQ: Who is Ada?\nA: A poet.\n\nQ: {PROMPT}\nA:",
        ),
        (
            plain(),
            "open-unlearning",
            "",
            f"Be brief.\n\nQuestion: Who is Ada?\nAnswer: A poet.\n\nQuestion: {PROMPT}\nAnswer: ",
        ),
    ],
)
def test_without_a_template_they_stand_before_the_prompt_as_worked_examples_do(
    tokenizer: ChatTokenizer, protocol: Any, format: str, expected: str
) -> None:
    ids = tokenizer.prompt_ids(PROMPT, format, protocol, EARLIER)
    assert ids == tokenizer.prompt_ids(expected, "{prompt}", "corrected")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (NO_SYSTEM, "rejects its earlier turns"),
        (DROPS_SYSTEM, "leaves out a turn of the system"),
    ],
)
def test_a_template_that_refuses_or_drops_a_turn_is_said(template: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        asked(template).prompt_ids(PROMPT, turns=EARLIER)
    assert asked(template).prompt_ids(PROMPT, turns=EARLIER[1:])


def test_models_score_and_write_after_the_turns(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "base")
    models = LanguageModels("cpu")
    models.add(ModelSpec("base", "original", str(folder)))
    items = [ScoreItem(PROMPT, ANSWER), ScoreItem(PROMPT, ANSWER, turns=EARLIER)]
    found = {part.index: part.scores for part in models.score("base", items, lambda: False)}
    assert not np.allclose(found[0].logprobs, found[1].logprobs)
    # the same text asked as it stands gives the same numbers
    text = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        MESSAGES, tokenize=False, add_generation_prompt=True
    )
    (whole,) = models.score("base", [ScoreItem(text, ANSWER, format="{prompt}")], lambda: False)
    assert np.allclose(found[1].logprobs, whole.scores.logprobs, atol=1e-5)
    requests = [GenerationRequest("base", PROMPT), GenerationRequest("base", PROMPT, turns=EARLIER)]
    written = {
        part.index: part.answer.text
        for part in models.generate(requests, Decoding(max_new_tokens=8), lambda: False)
        if part.done
    }
    assert set(written) == {0, 1}


def test_evidence_of_a_probe_with_turns_is_its_own_and_one_bad_template_stops_nothing(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "base")
    (folder / "chat_template.jinja").write_text(NO_SYSTEM)
    rows = (
        Probe("plain", "forget", PROMPT, ANSWER),
        Probe("turns", "forget", PROMPT, ANSWER, turns=EARLIER[1:]),
        Probe("system", "forget", PROMPT, ANSWER, turns=EARLIER),
    )
    study = Study(
        "S",
        "text",
        (ModelSpec("base", "original", str(folder)),),
        (ProbeSet("forget", "forget", rows),),
        decoding=Decoding(max_new_tokens=4),
    )
    with pytest.raises(ModelError, match=r"probe system: 1 probe left out"):
        evaluate(EvaluationContext.of(study, open_store(tmp_path / "evidence.sqlite"), ModelPool("cpu")))
    assert len({row.digest() for row in rows}) == 3


def test_training_rows_have_the_turns_and_rows_without_are_what_they_were() -> None:
    first, second = encode_rows(
        asked(), [QuestionAnswer(PROMPT, ANSWER), QuestionAnswer(PROMPT, ANSWER, EARLIER)]
    )
    assert second.prompt == asked().prompt_ids(PROMPT, turns=EARLIER)
    assert first.prompt == asked().prompt_ids(PROMPT) and first.answer == second.answer


def test_any_accepted_answer_counts_as_said() -> None:
    from backends.evidence import Answer, TextEvidence
    from backends.metrics.outcome import outcome
    from backends.metrics.similarity import ROUGE_L

    probe = Probe("a", "forget", PROMPT, "In the town of Porto.", accepted=("Porto",))
    evidence = TextEvidence({}, (Answer("Porto", 1, "end", 0, 0.0),))
    assert ROUGE_L.value(probe, evidence) == 1.0
    assert ROUGE_L.value(replace(probe, accepted=()), evidence) == pytest.approx(0.2)
    assert outcome(probe, "Porto") == "true"
