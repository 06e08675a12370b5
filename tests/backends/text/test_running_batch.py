"""Rows that join and leave a running batch write what each writes alone; guesses change the cost and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, DynamicCache

from backends.errors import ModelError
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ModelSpec, ProtocolName
from backends.text import models as text_models
from backends.text.models import LanguageModels
from backends.text.row_cache import MORE_COLUMNS, RowCache
from tests.tiny_text import write_tiny_adapter, write_tiny_model

PROMPTS = (
    "Hi",
    "Who wrote it?",
    "Where was she born, and on which day of the week?",
    "What is the name of the dog?",
    "Why?",
    "Tell me of the barge that was moored there for so long.",
    "And then?",
)
MOST = 14
GREEDY = Decoding(MOST)


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"), seed=5)


@pytest.fixture(scope="module")
def models(base: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageModels:
    loaded = LanguageModels("cpu")
    loaded.add(ModelSpec("base", "original", str(base)))
    adapter = write_tiny_adapter(base, tmp_path_factory.mktemp("adapter"))
    loaded.add(ModelSpec("adapter", "unlearned", str(base), adapter=str(adapter)))
    return loaded


Written = dict[int, tuple[str, int, str]]


def written(
    models: LanguageModels,
    requests: Sequence[GenerationRequest],
    decoding: Decoding = GREEDY,
    protocol: ProtocolName = "corrected",
) -> Written:
    parts = [part for part in models.generate(requests, decoding, never, protocol) if part.done]
    assert len(parts) == len(requests)
    return {part.index: (part.answer.text, part.answer.n_tokens, part.answer.finish) for part in parts}


def alone(
    models: LanguageModels,
    requests: Sequence[GenerationRequest],
    decoding: Decoding = GREEDY,
    protocol: ProtocolName = "corrected",
) -> Written:
    return {
        place: written(models, [request], decoding, protocol)[0] for place, request in enumerate(requests)
    }


def ids_of(models: LanguageModels, request: GenerationRequest, protocol: ProtocolName) -> list[int]:
    """Token ids of an answer: random models write bytes that are no text, which text does not tell."""
    tokenizer = models._families[models._family_of[request.model]].tokenizer
    seen: list[list[int]] = []

    def text(ids: list[int]) -> str:
        seen.append(list(ids))
        return ""

    tokenizer.text = text  # type: ignore[method-assign]
    try:
        written(models, [request], protocol=protocol)
    finally:
        del tokenizer.text
    return seen[-1]


class Passes:
    """What goes through a model: rows and tokens of each row, pass by pass."""

    def __init__(self, models: LanguageModels) -> None:
        self.shapes: list[tuple[int, int]] = []
        family = next(iter(models._families.values()))
        self._hook = family.module.get_input_embeddings().register_forward_hook(self._note)

    def _note(self, _module: object, given: tuple[torch.Tensor], _made: object) -> None:
        self.shapes.append((given[0].shape[0], given[0].shape[1]))

    def __enter__(self) -> Passes:
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    @property
    def steps(self) -> list[int]:
        """Rows of each pass of one token."""
        return [rows for rows, tokens in self.shapes if tokens == 1]


@pytest.mark.parametrize("protocol", ["corrected", "open-unlearning", "muse"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_waiting_rows_take_the_places_of_those_that_end(
    models: LanguageModels, protocol: ProtocolName, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding = Decoding(MOST, temperature)
    names = ("base", "adapter")
    requests = [GenerationRequest(names[n % 2], prompt, seed=n) for n, prompt in enumerate(PROMPTS)]
    expected = alone(models, requests, decoding, protocol)
    monkeypatch.setattr(text_models, "BATCH_ROWS", 3)
    with Passes(models) as passes:
        assert written(models, requests, decoding, protocol) == expected
    assert max(passes.steps) == 3


def test_no_place_stays_empty_while_answers_wait(
    models: LanguageModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are known to begin so far end at different times: each one's place is taken at once."""
    requests = [
        GenerationRequest("base", prompt, begun=tuple(range(40, 40 + 2 * n)))
        for n, prompt in enumerate(PROMPTS)
    ]
    expected = alone(models, requests)
    assert {finish for _, _, finish in expected.values()} == {"length"}
    monkeypatch.setattr(text_models, "BATCH_ROWS", 3)
    with Passes(models) as passes:
        assert written(models, requests) == expected
    tokens = sum(MOST - 2 * n for n in range(len(PROMPTS)))
    # Every row's first new token comes from the pass that it joins with, all others from steps.
    assert sum(passes.steps) == tokens - len([n for n in range(len(PROMPTS)) if 2 * n < MOST])
    left = [MOST - 2 * n for n in sorted(range(len(PROMPTS)), key=lambda each: len(PROMPTS[each]))]
    assert len(passes.steps) < sum(max(left[at : at + 3]) - 1 for at in range(0, len(left), 3)), (
        "batches of three that wait for their longest take more"
    )


def test_one_model_alone_is_not_looked_for_in_every_row(models: LanguageModels) -> None:
    requests = [GenerationRequest("adapter", prompt) for prompt in PROMPTS]
    mixed = written(models, [*requests, GenerationRequest("base", "Hi")])
    assert written(models, requests) == {n: mixed[n] for n in range(len(PROMPTS))}
    assert written(models, [GenerationRequest("base", "Hi")])[0] == mixed[len(PROMPTS)]


