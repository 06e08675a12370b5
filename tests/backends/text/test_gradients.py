"""Gradient norms against a plain backward pass, with and without an adapter; nothing is left behind in the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from backends.checkpoints.identity import ModelIdentity
from backends.errors import ModelError
from backends.evidence import TextEvidence
from backends.interfaces import ScoreItem
from backends.pool import ModelPool
from backends.study import ModelSpec, ProbeSet, ProtocolName, Study
from backends.text.gradients import without_last_label
from backends.text.models import LanguageModels
from backends.text.tokens import EncodedAnswer
from cache.analysis.scoreboard import scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.evaluate.plan import plan
from cache.store import keys, open_store, reading
from tests.cache.conftest import person
from tests.tiny_text import write_tiny_adapter, write_tiny_model

ITEMS = [ScoreItem("Who wrote it?", "Ada Quill."), ScoreItem("Where?", "In Zürich, on a moored barge.")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gradients")
    write_tiny_model(path / "base")
    write_tiny_adapter(path / "base", path / "adapter")
    return path


@pytest.fixture
def models(folder: Path) -> LanguageModels:
    loaded = LanguageModels("cpu")
    base = str(folder / "base")
    loaded.add(ModelSpec("base", "original", base))
    loaded.add(ModelSpec("adapted", "unlearned", base, adapter=str(folder / "adapter")))
    return loaded


@pytest.mark.parametrize("protocol", ["corrected", "open-unlearning"])
@pytest.mark.parametrize("name", ["base", "adapted"])
def test_norms_are_those_of_a_plain_backward_pass(
    models: LanguageModels, folder: Path, name: str, protocol: ProtocolName
) -> None:
    plain = AutoModelForCausalLM.from_pretrained(folder / "base")
    if name == "adapted":
        plain = PeftModel.from_pretrained(plain, str(folder / "adapter")).merge_and_unload()
    plain.eval().requires_grad_(True)
    tokenizer = models._families[models._family_of[name]].tokenizer
    for index, norm in models.gradient_norms(name, ITEMS, lambda: False, protocol):
        row = tokenizer.encode(ITEMS[index].prompt, ITEMS[index].answer, "", protocol)
        ids = torch.tensor([row.prompt_ids + row.answer_ids])
        labels = torch.tensor([[-100] * len(row.prompt_ids) + row.answer_ids])
        if protocol == "open-unlearning":
            labels[0, -1] = -100  # `actual_indices[:-1]` in its tokenwise_logprobs
        mask = torch.tensor([[int(token not in tokenizer.unseen(protocol)) for token in ids[0].tolist()]])
        plain.zero_grad()
        plain(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        norms = [weight.grad.norm() for weight in plain.parameters()]
        assert norm == pytest.approx(float(torch.stack(norms).mean()), rel=1e-4)


def test_norms_that_counted_the_last_label_are_not_read_under_open_unlearning(tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    ours = keys.gradients_context("f", "t", "float32", "open-unlearning")
    before = replace(ours, settings=keys.canonical({}))
    probe = person(0, "forget")
    for context, norm in ((before, 1.0), (ours, 2.0)):
        store.put_text(store.register(context), [(probe.digest(), TextEvidence(gradient_norm=norm))])
    model = ModelIdentity("f", "t")
    assert reading.gradient_contexts(store, model, "open-unlearning") == [ours]
    assert [each.settings for each in reading.text_contexts(store, model, "open-unlearning", "")] == [
        ours.settings
    ]


def test_nothing_stays_behind(models: LanguageModels) -> None:
    before = {part.index: part.scores.logprobs for part in models.score("base", ITEMS, lambda: False)}
    assert len(list(models.gradient_norms("adapted", ITEMS, lambda: False))) == 2
    module = models._families[models._family_of["base"]].module
    assert not any(weight.requires_grad or weight.grad is not None for weight in module.parameters())
    after = {part.index: part.scores.logprobs for part in models.score("base", ITEMS, lambda: False)}
    assert all((before[index] == after[index]).all() for index in before)
    assert list(models.gradient_norms("base", ITEMS, lambda: True)) == []


def test_an_answer_of_one_label_has_no_norm_where_the_last_is_left_out() -> None:
    row = EncodedAnswer([1, 2], [3, 4], ("a", ""))
    assert without_last_label(row, "x").answer_ids == [3]
    with pytest.raises(ModelError, match="single label"):
        without_last_label(EncodedAnswer([1], [2], ("a",)), "x")


def test_an_answer_without_a_token_is_refused_as_in_scoring(models: LanguageModels) -> None:
    with pytest.raises(ModelError, match="has no tokens"):
        list(models.gradient_norms("base", [ScoreItem("", "x", format="{prompt}")], lambda: False))


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_model_has_no_gradients(folder: Path) -> None:
    models = LanguageModels("cpu")
    models.add(ModelSpec("small", "original", str(folder / "base"), quantization="nf4"))
    with pytest.raises(ModelError, match="Quantised weights have no gradients"):
        list(models.gradient_norms("small", ITEMS, lambda: False))


def test_the_attack_is_computed_on_request_only(folder: Path, tmp_path: Path) -> None:
    study = Study(
        "S",
        "text",
        (ModelSpec("Original", "original", str(folder / "base")),),
        (
            ProbeSet("forget", "forget", tuple(person(i, "forget") for i in range(4))),
            ProbeSet(
                "holdout", "holdout", tuple(replace(person(i, "h"), role="holdout") for i in range(10, 14))
            ),
            ProbeSet("retain", "retain", tuple(person(i, "retain") for i in range(20, 22))),
        ),
    )
    store = open_store(tmp_path / "evidence.sqlite")
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")))
    assert "mia_gradnorm" not in set(scoreboard(study, store).frame.metric)
    asked = replace(study, gradients=True)
    assert plan(asked, store, "float32").missing == 8  # forget and holdout probes, and nothing else again
    evaluate(EvaluationContext.of(asked, store, ModelPool("cpu")))
    assert plan(asked, store, "float32").missing == 0
    frame = scoreboard(asked, store).frame.set_index("metric")
    assert 0 <= frame.loc["mia_gradnorm", "value"] <= 1
    assert "mia_gradnorm_tpr5" in frame.index
