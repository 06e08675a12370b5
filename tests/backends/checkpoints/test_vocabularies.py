"""Tokenizers are compared by what they do: an added padding token is said, another way of cutting texts is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from backends.checkpoints.identity import identity
from backends.checkpoints.usable import inspect_study, problem, vocabulary_note
from backends.errors import CheckpointError
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ModelSpec, Study
from backends.text.models import LanguageModels
from tests.tiny_text import CHATML, tiny_tokenizer, write_tiny_model

ITEM = ScoreItem("Who wrote it?", "Ada Quill, on a moored barge.")
Change = Callable[[PreTrainedTokenizerFast], Any]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"))


def changed(base: Path, folder: Path, change: Change) -> Path:
    """A copy of the base with another tokenizer."""
    shutil.copytree(base, folder)
    (folder / "chat_template.jinja").unlink()
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    change(tokenizer)
    tokenizer.save_pretrained(folder)
    return folder


def with_padding(base: Path, folder: Path, rows: int = 260) -> Path:
    """A copy of the base with an added padding token and embeddings of so many rows, as it is done in training."""
    changed(base, folder, lambda tokenizer: tokenizer.add_special_tokens({"pad_token": "<pad>"}))
    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(1)
    model.resize_token_embeddings(rows, mean_resizing=False)
    model.save_pretrained(folder)
    return folder


def pair(base: Path, other: Path) -> Study:
    models = (ModelSpec("Original", "original", str(base)), ModelSpec("Model", "unlearned", str(other)))
    return Study("study", "text", models, ())


def note(study: Study) -> str:
    return vocabulary_note(*study.models)


def refused(base: Path, other: Path, why: str) -> None:
    with pytest.raises(
        CheckpointError, match=f"tokenizer or chat template differs from that of Original .{why}"
    ):
        inspect_study(pair(base, other))


def test_an_added_padding_token_is_compared_on_the_common_vocabulary_and_said(
    base: Path, tmp_path: Path
) -> None:
    study = pair(base, with_padding(base, tmp_path / "padded"))
    inspect_study(study)
    assert note(study) == (
        "its tokenizer has 1 token more than Original's (<pad>), its output 260 numbers, Original's 259: answers are "
        "compared on the common vocabulary, and probabilities are over all tokens of each model"
    )
    first, second = study.models
    back = Study("study", "text", (replace(second, part="original"), replace(first, part="unlearned")), ())
    inspect_study(back)
    assert "1 token fewer than Model's (<pad>)" in note(back)
    assert identity(study.models[0]).tokenizer != identity(study.models[1]).tokenizer, "keys stay apart"


def test_scores_of_a_resized_model_are_those_among_its_own_tokens(base: Path, tmp_path: Path) -> None:
    folder = with_padding(base, tmp_path / "padded")
    models = LanguageModels("cpu")
    for spec in pair(base, folder).models:
        models.add(spec)
    (ours,), (theirs,) = (list(models.score(name, [ITEM], lambda: False)) for name in ("Original", "Model"))
    assert theirs.scores.token_ids.tolist() == ours.scores.token_ids.tolist()
    plain = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = next(iter(models._families.values())).tokenizer
    row = tokenizer.encode(ITEM.prompt, ITEM.answer)
    with torch.inference_mode():
        logits = plain(torch.tensor([row.prompt_ids + row.answer_ids])).logits[0].double()
    assert logits.shape[1] == 260
    own = logits.log_softmax(-1)[len(row.prompt_ids) - 1 : -1].gather(
        1, torch.tensor(row.answer_ids)[:, None]
    )
    assert theirs.scores.logprobs == pytest.approx(own[:, 0].numpy(), abs=1e-5)
    assert (theirs.scores.logprobs < ours.scores.logprobs).all(), "what the new token gets, the others lack"
    requests = [GenerationRequest("Model", "Who?")]
    assert [p for p in models.generate(requests, Decoding(max_new_tokens=3), lambda: False) if p.done]


def test_embeddings_that_are_only_padded_to_a_round_number_are_said_too(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "b")
    model = AutoModelForCausalLM.from_pretrained(base)
    model.resize_token_embeddings(320, mean_resizing=False)
    model.save_pretrained(tmp_path / "b")
    study = pair(base, tmp_path / "b")
    inspect_study(study)
    assert note(study).startswith("its tokenizer is the original's, its output 320 numbers, Original's 259: ")


@pytest.mark.parametrize(
    "change",
    [
        lambda tokenizer: setattr(tokenizer, "padding_side", "left"),
        lambda tokenizer: setattr(tokenizer, "model_max_length", 77),
        lambda tokenizer: setattr(tokenizer, "pad_token", "<unk>"),
        lambda tokenizer: setattr(
            tokenizer, "chat_template", CHATML.replace("{% for", "{#- the same -#}{% for")
        ),
    ],
)
def test_what_changes_no_text_is_no_difference(base: Path, tmp_path: Path, change: Change) -> None:
    study = pair(base, changed(base, tmp_path / "b", change))
    inspect_study(study)
    assert note(study) == ""


def test_another_layout_of_the_file_is_no_difference(base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "b"))
    path = folder / "tokenizer.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"padding": None, "truncation": None}, indent=7)
    )
    study = pair(base, folder)
    assert identity(study.models[0]).tokenizer != identity(study.models[1]).tokenizer
    inspect_study(study)
    assert note(study) == ""


def swap(tokenizer: Any) -> None:
    """Two tokens change places."""
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = core["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    tokenizer._tokenizer = type(tokenizer.backend_tokenizer).from_str(json.dumps(core))


def lower(tokenizer: Any) -> None:
    from tokenizers import normalizers

    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()


def with_beginning(tokenizer: Any) -> None:
    from tokenizers import processors

    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", pair="$A $B", special_tokens=[("<|im_start|>", 1)]
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (swap, "the token 'a' has the number"),
        (lower, "it tokenises texts by other rules"),
        (lambda tokenizer: tokenizer.add_tokens(["moored"]), "it has ordinary tokens of its own .moored"),
        (
            lambda tokenizer: setattr(tokenizer, "chat_template", CHATML.replace("assistant", "model")),
            "its chat template formats a conversation differently",
        ),
        (lambda tokenizer: setattr(tokenizer, "chat_template", None), "its chat template formats"),
        (with_beginning, "it tokenises 'Ada' differently, or adds other special tokens|it tokenises ''"),
    ],
)
def test_another_way_of_cutting_texts_is_refused_with_the_reason(
    base: Path, tmp_path: Path, change: Change, why: str
) -> None:
    refused(base, changed(base, tmp_path / "b", change), why)


def test_a_model_whose_files_are_not_here_is_shown_as_it_was_recorded(base: Path, tmp_path: Path) -> None:
    study = pair(base, with_padding(base, tmp_path / "padded"))
    declared = [replace(spec, fingerprint=identity(spec).declared()) for spec in study.models]
    away = Study("study", "text", (declared[0], replace(declared[1], source=str(tmp_path / "gone"))), ())
    assert problem(away.models[1], away) is None
    assert note(away) == ""
    turned = Study("study", "text", (replace(declared[0], source=str(tmp_path / "gone")), declared[1]), ())
    assert "the original is not on this machine" in str(problem(turned.models[1], turned))


def test_a_tokenizer_that_does_not_load_is_named(base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "b"))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=f"{folder}: its tokenizer cannot be loaded"):
        inspect_study(pair(base, folder))
    assert tiny_tokenizer().get_vocab()  # the other one is sound