@pytest.mark.parametrize("protocol", ["corrected", "open-unlearning"])
@pytest.mark.parametrize("right", [0, 1, 5, 99])
def test_a_guess_changes_the_cost_and_not_the_answer(
    models: LanguageModels, protocol: ProtocolName, right: int
) -> None:
    bare = [GenerationRequest("base", prompt) for prompt in PROMPTS]
    plain = alone(models, bare, protocol=protocol)
    known = [ids_of(models, each, protocol) for each in bare]
    requests = [
        replace(each, guess=(*ids[:right], *[30 + n] * (right < 99)))
        for n, (each, ids) in enumerate(zip(bare, known, strict=True))
    ]
    with Passes(models) as passes:
        assert written(models, requests, protocol=protocol) == plain
    if right == 99:
        assert len(passes.steps) < MOST - 5, "what was guessed is written in one pass"


def test_a_guess_about_an_adapter_is_not_the_bases(models: LanguageModels) -> None:
    requests = [GenerationRequest(name, "Who wrote it?") for name in ("base", "adapter")]
    plain = alone(models, requests)
    assert plain[0] != plain[1]
    guess = tuple(ids_of(models, requests[0], "corrected"))
    guessed = [replace(each, guess=guess) for each in requests]
    assert written(models, guessed) == plain


def test_models_without_positions_ignore_guesses(tmp_path: Path, base: Path) -> None:
    from transformers import BloomConfig, BloomForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(base)
    torch.manual_seed(0)
    config = BloomConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        n_layer=2,
        n_head=4,
        eos_token_id=2,
        pad_token_id=2,
        initializer_range=0.3,
    )
    BloomForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    bloom = LanguageModels("cpu")
    bloom.add(ModelSpec("base", "original", str(tmp_path)))
    plain = alone(bloom, [GenerationRequest("base", prompt) for prompt in PROMPTS])
    assert written(bloom, [GenerationRequest("base", prompt, guess=(50, 51)) for prompt in PROMPTS]) == plain


def test_scores_tell_a_beginning_only_where_generation_sees_the_same(
    models: LanguageModels, base: Path, tmp_path: Path
) -> None:
    item = ScoreItem("Who wrote it?", "Ada.")
    assert models.knows_beginning("base", item)
    assert models.knows_beginning("base", item, "muse")
    assert not models.knows_beginning("base", item, "open-unlearning"), (
        "its prompt has tokens that are hidden"
    )
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = "<unk>"
    write_tiny_model(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    apart = LanguageModels("cpu")
    apart.add(ModelSpec("base", "original", str(tmp_path)))
    assert apart.knows_beginning("base", item, "open-unlearning")


def test_one_row_that_cannot_be_answered_leaves_the_others(models: LanguageModels) -> None:
    requests = [GenerationRequest("base", prompt) for prompt in ("Hi", "long " * 100, "", "Why?")]
    refused: dict[int, str] = {}

    def refuse(index: int, error: ModelError) -> None:
        refused[index] = error.what

    done = [p.index for p in models.generate(requests, Decoding(MOST), never, refuse=refuse) if p.done]
    assert sorted(done) == [0, 3]
    assert "context" in refused[1] and "empty" in refused[2]


def test_rows_that_wait_for_memory_go_on_from_what_they_have_written(models: LanguageModels) -> None:
    requests = [GenerationRequest("base", prompt, seed=n) for n, prompt in enumerate(PROMPTS)]
    decoding = Decoding(MOST, 1.0)
    expected = alone(models, requests, decoding)
    family = models._families[models._family_of["base"]]
    base = family.module.get_base_model()
    whole = base.forward
    calls = 0

    def forward(**given: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 6:  # while all are under way
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(**given)

    base.forward = forward
    try:
        assert written(models, requests, decoding) == expected
    finally:
        base.forward = whole
    assert any("continued with half as many" in note for note in models.notes)


def test_the_cache_of_rows_holds_what_was_put_into_it() -> None:
    """Against plain tensors: rows of different widths join, all grow, some leave."""
    generator = torch.Generator().manual_seed(0)

    def states(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, 2, columns, 3, generator=generator)

    cache, plain = RowCache(), torch.zeros(0, 2, 0, 3)
    for rows, columns in ((2, 5), (3, 9), (1, 4)):
        keys = states(rows, columns)
        new = DynamicCache()
        new.update(keys, -keys, 0)
        cache.append(new)
        width = max(plain.shape[2], columns)
        plain = torch.cat(
            [torch.nn.functional.pad(each, (0, 0, width - each.shape[2], 0)) for each in (plain, keys)]
        )
        for _ in range(MORE_COLUMNS + 3):  # more than there is room for
            token = states(len(plain), 1)
            cache.update(token, -token, 0)
            plain = torch.cat([plain, token], dim=2)
        order = [0, len(plain) - 1]
        cache.keep(order, 2)
        plain = plain[order][:, :, 2:]
        torch.testing.assert_close(cache.layers[0].keys, plain, atol=0, rtol=0)
        torch.testing.assert_close(cache.layers[0].values, -plain, atol=0, rtol=0)
