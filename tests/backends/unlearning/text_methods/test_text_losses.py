"""Losses of the text methods: values and gradients against loops, and the papers' identities."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from backends.unlearning.text_losses import answer_nll, preference
from backends.unlearning.text_methods.ceu import ceu
from backends.unlearning.text_methods.grad_ascent import gradient_ascent
from backends.unlearning.text_methods.npo import npo
from backends.unlearning.text_methods.pdu import dual_step, flatness
from backends.unlearning.text_methods.rmu import staying, steering
from backends.unlearning.text_methods.satimp import saturation_importance
from backends.unlearning.text_methods.simnpo import simnpo
from backends.unlearning.text_methods.undial import undial
from backends.unlearning.text_methods.wga import weighted_ascent

ROWS, TOKENS, WORDS = 2, 3, 5


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(
        ROWS, TOKENS, WORDS, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()


TARGETS = torch.tensor([[0, 1, 2], [3, 4, 0]])
MASK = torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
REFERENCE = torch.randn(ROWS, TOKENS, WORDS, generator=torch.Generator().manual_seed(1))


def tokens() -> list[tuple[int, int]]:
    return [(r, t) for r in range(ROWS) for t in range(TOKENS) if MASK[r, t]]


def softmax(row: list[float]) -> list[float]:
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def numeric_gradient(loss: Callable[[torch.Tensor], torch.Tensor], at: torch.Tensor) -> torch.Tensor:
    """Central differences of a loss."""
    gradient = torch.zeros_like(at)
    for index in torch.cartesian_prod(*map(torch.arange, at.shape)):
        place = tuple(index.tolist())
        up, down = at.detach().clone(), at.detach().clone()
        up[place] += 1e-3
        down[place] -= 1e-3
        gradient[place] = (loss(up) - loss(down)) / 2e-3
    return gradient


@pytest.mark.parametrize(("beta1", "beta2"), [(1.0, 0.0), (5.0, 1.0), (0.0, 0.0)])
def test_reweighted_ascents_equal_their_loops_with_the_weight_held_fixed(
    logits: torch.Tensor, beta1: float, beta2: float
) -> None:
    found = saturation_importance(logits, TARGETS, MASK, beta1, beta2)
    if beta2 == 0:
        assert weighted_ascent(logits, TARGETS, MASK, beta1).item() == pytest.approx(found.item(), rel=1e-6)
    probabilities = {(r, t): softmax(logits[r, t].tolist()) for r, t in tokens()}
    expected, gradient = 0.0, torch.zeros_like(logits)
    for (r, t), p in probabilities.items():
        true = int(TARGETS[r, t])
        weight = p[true] ** beta1 * (1 - p[true]) ** beta2
        expected += weight * math.log(p[true]) / len(tokens())
        for word in range(WORDS):  # d log p_true / d logit = [word is true] - p_word
            gradient[r, t, word] = weight * ((word == true) - p[word]) / len(tokens())
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert torch.allclose(logits.grad, gradient, atol=1e-6)


def test_without_weights_they_are_gradient_ascent(logits: torch.Tensor) -> None:
    nll, n = answer_nll(logits, TARGETS, MASK), MASK.sum(-1)
    plain = gradient_ascent(nll, n).item()
    assert weighted_ascent(logits, TARGETS, MASK, 0.0).item() == pytest.approx(plain, rel=1e-6)


def test_undial_is_cross_entropy_to_the_lowered_reference(logits: torch.Tensor) -> None:
    expected, gradient = 0.0, torch.zeros_like(logits)
    for r, t in tokens():
        lowered = REFERENCE[r, t].tolist()
        lowered[int(TARGETS[r, t])] -= 10.0
        wanted, p = softmax(lowered), softmax(logits[r, t].tolist())
        expected -= sum(w * math.log(q) for w, q in zip(wanted, p, strict=True)) / len(tokens())
        gradient[r, t] = torch.tensor([(q - w) / len(tokens()) for w, q in zip(wanted, p, strict=True)])
    found = undial(logits, TARGETS, MASK, REFERENCE, 10.0)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert torch.allclose(logits.grad, gradient, atol=1e-6)


def test_undial_without_lowering_keeps_the_reference_where_it_is() -> None:
    at = REFERENCE.clone().requires_grad_()
    undial(at, TARGETS, MASK, REFERENCE, 0.0).backward()
    assert at.grad is not None
    assert at.grad.abs().max() < 1e-6


@pytest.mark.parametrize("skip", [0, 1])
def test_ceu_aims_at_its_own_prediction_without_the_true_token(logits: torch.Tensor, skip: int) -> None:
    counted = [(r, t) for r, t in tokens() if int(MASK[r, : t + 1].sum()) > skip]
    expected, gradient = 0.0, torch.zeros_like(logits)
    for r, t in counted:
        true, row = int(TARGETS[r, t]), logits[r, t].tolist()
        powers = [0.0 if word == true else math.exp(value) for word, value in enumerate(row)]
        wanted, p = [power / sum(powers) for power in powers], softmax(row)
        expected -= sum(w * math.log(q) for w, q in zip(wanted, p, strict=True)) / len(counted)
        gradient[r, t] = torch.tensor([(q - w) / len(counted) for w, q in zip(wanted, p, strict=True)])
    found = ceu(logits, TARGETS, MASK, skip_first=skip)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert torch.allclose(logits.grad, gradient, atol=1e-6)


def test_flatness_is_nothing_where_all_tokens_are_alike(logits: torch.Tensor) -> None:
    assert flatness(torch.full((ROWS, TOKENS, WORDS), 3.0), MASK).item() == 0.0
    expected = sum((max(row) - sum(row) / WORDS) ** 2 for row in (logits[r, t].tolist() for r, t in tokens()))
    assert flatness(logits, MASK).item() == pytest.approx(expected / len(tokens()), rel=1e-5)
    flatness(logits, MASK).backward()
    assert torch.allclose(logits.grad, numeric_gradient(lambda at: flatness(at, MASK), logits), atol=1e-3)


def test_the_retain_weight_of_pdu_grows_while_its_bound_is_broken_and_never_falls_below_nothing() -> None:
    assert dual_step(1.0, 0.8, 0.5, 2.0) == pytest.approx(1.6)
    assert dual_step(0.1, 0.1, 0.5, 1.0) == 0.0


def test_steering_and_staying_are_mean_squares_over_answer_tokens() -> None:
    random = torch.Generator().manual_seed(2)
    hidden, frozen = (torch.randn(ROWS, TOKENS, 4, generator=random) for _ in range(2))
    direction = torch.rand(4, generator=random)
    direction /= direction.norm()
    far = [((hidden[r, t] - 7.0 * direction) ** 2).mean().item() for r, t in tokens()]
    near = [((hidden[r, t] - frozen[r, t]) ** 2).mean().item() for r, t in tokens()]
    assert steering(hidden, MASK, direction, 7.0).item() == pytest.approx(sum(far) / len(far), rel=1e-5)
    assert staying(hidden, frozen, MASK).item() == pytest.approx(sum(near) / len(near), rel=1e-5)
    there = (7.0 * direction).expand(ROWS, TOKENS, 4)
    assert steering(there, MASK, direction, 7.0).item() == pytest.approx(0.0, abs=1e-9)
    assert staying(hidden, hidden, MASK).item() == 0.0


def test_npo_equals_its_formula_and_tends_to_gradient_ascent() -> None:
    nll = torch.tensor([3.0, 7.0], requires_grad=True)
    ref = torch.tensor([2.0, 8.0])
    value = npo(nll, ref, 0.5)
    sigmoid = [1 / (1 + math.exp(-0.5 * d)) for d in (1.0, -1.0)]
    assert float(value.detach()) == pytest.approx(-(2 / 0.5) * sum(map(math.log, sigmoid)) / 2, rel=1e-6)
    # d NPO / d nll = -(2 sigmoid(-beta d)) / rows, which is gradient ascent's -1 / rows as beta tends to 0.
    (gradient,) = torch.autograd.grad(npo(nll, ref, 1e-4), nll)
    assert gradient.tolist() == pytest.approx([-0.5, -0.5], abs=1e-4)


def test_simnpo_weighs_gradients_by_length_and_confidence() -> None:
    nll = torch.tensor([2.0, 2.0], requires_grad=True)
    n = torch.tensor([2.0, 8.0])
    (gradient,) = torch.autograd.grad(simnpo(nll, n, 2.5, 0.0), nll)
    expected = [-2 * (1 - 1 / (1 + math.exp(-2.5 * 2.0 / k))) / k / 2 for k in (2.0, 8.0)]
    assert gradient.tolist() == pytest.approx(expected, rel=1e-5)


def test_dpo_with_equal_margins_is_two_log_two_over_beta() -> None:
    nll = torch.tensor([4.0])
    assert float(preference(nll, nll, nll, nll, 0.1)) == pytest.approx(2 / 0.1 * math.log(2), rel=1e-6)
    better = preference(nll - 1, nll, nll + 1, nll, 0.1)
    assert float(better) == pytest.approx(-20 * math.log(1 / (1 + math.exp(-0.2))), rel=1e-6)
