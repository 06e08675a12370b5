"""Language models of many families, tiny and random: scores equal a plain forward pass, answers those of `generate`.

Prompts of different lengths are in one batch, so padding, positions and sliding windows are all put to the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ModelSpec
from backends.text.models import LanguageModels
from tests.tiny_text import tiny_tokenizer

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**SHAPE, "num_key_value_heads": 2}
WINDOW = 16
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {**GROUPED, "tie_word_embeddings": True},
    "Mistral": {**GROUPED, "sliding_window": WINDOW},
    "Qwen2": GROUPED,
    "Qwen3": {**GROUPED, "head_dim": 8},
    "Gemma": {**GROUPED, "head_dim": 8},
    "Gemma2": {**GROUPED, "head_dim": 8, "sliding_window": WINDOW, "query_pre_attn_scalar": 8},
    "Phi": SHAPE,
    "Phi3": GROUPED,
    "GPTNeoX": SHAPE,
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "OPT": {
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
    },
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "Falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "StableLm": GROUPED,
    "Olmo2": GROUPED,
}
ITEMS = [
    ScoreItem("Who wrote it?", "Ada Quill."),
    ScoreItem("Who wrote it?", "It was Ben, of all people, in a moored barge."),
    ScoreItem("Where was she born, and on which day of the week was it?", "In Zürich."),
    # These begin like others: what they have in common with them runs once.
    ScoreItem("Who wrote it?", "Ada Quill. Nobody else."),
    ScoreItem("Who wrote it?", "Ada"),
    ScoreItem("Who wrote it?", "Ada Quail, of all people."),
    ScoreItem("Where was she born, and on which day of the week was it?", "In Zug, on a Monday."),
]


@pytest.fixture(scope="module", params=list(FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the family whose tokenizer has no padding token and, for every other one, no chat template."""
    path = Path(tmp_path_factory.mktemp(request.param))
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    if list(FAMILIES).index(request.param) % 2:
        tokenizer.chat_template = None
    settings = FAMILIES[request.param] | {
        "vocab_size": len(tokenizer),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": None,
        "initializer_range": 0.3,
    }
    if request.param != "GPT2":
        settings["max_position_embeddings"] = 256
    torch.manual_seed(0)
    config = getattr(transformers, f"{request.param}Config")(**settings)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def models(folder: Path) -> LanguageModels:
    loaded = LanguageModels("cpu")
    loaded.add(ModelSpec("Model", "original", str(folder)))
    return loaded


def test_scores_equal_a_plain_forward_pass(models: LanguageModels, folder: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = next(iter(models._families.values())).tokenizer
    for part in models.score("Model", ITEMS, lambda: False):
        row = tokenizer.encode(ITEMS[part.index].prompt, ITEMS[part.index].answer)
        ids = [*row.prompt_ids, *row.answer_ids]
        with torch.inference_mode():
            logprobs = plain(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        first = len(row.prompt_ids)
        expected = [float(logprobs[place - 1, ids[place]]) for place in range(first, len(ids))]
        np.testing.assert_allclose(part.scores.logprobs, expected, atol=2e-5)


def test_greedy_answers_are_those_of_generate(models: LanguageModels, folder: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = next(iter(models._families.values())).tokenizer
    prompts = ["Hi", "Where was she born, and on which day of the week was it?"]
    requests = [GenerationRequest("Model", prompt, 0) for prompt in prompts]
    found = {
        p.index: p.answer
        for p in models.generate(requests, Decoding(max_new_tokens=20), lambda: False)
        if p.done
    }
    for index, prompt in enumerate(prompts):
        ids = torch.tensor([tokenizer.prompt_ids(prompt)])
        with torch.inference_mode():
            whole = plain.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20, pad_token_id=2
            )
        written = [token for token in whole[0, ids.shape[1] :].tolist() if token != 2]
        assert found[index].text == tokenizer.text(written)


def test_open_unlearning_scores_equal_a_plain_pass_with_its_mask(
    models: LanguageModels, folder: Path, request: pytest.FixtureRequest
) -> None:
    if any(name in request.node.callspec.id for name in ("OPT", "Bloom")):
        pytest.skip("its positions come from the attention mask, which right padding then also moves")
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = next(iter(models._families.values())).tokenizer
    for part in models.score("Model", ITEMS, lambda: False, "open-unlearning"):
        item = ITEMS[part.index]
        row = tokenizer.encode(item.prompt, item.answer, "", "open-unlearning")
        ids = torch.tensor([row.prompt_ids + row.answer_ids])
        with torch.no_grad():
            logits = plain(input_ids=ids, attention_mask=(ids != tokenizer.pad_id).long()).logits
        logprobs = logits.log_softmax(-1)[0, len(row.prompt_ids) - 1 : -1]
        expected = logprobs.gather(1, torch.tensor(row.answer_ids)[:, None])[:, 0].numpy()
        assert part.scores.logprobs == pytest.approx(expected, abs=2e-4)
        assert row.answer_ids[-1] == tokenizer.end_id


def test_answers_that_run_three_at_a_time_are_those_written_alone(
    models: LanguageModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [
        "Hi",
        "Where was she born, and on which day of the week was it?",
        "Who wrote it?",
        "Why?",
        "No?",
    ]
    requests = [GenerationRequest("Model", prompt, seed) for seed, prompt in enumerate(prompts)]
    decoding = Decoding(max_new_tokens=10, temperature=0.7)

    def texts(asked: list[GenerationRequest]) -> list[str]:
        parts = models.generate(asked, decoding, lambda: False)
        found = {part.index: part.answer.text for part in parts if part.done}
        return [found[place] for place in range(len(asked))]

    alone = [texts([request])[0] for request in requests]
    monkeypatch.setattr("backends.text.models.BATCH_ROWS", 3)
    assert texts(requests) == alone
