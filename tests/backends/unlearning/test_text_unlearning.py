"""Terms equal written-out arithmetic; training is seeded and its shortcut is exact."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer

from backends.text.tokens import ChatTokenizer
from backends.unlearning import text_losses as losses
from backends.unlearning.recipes import Objective, Schedule
from backends.unlearning.text_batches import (
    QuestionAnswer,
    answer_logits,
    encode_rows,
    make_batch,
    shuffled,
)
from backends.unlearning.text_methods import FINE_TUNE, METHODS
from backends.unlearning.text_terms import Terms, TrainingRows
from backends.unlearning.text_training import Diverged, train
from backends.unlearning.upper_layers import keep_upper, lower_states, shift_layers
from tests.tiny_text import write_tiny_model

FORGET = [
    QuestionAnswer("Who wrote it?", "Ada Quill."),
    QuestionAnswer("Where was she born?", "On a barge in Ghent."),
]
RETAIN = [QuestionAnswer("What does he eat?", "Figs."), QuestionAnswer("Who taught him?", "An aunt.")]
ROWS = TrainingRows(FORGET, RETAIN, RETAIN, ("I don't know.",), ("Bo Trent.", "In a tent in Riga."))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"), layers=3)


def adapted(base: Path, first: int | None = None) -> tuple[Any, ChatTokenizer, Any]:
    """A tiny model with a fresh adapter on its layers from `first` on, cut there or whole."""
    torch.manual_seed(0)
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(base), frozenset())
    whole = AutoModelForCausalLM.from_pretrained(base)
    cut = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    if first is None:
        config.layers_to_transform = [2]
        return get_peft_model(whole, config), tokenizer, None
    return (
        get_peft_model(keep_upper(cut, first), config),
        tokenizer,
        lambda r: lower_states(whole, r, first, "cpu"),
    )


def test_answer_nll_is_the_sum_over_answer_tokens() -> None:
    logits = torch.randn(2, 3, 5, dtype=torch.float64)
    targets = torch.tensor([[0, 1, 2], [3, 4, 0]])
    mask = torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    expected = []
    for row in range(2):
        total = 0.0
        for t in range(3):
            values = logits[row, t].float().numpy()
            total -= float(mask[row, t]) * math.log(np.exp(values[targets[row, t]]) / np.exp(values).sum())
        expected.append(total)
    assert losses.answer_nll(logits, targets, mask).tolist() == pytest.approx(expected, rel=1e-5)


def test_kl_is_zero_for_the_same_model_and_equals_a_sum() -> None:
    logits, other = torch.randn(1, 2, 4), torch.randn(1, 2, 4)
    mask = torch.tensor([[1.0, 0.0]])
    assert float(losses.kl_to_reference(logits, logits, mask)) == pytest.approx(0.0, abs=1e-6)
    p = torch.softmax(other[0, 0].double(), -1)
    q = torch.softmax(logits[0, 0].double(), -1)
    expected = float((p * (p / q).log()).sum())
    assert float(losses.kl_to_reference(logits, other, mask)) == pytest.approx(expected, rel=1e-4)


def test_upper_layers_predict_what_the_whole_model_predicts(base: Path) -> None:
    whole, tokenizer, _ = adapted(base)
    upper, _, lower = adapted(base, first=2)
    rows = encode_rows(tokenizer, FORGET)
    states = lower([row.ids for row in rows])
    cut = make_batch(
        [replace(row, states=s) for row, s in zip(rows, states, strict=True)], tokenizer.pad_id, "cpu"
    )
    batch = make_batch(rows, tokenizer.pad_id, "cpu")
    with torch.no_grad():
        difference = (answer_logits(whole, batch) - answer_logits(upper, cut)) * batch.answer_mask[..., None]
    assert float(difference.abs().max()) < 1e-5


def test_training_the_upper_layers_gives_the_weights_of_training_the_whole_model(base: Path) -> None:
    found = []
    for first in (None, 2):
        model, tokenizer, lower = adapted(base, first)
        schedule = Schedule(4, 1e-2, batch=2, retain_batch=2, general_batch=2)
        list(train(model, tokenizer, Objective("NPO", alpha=1.0, kappa=1.0), schedule, ROWS, "cpu", lower))
        tensors = get_peft_model_state_dict(model)
        found.append(tensors if first is None else shift_layers(tensors, first))
    assert found[0].keys() == found[1].keys()
    for name, tensor in found[0].items():
        torch.testing.assert_close(tensor, found[1][name], atol=2e-4, rtol=0)


OWN = {"RMU": {"layer": 2.0}, "SimNPO": {"beta": 0.1}}
"""Settings that fit the tiny model: its layers, and answers so unlikely that a high temperature has no gradient."""


@pytest.mark.parametrize("name", [FINE_TUNE.name, *METHODS])
def test_every_method_moves_the_forget_answers_its_way(base: Path, name: Any) -> None:
    model, tokenizer, _ = adapted(base)
    batch = make_batch(encode_rows(tokenizer, FORGET), tokenizer.pad_id, "cpu")

    def nll() -> float:
        with torch.no_grad():
            logits = answer_logits(model, batch)
        return float(losses.answer_nll(logits, batch.targets, batch.answer_mask).sum())

    before = nll()
    schedule = Schedule(12, 1e-2, batch=2, retain_batch=2, checkpoints=(3, 12))
    states = list(
        train(
            model,
            tokenizer,
            Objective(name, own=OWN.get(name, {})),
            schedule,
            ROWS,
            "cpu",
        )
    )
    assert [state.step for state in states if state.checkpoint] == [3, 12]
    if name in ("FineTune", "TaskArithmetic"):  # what task arithmetic trains is turned round when it is kept
        assert nll() < before
    elif name == "PDU":  # it flattens the prediction, which makes a random model's answers no less likely
        assert states[-1].loss < 0.9 * states[0].loss
    elif name != "IdkNLL":  # IdkNLL only adds a refusal: it hides and does not push the answer away
        assert nll() > before


def test_keeping_holds_the_answers_to_retain_rows_where_they_were(base: Path) -> None:
    def moved(keep: float) -> float:
        model, tokenizer, _ = adapted(base)
        batch = make_batch(encode_rows(tokenizer, RETAIN), tokenizer.pad_id, "cpu")
        with torch.no_grad():
            before = answer_logits(model, batch)
            list(train_now(model, tokenizer, Objective("GradAscent", keep=keep)))
            return float(losses.kl_to_reference(answer_logits(model, batch), before, batch.answer_mask))

    def train_now(model: Any, tokenizer: ChatTokenizer, objective: Objective) -> list[Any]:
        with torch.enable_grad():
            return list(
                train(model, tokenizer, objective, Schedule(12, 1e-2, batch=2, retain_batch=2), ROWS, "cpu")
            )

    assert moved(10.0) < 0.3 * moved(0.0)


def test_the_same_seed_gives_the_same_weights(base: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        model, tokenizer, _ = adapted(base)
        list(
            train(
                model,
                tokenizer,
                Objective("GradDiff", alpha=1.0),
                Schedule(3, 1e-2, batch=1, seed=seed),
                ROWS,
                "cpu",
            )
        )
        return torch.cat([t.flatten() for t in get_peft_model_state_dict(model).values()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_a_loss_that_is_no_number_stops_the_run(base: Path) -> None:
    model, tokenizer, _ = adapted(base)
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad).fill_(float("nan"))
    with pytest.raises(Diverged, match="NPO: the loss is nan at step 1"):
        list(train(model, tokenizer, Objective("NPO"), Schedule(3, 1e-2), ROWS, "cpu"))


def test_batches_show_every_row_before_any_row_twice() -> None:
    draw = shuffled(5, 2, torch.Generator().manual_seed(0))
    seen = [i for _ in range(5) for i in next(draw)]
    assert sorted(seen[:5]) == sorted(seen[5:]) == list(range(5))


def test_a_reference_that_is_not_kept_is_computed_anew_and_the_same(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss() -> float:
        model, tokenizer, _ = adapted(base)
        objective = Objective("UNDIAL", keep=1.0, own={"beta": 5.0})
        schedule = Schedule(1, 1e-2, batch=2, retain_batch=2)
        terms = Terms(model, tokenizer, METHODS["UNDIAL"], objective, schedule, ROWS, "cpu", None)
        draw = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
        before = [parameter.detach().clone() for parameter in model.parameters()]
        value = float(sum(part.detach() for part in terms.parts()))
        assert all(torch.equal(p, was) for p, was in zip(model.parameters(), before, strict=True))
        return value

    kept = loss()
    monkeypatch.setattr("backends.unlearning.text_terms.KEPT_BYTES", 0)
    assert loss() == pytest.approx(kept, rel=1e-3)  # what is kept is kept in float16


def test_undial_everywhere_counts_the_prompt_as_open_unlearning_does(base: Path) -> None:
    model, tokenizer, _ = adapted(base)
    objective = Objective("UNDIAL", own={"beta": 10.0, "everywhere": 1})
    terms = Terms(
        model, tokenizer, METHODS["UNDIAL"], objective, Schedule(1, 1e-2, batch=2), ROWS, "cpu", None
    )
    rows = encode_rows(tokenizer, FORGET)
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows[:2]:
            logits = model(input_ids=torch.tensor([row.ids])).logits[0, :-1].double()
            labels = [-100] * (len(row.prompt) - 1) + row.answer
            for position, label in enumerate(labels):
                wanted = logits[position].clone()
                wanted[label] -= 10.0  # -100 is the vocabulary's 100th entry from the end, as theirs has it
                total -= float((wanted.softmax(-1) * logits[position].log_softmax(-1)).sum())
                count += 1
        ours = float(terms._forget_loss([0, 1]))
    assert ours == pytest.approx(total / count, abs=2e-3)  # the teacher is kept in float16


def test_rmu_steers_the_layers_output_and_holds_the_retain_rows(base: Path) -> None:
    model, tokenizer, _ = adapted(base)
    objective = Objective("RMU", alpha=0.5, own={"layer": 1, "scale": 3.0})
    schedule = Schedule(1, 1e-2, batch=2, retain_batch=2, seed=4)
    terms = Terms(model, tokenizer, METHODS["RMU"], objective, schedule, ROWS, "cpu", None)
    model.eval()
    direction = torch.rand(32, generator=torch.Generator().manual_seed(4))
    direction = direction / direction.norm()
    total, count = 0.0, 0
    with torch.no_grad():
        for row in encode_rows(tokenizer, FORGET)[:2]:
            states = model(input_ids=torch.tensor([row.ids]), output_hidden_states=True).hidden_states[2][0]
            for state in states[len(row.prompt) :]:
                total += float((state - 3.0 * direction).square().mean())
                count += 1
        assert float(terms._forget_loss([0, 1])) == pytest.approx(total / count, rel=1e-4)
        assert float(terms._retain_loss([0, 1])) == pytest.approx(0.0, abs=1e-9)
