"""Scores equal an independent forward pass; mixed batches write what single runs write; bad requests get a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from backends.errors import CheckpointError, ModelError
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ModelSpec
from backends.text.models import LanguageModels
from backends.text.padding import common_beginning, in_common, left_padded_after
from backends.text.prompt_pass import WORTH_SHARING, counts_by_position, prompt_pass, shared_beginning
from tests.tiny_text import write_tiny_adapter, write_tiny_model

ITEMS = [
    ScoreItem("Who wrote it?", "Ada Quill.", alternatives=True),
    ScoreItem("Who wrote it?", "It was Ben."),
    ScoreItem("Where was she born?", "In Zürich, on a moored barge."),
    ScoreItem("Who wrote it?", "No."),
]
PROMPTS = ["Who wrote it?", "Where was she born, and on which day of the week?", "Hi"]


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def models(base: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageModels:
    """A base and two adapters on it."""
    loaded = LanguageModels("cpu")
    loaded.add(ModelSpec("base", "original", str(base)))
    for seed in (1, 2):
        folder = write_tiny_adapter(base, tmp_path_factory.mktemp("adapter"), seed=seed)
        loaded.add(ModelSpec(f"adapter {seed}", "unlearned", str(base), adapter=str(folder)))
    return loaded


def written(models: LanguageModels, requests: Sequence[GenerationRequest], decoding: Decoding) -> list[str]:
    found = {part.index: part.answer for part in models.generate(requests, decoding, never) if part.done}
    return [found[i].text for i in range(len(requests))]


def test_scores_equal_a_full_forward_pass_of_each_row_alone(models: LanguageModels, base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base)
    scored = {part.index: part.scores for part in models.score("base", ITEMS, never)}
    assert sorted(scored) == [0, 1, 2, 3]
    for index, item in enumerate(ITEMS):
        turn = [{"role": "user", "content": item.prompt}]
        prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=True)[
            "input_ids"
        ]
        answer = tokenizer(item.answer, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = plain(torch.tensor([prompt + answer + [2]])).logits[0].double()
        logprobs = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1].numpy()
        got = scored[index]
        targets = np.array(answer)
        rows = np.arange(len(answer))
        expected = logprobs[rows, targets]
        p = np.exp(logprobs[:-1])
        assert got.token_ids.tolist() == answer
        assert "".join(got.pieces) == item.answer
        np.testing.assert_allclose(got.logprobs, expected, atol=1e-5)
        np.testing.assert_allclose(got.mean, (p * logprobs[:-1]).sum(-1), atol=1e-5)
        np.testing.assert_allclose(
            got.variance, (p * logprobs[:-1] ** 2).sum(-1) - (p * logprobs[:-1]).sum(-1) ** 2, atol=1e-4
        )
        np.testing.assert_allclose(got.entropy, -got.mean)
        assert got.argmax_ids.tolist() == logprobs[:-1].argmax(-1).tolist()
        assert got.ranks.tolist() == [(row > row[t]).sum() for row, t in zip(logprobs, targets, strict=False)]
        assert got.end_logprob == pytest.approx(logprobs[-1, 2], abs=1e-5)


def test_rivals_are_kept_only_where_asked(models: LanguageModels) -> None:
    scored = {part.index: part.scores for part in models.score("base", ITEMS, never)}
    assert scored[0].top_logprobs.shape == (len(scored[0].token_ids), 5)
    assert all(len(row) == 5 for row in scored[0].top_pieces)
    assert np.all(np.diff(scored[0].top_logprobs, axis=1) <= 0)
    assert scored[1].top_logprobs.shape[1] == 0


def tokens_run(models: LanguageModels, items: Sequence[ScoreItem]) -> int:
    """How many tokens, padding counted, go through the model to score the items."""
    family = next(iter(models._families.values()))
    tokens: list[int] = []
    embedding = family.module.get_input_embeddings()
    hook = embedding.register_forward_hook(lambda _m, inputs, _o: tokens.append(inputs[0].numel()))
    try:
        list(models.score("base", items, never))
    finally:
        hook.remove()
    return sum(tokens)


def test_every_prompt_and_every_answer_runs_once(models: LanguageModels) -> None:
    family = next(iter(models._families.values()))
    encoded = [family.tokenizer.encode(item.prompt, item.answer) for item in ITEMS]
    prompts = [list(ids) for ids in {tuple(row.prompt_ids) for row in encoded}]
    begin = common_beginning(prompts)
    assert begin >= WORTH_SHARING, "the chat template begins all prompts"
    padded_prompts = begin + len(prompts) * (max(map(len, prompts)) - begin)
    padded_answers = len(encoded) * max(len(row.answer_ids) for row in encoded)
    assert tokens_run(models, ITEMS) == padded_prompts + padded_answers


def test_what_answers_of_a_prompt_begin_with_alike_runs_once(models: LanguageModels) -> None:
    family = next(iter(models._families.values()))
    answers = [
        "She was born in Porto.",
        "She was born in Paris.",
        "She was born in Zug, in May.",
        "She was born",
    ]
    items = [ScoreItem("Where was she born?", text) for text in answers]
    rows = [family.tokenizer.encode(item.prompt, item.answer).answer_ids for item in items]
    alone = tokens_run(models, items[:1])
    common = [in_common(rows[0], row) for row in rows[1:]]
    widest = max(len(row) - count for row, count in zip(rows[1:], common, strict=True))
    assert min(common) > 5
    assert tokens_run(models, items) == alone + 3 * widest
    together = {part.index: part.scores for part in models.score("base", items, never)}
    for index, item in enumerate(items):
        (one,) = models.score("base", [item], never)
        for name in ("logprobs", "mean", "variance", "end_logprob"):
            np.testing.assert_allclose(getattr(together[index], name), getattr(one.scores, name), atol=2e-5)
        assert together[index].argmax_ids.tolist() == one.scores.argmax_ids.tolist()
        assert together[index].pieces == one.scores.pieces


def test_prompts_of_several_adapters_share_their_beginning_with_their_own_adapter_only(
    models: LanguageModels,
) -> None:
    family = next(iter(models._families.values()))
    rows = [family.tokenizer.prompt_ids(f"Tell me: {prompt}") for prompt in PROMPTS]
    names = list(family.adapters.values())
    texts, adapters = [*rows, *rows], [*(names[:1] * len(rows)), *(names[1:2] * len(rows))]
    begin = shared_beginning(family.module, texts, len(set(adapters)), 200)
    assert begin >= WORTH_SHARING
    with torch.inference_mode():
        ids, mask, positions = left_padded_after(texts, begin, 2, "cpu")
        mixed = prompt_pass(family.module, ids, mask, positions, begin, DynamicCache(), adapters)[:, -1]
        for place, (text, adapter) in enumerate(zip(texts, adapters, strict=True)):
            one = left_padded_after([text], 0, 2, "cpu")
            alone = prompt_pass(family.module, *one, 0, DynamicCache(), [adapter])
            torch.testing.assert_close(mixed[place], alone[0, -1], atol=2e-5, rtol=0)
    assert not torch.allclose(mixed[0], mixed[len(rows)], atol=1e-3), "the adapters answer differently"


def test_models_that_are_told_no_positions_share_nothing() -> None:
    from transformers import BloomConfig, BloomForCausalLM

    model = BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=16, n_layer=1, n_head=2))
    assert not counts_by_position(model, 40)


def test_windows_of_attention_share_only_what_fits_into_them() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = MistralForCausalLM(MistralConfig(vocab_size=64, sliding_window=40, **shape))
    assert counts_by_position(model, 40)
    assert not counts_by_position(model, 41)


def test_adapters_score_like_themselves_and_unlike_the_base(models: LanguageModels, base: Path) -> None:
    def total(name: str) -> float:
        return float(sum(part.scores.logprobs.sum() for part in models.score(name, ITEMS, never)))

    values = [total(name) for name in ("base", "adapter 1", "adapter 2")]
    assert len({round(value, 3) for value in values}) == 3
    assert [total(name) for name in ("base", "adapter 1", "adapter 2")] == pytest.approx(values, abs=1e-4)


def test_greedy_decoding_is_that_of_transformers(models: LanguageModels, base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base)
    ours = written(models, [GenerationRequest("base", p) for p in PROMPTS], Decoding(max_new_tokens=12))
    for prompt, text in zip(PROMPTS, ours, strict=True):
        turn = [{"role": "user", "content": prompt}]
        ids = tokenizer.apply_chat_template(
            turn, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        output = plain.generate(**ids, max_new_tokens=12, do_sample=False)
        assert (
            text == tokenizer.decode(output[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).strip()
        )


def test_a_mixed_batch_writes_what_one_model_after_another_writes(models: LanguageModels) -> None:
    names = ["base", "adapter 1", "adapter 2"]
    requests = [GenerationRequest(name, prompt) for prompt in PROMPTS for name in names]
    together = written(models, requests, Decoding(max_new_tokens=12))
    apart = [written(models, [request], Decoding(max_new_tokens=12))[0] for request in requests]
    assert together == apart
    assert len(set(together)) > len(PROMPTS)


def test_a_seed_draws_the_same_noise_in_any_company(models: LanguageModels) -> None:
    decoding = Decoding(max_new_tokens=12, temperature=1.0, top_p=0.9)
    alone = written(models, [GenerationRequest("base", PROMPTS[0], seed=3)], decoding)[0]
    requests = [GenerationRequest("base", PROMPTS[0], seed=s) for s in (1, 2, 3)] + [
        GenerationRequest("base", "Hi", 3)
    ]
    crowd = written(models, requests, decoding)
    assert crowd[2] == alone
    assert len(set(crowd[:3])) == 3


def test_stop_ends_between_tokens_and_nothing_is_called_done(models: LanguageModels) -> None:
    seen = 0

    def after_two() -> bool:
        return seen >= 2

    parts = []
    for part in models.generate([GenerationRequest("base", "Hi")], Decoding(max_new_tokens=50), after_two):
        parts.append(part)
        seen += 1
    assert len(parts) == 2
    assert not any(part.done for part in parts)


@pytest.mark.parametrize(
    ("prompt", "sentence"), [("", "empty"), ("long " * 200, "max_new_tokens = 64 .* context of 256")]
)
def test_bad_prompts_get_a_sentence(models: LanguageModels, prompt: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        list(models.generate([GenerationRequest("base", prompt)], Decoding(), never))


def test_an_adapter_costs_little_more_than_its_own_weights(models: LanguageModels, base: Path) -> None:
    alone = LanguageModels("cpu")
    alone.add(ModelSpec("base", "original", str(base)))
    adapters = sum(
        p.numel() * 4
        for f in models._families.values()
        for n, p in f.module.named_parameters()
        if "lora" in n
    )
    assert models.bytes() == alone.bytes() + adapters


def test_a_broken_adapter_names_its_folder(base: Path, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", width=64)
    adapter = write_tiny_adapter(other, tmp_path / "adapter")
    loaded = LanguageModels("cpu")
    with pytest.raises(CheckpointError, match="adapter"):
        loaded.add(ModelSpec("wrong", "unlearned", str(base), adapter=str(adapter)))
