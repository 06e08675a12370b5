"""An answer that is begun: its rest is scored as in the whole answer, and the model goes on after it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import ByteLevel as ByteLevelOffsets
from tokenizers.trainers import BpeTrainer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from backends.errors import ModelError
from backends.evidence import TokenScores
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import RAW_TEXT, Decoding, ModelSpec, ProtocolName
from backends.text.answer_border import answer_border, answer_start, pieces_of
from backends.text.models import LanguageModels
from backends.text.tokens import ChatTokenizer, EncodedAnswer
from tests.tiny_text import CHATML, write_tiny_model

PROMPT, ANSWER = "Where was she born?", "In Zürich, on a moored barge."
TRIMMING = CHATML.replace("message['content']", "message['content'] | trim")
PROTOCOLS: tuple[ProtocolName, ...] = ("corrected", "open-unlearning", "muse")
WAYS = [
    *itertools.product(PROTOCOLS, ["", RAW_TEXT, "Q: {prompt}\nA: ", "Q: {prompt}\nA:"], [CHATML, ""]),
    *itertools.product(PROTOCOLS, [""], [TRIMMING]),
]


def never() -> bool:
    return False


@cache
def words(template: str = CHATML) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer whose tokens are words with the space before them, or pieces of them."""
    core = Tokenizer(BPE())
    core.pre_tokenizer = ByteLevel(add_prefix_space=False)
    core.decoder = ByteLevelDecoder()
    core.post_processor = ByteLevelOffsets(
        trim_offsets=True
    )  # as most have it: the space is not in a word's place
    names = ["<unk>", "<|im_start|>", "<|im_end|>"]
    trainer = BpeTrainer(
        vocab_size=500, special_tokens=names, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    core.train_from_iterator([f"{PROMPT} {ANSWER} In Rome. On a barge."] * 9, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token=names[0], bos_token=names[1], eos_token=names[2], pad_token=names[2]
    )
    made.chat_template = template
    return made


def tokenizer_with(template: str) -> ChatTokenizer:
    made = copy.copy(words(template or CHATML))
    if not template:
        made.chat_template = None
    return ChatTokenizer(made, frozenset())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> LanguageModels:
    loaded = LanguageModels("cpu")
    folder = write_tiny_model(tmp_path_factory.mktemp("prefix") / "model", seed=5)
    model, tokenizer = LlamaForCausalLM.from_pretrained(folder), words()
    torch.manual_seed(5)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    loaded.add(ModelSpec("base", "original", str(folder)))
    return loaded


def scored(
    models: LanguageModels, *items: ScoreItem, protocol: ProtocolName = "corrected"
) -> list[TokenScores]:
    found = {part.index: part.scores for part in models.score("base", items, never, protocol)}
    return [found[i] for i in range(len(items))]


def cuts(row: EncodedAnswer, answer: str) -> list[tuple[int, int]]:
    """(tokens, characters) of every place between two tokens of an answer."""
    ends = itertools.accumulate(len(piece) for piece in row.pieces)
    lead = len("".join(row.pieces)) - len(answer) if "".join(row.pieces).endswith(answer) else 0
    return [(count, end - lead) for count, end in enumerate(ends, 1) if 0 < end - lead < len(answer)]


@pytest.mark.parametrize(("protocol", "format", "template"), WAYS)
def test_the_tail_of_an_answer_has_the_ids_that_it_has_in_the_whole(
    protocol: ProtocolName, format: str, template: str
) -> None:
    tokenizer = tokenizer_with(template)
    whole = tokenizer.encode(PROMPT, ANSWER, format, protocol)
    for characters in range(1, len(ANSWER)):
        prefix, rest = ANSWER[:characters], ANSWER[characters:]
        row = tokenizer.encode(PROMPT, rest, format, protocol, prefix=prefix)
        assert row.prompt_ids + row.answer_ids == whole.prompt_ids + whole.answer_ids
        assert row.end_ids == whole.end_ids
        assert "".join(row.pieces).startswith(rest)
        # nothing of the answer is left out, and nothing of the prefix alone is scored
        without_first = tokenizer.encode(PROMPT, rest[1:], format, protocol, prefix=prefix + rest[0])
        assert len(rest) == 1 or len(row.answer_ids) >= len(without_first.answer_ids)


@pytest.mark.parametrize(("protocol", "format", "template"), WAYS)
def test_an_empty_prefix_is_the_plain_way(protocol: ProtocolName, format: str, template: str) -> None:
    tokenizer = tokenizer_with(template)
    assert tokenizer.begun_ids(PROMPT, "", format, protocol) == tokenizer.prompt_ids(PROMPT, format, protocol)


@pytest.mark.parametrize(("protocol", "format", "template"), WAYS)
def test_a_model_goes_on_after_the_ids_that_are_seen_when_the_rest_is_scored(
    protocol: ProtocolName, format: str, template: str
) -> None:
    """Where a word begins behind the prefix, whether its space is said to be of the prefix or of the answer."""
    tokenizer = tokenizer_with(template)
    for prefix, rest in (("In Zürich,", " on a moored barge."), ("In Zürich, ", "on a moored barge.")):
        row = tokenizer.encode(PROMPT, rest, format, protocol, prefix=prefix)
        assert tokenizer.begun_ids(PROMPT, prefix, format, protocol) == row.prompt_ids
        assert "".join(row.pieces).startswith(rest)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("format", ["", RAW_TEXT])
def test_scores_of_the_tail_are_those_of_the_whole_answer(
    models: LanguageModels, protocol: ProtocolName, format: str
) -> None:
    item = ScoreItem(PROMPT, ANSWER, alternatives=True, format=format)
    (whole,) = scored(models, item, protocol=protocol)
    row = EncodedAnswer([], list(whole.token_ids), whole.pieces)
    places = cuts(row, ANSWER)
    assert len(places) > 5
    tails = [replace(item, answer=ANSWER[end:], answer_prefix=ANSWER[:end]) for _, end in places]
    for (count, _), tail in zip(places, scored(models, *tails, protocol=protocol), strict=True):
        first = len(whole.token_ids) - len(tail.token_ids)
        assert first >= count
        assert tail.token_ids.tolist() == whole.token_ids[first:].tolist()
        assert "".join(tail.pieces) == "".join(whole.pieces[count:])
        for name in ("logprobs", "mean", "variance", "entropy", "top_logprobs"):
            np.testing.assert_allclose(
                getattr(tail, name), getattr(whole, name)[first:], atol=2e-5, err_msg=name
            )
        np.testing.assert_array_equal(tail.argmax_ids, whole.argmax_ids[first:])
        np.testing.assert_allclose(tail.end_logprob, whole.end_logprob, atol=2e-5)


def test_without_a_prefix_scores_and_answers_are_the_same_bits(models: LanguageModels) -> None:
    plain = scored(models, ScoreItem(PROMPT, ANSWER), ScoreItem("Hi", "No."))
    empty = scored(
        models, ScoreItem(PROMPT, ANSWER, answer_prefix=""), ScoreItem("Hi", "No.", answer_prefix="")
    )
    for first, second in zip(plain, empty, strict=True):
        assert first.logprobs.tobytes() == second.logprobs.tobytes()
        assert first.pieces == second.pieces


def test_a_token_over_the_border_is_scored_whole_and_says_the_answers_part(models: LanguageModels) -> None:
    (whole,) = scored(models, ScoreItem(PROMPT, ANSWER))
    long = max(range(len(whole.pieces)), key=lambda place: len(whole.pieces[place]))
    inside = len("".join(whole.pieces[:long])) + len(whole.pieces[long]) - 1
    assert len(whole.pieces[long]) > 1
    (tail,) = scored(models, ScoreItem(PROMPT, ANSWER[inside:], answer_prefix=ANSWER[:inside]))
    assert tail.token_ids.tolist() == whole.token_ids[long:].tolist()
    assert "".join(tail.pieces) == ANSWER[inside:]
    np.testing.assert_allclose(tail.logprobs, whole.logprobs[long:], atol=2e-5)


def test_a_text_without_a_prompt_is_scored_from_its_prefix_on(models: LanguageModels) -> None:
    text = "Once she was born in Zürich, on a moored barge."
    (whole,) = scored(models, ScoreItem("", text, format=RAW_TEXT))
    tail = scored(
        models, *(ScoreItem("", text[n:], format=RAW_TEXT, answer_prefix=text[:n]) for n in (1, 9, 30))
    )
    for n, part in zip((1, 9, 30), tail, strict=True):
        count = len(part.token_ids)
        assert part.token_ids.tolist() == whole.token_ids[-count:].tolist()
        assert text[n:].endswith("".join(part.pieces))
        np.testing.assert_allclose(part.logprobs, whole.logprobs[-count:], atol=2e-5)
    assert len(tail[0].token_ids) > len(tail[1].token_ids) > len(tail[2].token_ids)


def answers(models: LanguageModels, requests: Sequence[GenerationRequest], most: int = 12) -> list[list[str]]:
    found = {}
    for part in models.generate(requests, Decoding(max_new_tokens=most), never):
        if part.done:
            found[part.index] = [part.answer.text, part.answer.finish, str(part.answer.n_tokens)]
    return [found[i] for i in range(len(requests))]


def test_a_model_goes_on_from_prompt_and_prefix_and_only_the_rest_is_its_answer(
    models: LanguageModels,
) -> None:
    asked = tokenizer_with(CHATML)._chat(PROMPT, None, "corrected") + "In Zürich,"
    begun, by_hand, plain = answers(
        models,
        [
            GenerationRequest("base", PROMPT, answer_prefix="In Zürich,"),
            GenerationRequest("base", asked, format=RAW_TEXT),
            GenerationRequest("base", PROMPT),
        ],
    )
    assert begun == by_hand != plain


def test_prefixes_in_one_batch_write_what_each_writes_alone(models: LanguageModels) -> None:
    requests = [
        GenerationRequest("base", PROMPT, answer_prefix=prefix)
        for prefix in ("", "In", "In Zürich, on", "Sure, here is the answer: ")
    ]
    assert answers(models, requests) == [answers(models, [request])[0] for request in requests]


def test_scores_after_a_prefix_tell_the_beginning_only_where_the_model_goes_on_from_there(
    models: LanguageModels,
) -> None:
    assert models.knows_beginning("base", ScoreItem(PROMPT, " on a barge.", answer_prefix="In Zürich,"))
    (whole,) = scored(models, ScoreItem(PROMPT, ANSWER))
    long = max(range(len(whole.pieces)), key=lambda place: len(whole.pieces[place]))
    inside = len("".join(whole.pieces[:long])) + len(whole.pieces[long]) - 1
    assert not models.knows_beginning(
        "base", ScoreItem(PROMPT, ANSWER[inside:], answer_prefix=ANSWER[:inside])
    )


def test_a_prefix_counts_for_the_context(models: LanguageModels) -> None:
    family = models._families[models._family_of["base"]]
    with pytest.raises(ModelError, match="context"):
        list(
            models.generate(
                [GenerationRequest("base", PROMPT, answer_prefix="word " * family.context)],
                Decoding(4),
                never,
            )
        )


def test_the_border_is_found_where_a_template_strips_the_answer_and_said_where_it_changes_it() -> None:
    assert answer_border("user: a b c\nbot: a b c!", "a b", " c!") == len("user: a b c\nbot: a b")
    assert answer_border("bot: a b", "  a", " b") == len("bot: a")
    assert answer_border("bot: A B", "a", " b") is None
    changed = tokenizer_with(CHATML.replace("message['content']", "message['content'] | upper"))
    with pytest.raises(ModelError, match="changes this answer"):
        changed.encode(PROMPT, " b", "", "open-unlearning", prefix="a")


def test_bytes_of_one_character_stay_together_at_the_border() -> None:
    offsets = [(0, 1), (1, 2), (1, 2), (1, 2), (2, 4)]  # "a", three bytes of "好", " b"
    assert answer_start(offsets, 2) == 4
    assert answer_start(offsets, 1) == 1
    assert answer_start(offsets, 4) == 5
    assert pieces_of("a好 b", offsets, 1, 1) == ("好", "", "", " b")
    assert pieces_of("a好 b", offsets, 4, 3) == ("b",)
