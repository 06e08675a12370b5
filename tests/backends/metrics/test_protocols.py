"""Protocols against an independent, slow way: one padded batch, full logits, no cache, written from open-unlearning."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import AutoModelForCausalLM, AutoTokenizer

from backends.evidence import ANSWER, PARAPHRASE, Answer, TextEvidence, TokenScores, perturbed
from backends.interfaces import GenerationRequest, ScoreItem
from backends.metrics import METRICS
from backends.metrics.muse import cut_at_stops, min_k
from backends.metrics.open_unlearning import floored_extraction_strength
from backends.metrics.protocols import PROTOCOLS, attacks_of, values_of
from backends.study import RAW_TEXT, Decoding, ModelSpec, Probe
from backends.text.models import LanguageModels
from tests import field_way
from tests.tiny_text import write_tiny_model

QUESTIONS = ("Who wrote it?", "Where was she born, and when?", "What is the name of the dog?")
ANSWERS = ("Ada Quill.", "In Zürich, on a moored barge, in March.", "Rex")
PAIRS = list(zip(QUESTIONS, ANSWERS, strict=True))
RAW = "In the beginning was a moored barge, and on it sat Ada Quill."


@pytest.fixture(scope="module", params=["chat", "plain"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    """A tiny random model, with and without a chat template; its padding token is its end-of-turn token."""
    folder = write_tiny_model(tmp_path_factory.mktemp("protocols") / request.param)
    chat = request.param == "chat"
    if not chat:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = None
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        tokenizer.save_pretrained(folder)
    return folder, chat


def scored(folder: Path, items: list[ScoreItem], protocol: Any) -> list[TokenScores]:
    models = LanguageModels("cpu")
    models.add(ModelSpec("base", "original", str(folder)))
    found = {part.index: part.scores for part in models.score("base", items, lambda: False, protocol)}
    return [found[i] for i in range(len(items))]


def plain(folder: Path) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()


def theirs(folder: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    tokenizer, model = plain(folder)
    return field_way.vocabulary_logprobs(model, field_way.rows_of(tokenizer, PAIRS), tokenizer.eos_token_id)


def test_open_unlearning_losses_and_first_choices_are_theirs(loaded: tuple[Path, bool]) -> None:
    folder, _ = loaded
    items = [ScoreItem(*pair) for pair in PAIRS]
    for ours, (logprobs, labels) in zip(
        scored(folder, items, "open-unlearning"), theirs(folder), strict=True
    ):
        assert ours.token_ids.tolist() == labels.tolist()
        expected = logprobs.gather(1, labels[:, None])[:, 0].numpy()
        assert ours.logprobs == pytest.approx(expected, abs=2e-4)
        assert ours.argmax_ids.tolist() == logprobs.argmax(-1).tolist()
        assert math.isnan(ours.end_logprob)


def test_hiding_end_tokens_inside_the_prompt_changes_the_numbers(loaded: tuple[Path, bool]) -> None:
    """The reason why two protocols exist: with a chat template their mask hides the prompt's own end tokens."""
    folder, chat = loaded
    tokenizer, model = plain(folder)
    rows = field_way.rows_of(tokenizer, PAIRS)
    hidden = field_way.vocabulary_logprobs(model, rows, tokenizer.eos_token_id)
    seen = field_way.vocabulary_logprobs(model, rows, pad=0)
    moved = max(abs(field_way.loss(*a) - field_way.loss(*b)) for a, b in zip(hidden, seen, strict=True))
    assert moved > 0.005 if chat else moved < 1e-4


def test_open_unlearning_metrics_are_theirs(loaded: tuple[Path, bool]) -> None:
    folder, _ = loaded
    tokenizer, _ = plain(folder)
    items = [ScoreItem(*pair) for pair in PAIRS]
    for ours, (logprobs, labels) in zip(
        scored(folder, items, "open-unlearning"), theirs(folder), strict=True
    ):
        check_against_the_field(ours, logprobs, labels, tokenizer)


def test_an_answer_that_was_never_right_gets_their_floor_and_our_true_zero() -> None:
    assert floored_extraction_strength(0, 8) == 1 / 8
    assert floored_extraction_strength(0, 0) == 0.0
    scores = token_scores([1, 2, 3, 4], [9, 9, 9, 9])
    probe, evidence = Probe("p", "forget", "q", "a"), TextEvidence({ANSWER: scores})
    assert values_of("open-unlearning", "forget")["extraction_strength"](probe, evidence) == 1 / 3
    assert values_of("corrected", "forget")["extraction_strength"](probe, evidence) == 0.0


def test_their_truth_ratio_has_their_small_numbers() -> None:
    values = values_of("open-unlearning", "forget")
    true, wrong = token_scores([1], [1], [-30.0]), token_scores([1], [2], [-29.0])
    evidence = TextEvidence({ANSWER: true, PARAPHRASE: true, perturbed(0): wrong})
    r = math.exp(-29.0) / (math.exp(-30.0) + 1e-10)
    forget, retain = Probe("p", "forget", "q", "a"), Probe("p", "retain", "q", "a")
    assert values["truth_ratio"](forget, evidence) == pytest.approx(min(r, 1 / (r + 1e-10)), rel=1e-6)
    assert values["truth_ratio"](retain, evidence) == pytest.approx(max(0.0, 1 - r), rel=1e-6)


def test_open_unlearning_answers_are_those_of_generate_with_their_mask(loaded: tuple[Path, bool]) -> None:
    folder, _ = loaded
    tokenizer, model = plain(folder)
    expected = field_way.generate(model, tokenizer, field_way.rows_of(tokenizer, PAIRS), 16)
    models = LanguageModels("cpu")
    models.add(ModelSpec("base", "original", str(folder)))
    requests = [GenerationRequest("base", question) for question in QUESTIONS]
    parts = models.generate(requests, Decoding(max_new_tokens=16), lambda: False, "open-unlearning")
    written = {part.index: part.answer.text for part in parts if part.done}
    assert [written[i] for i in range(len(QUESTIONS))] == expected


@pytest.mark.parametrize("protocol", ["corrected", "open-unlearning", "muse"])
def test_a_text_without_a_prompt_is_scored_from_its_second_token_on(
    loaded: tuple[Path, bool], protocol: Any
) -> None:
    folder, _ = loaded
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer(RAW)["input_ids"]
    with torch.no_grad():
        logprobs = model(input_ids=torch.tensor([ids])).logits.log_softmax(-1)[0, :-1]
    expected = logprobs.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].numpy()
    (ours,) = scored(folder, [ScoreItem("", RAW, format=RAW_TEXT)], protocol)
    assert ours.token_ids.tolist() == ids[1:]
    assert ours.logprobs == pytest.approx(expected, abs=2e-4)
    assert math.isnan(ours.end_logprob)


def test_muse_asks_without_a_chat_template_and_a_format_replaces_it(loaded: tuple[Path, bool]) -> None:
    folder, _ = loaded
    tokenizer = AutoTokenizer.from_pretrained(folder)
    models = LanguageModels("cpu")
    models.add(ModelSpec("base", "original", str(folder)))
    chat = models._families[models._family_of["base"]].tokenizer
    asked = tokenizer.decode(chat.prompt_ids("Who?", "", "muse"))
    assert asked == "Question: Who?\nAnswer: "
    assert (
        tokenizer.decode(chat.prompt_ids("Who?", "[INST] {prompt} [/INST]", "corrected"))
        == "[INST] Who? [/INST]"
    )
    row = chat.encode("Who?", "Ada", "Q: {prompt}\nA:", "corrected")
    assert "".join(row.pieces) == " Ada"  # a space parts them
    assert "".join(chat.encode("Who?", "Ada", "", "muse").pieces) == "Ada"  # the prompt ends with one


def test_muse_rouge_is_without_stemming_and_stops_where_its_script_does() -> None:
    values = values_of("muse", "forget")
    text = "She was running\n\nQuestion: and then?"
    answers = (Answer(text, 9, "length", 0, 0.1),)
    probe = Probe("p", "forget", "What did she do?", "She runs")
    expected = RougeScorer(["rougeL"], use_stemmer=False).score("She runs", "She was running")["rougeL"]
    assert values["rouge_l_f1"](probe, TextEvidence({}, answers)) == pytest.approx(expected.fmeasure)
    stemmed = values_of("corrected", "forget")["rouge_l_f1"](probe, TextEvidence({}, answers))
    assert stemmed != pytest.approx(expected.fmeasure)
    assert cut_at_stops("A. Question: B") == "A. "


def test_muse_min_k_is_undefined_for_two_tokens() -> None:
    assert math.isnan(min_k(token_scores([1, 2], [1, 2])))
    assert min_k(token_scores([1, 2, 3], [1, 2, 3], [-1.0, -3.0, -2.0])) == 3.0


def test_every_deviation_is_of_a_metric_that_exists() -> None:
    for name, protocol in PROTOCOLS.items():
        assert set(protocol.deviations) <= set(METRICS)
        assert set(protocol.values) | set(protocol.attacks) <= set(protocol.deviations), name


def check_against_the_field(
    ours: TokenScores, logprobs: torch.Tensor, labels: torch.Tensor, tokenizer: Any
) -> None:
    """All metrics of the true answer, from our evidence and from the vocabulary's log-probabilities."""
    values, attacks = values_of("open-unlearning", "forget"), attacks_of("open-unlearning")
    probe, evidence = Probe("p", "forget", "q", "a"), TextEvidence({ANSWER: ours})
    loss = field_way.loss(logprobs, labels)
    assert values["loss"](probe, evidence) == pytest.approx(loss, abs=2e-4)
    assert values["probability"](probe, evidence) == pytest.approx(math.exp(-loss), abs=1e-4)
    for key in ("exact_memorization", "extraction_strength"):
        expected = getattr(field_way, key)(logprobs, labels)
        assert values[key](probe, evidence) == pytest.approx(expected, abs=1e-6)
    assert attacks["mia_min_k"](ours, "") == pytest.approx(field_way.min_k(logprobs, labels), abs=2e-4)
    text = tokenizer.decode(labels, skip_special_tokens=True)
    assert attacks["mia_zlib"](ours, "") == pytest.approx(
        field_way.zlib_score(logprobs, labels, text), abs=1e-5
    )
    expected = field_way.min_k_plus_plus(logprobs, labels)
    assert attacks["mia_min_k_plus_plus"](ours, "") == pytest.approx(expected, abs=2e-3)


def token_scores(ids: list[int], first: list[int], logprobs: list[float] | None = None) -> TokenScores:
    n = len(ids)
    values = np.array(logprobs if logprobs is not None else [-1.0] * n, np.float32)
    zeros = np.zeros(n, np.float32)
    return TokenScores(
        token_ids=np.array(ids, np.int32),
        pieces=tuple("abcdefgh"[:n]),
        logprobs=values,
        ranks=np.zeros(n, np.int32),
        argmax_ids=np.array(first, np.int32),
        mean=zeros,
        variance=zeros,
        entropy=zeros,
        top_pieces=(),
        top_logprobs=np.zeros((n, 0), np.float32),
        end_logprob=math.nan,
    )
