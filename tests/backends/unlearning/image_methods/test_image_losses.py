"""Losses of the image methods, by hand and against the papers' identities."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from backends.unlearning.image_batches import Batch, Concepts
from backends.unlearning.image_losses import predict
from backends.unlearning.image_methods.adv_text import adversarial_loss
from backends.unlearning.image_methods.concept_ablation import concept_ablation_loss
from backends.unlearning.image_methods.erase_diff import erase_diff_loss, erase_diff_weight
from backends.unlearning.image_methods.esd import esd_loss, esd_target
from backends.unlearning.image_methods.grad_ascent import loss as gradient_ascent_loss
from backends.unlearning.image_methods.salun import relabelling_loss, saliency_mask
from backends.unlearning.image_methods.selective_amnesia import amnesia_loss, consolidation
from backends.unlearning.image_methods.uce import closed_form


def batch_of(parts: tuple[torch.nn.Module, object, Concepts]) -> Batch:
    return parts[2].batch(4, parts[1], torch.Generator().manual_seed(1), uniform=True)[0]


def test_esd_target_by_hand() -> None:
    assert esd_target(torch.tensor(3.0), torch.tensor(1.0), eta=2.0).item() == -1.0


def test_esd_without_guidance_asks_for_the_original(parts: tuple[torch.nn.Module, object, Concepts]) -> None:
    unet, batch = parts[0], batch_of(parts)
    assert esd_loss(unet, unet, batch, eta=0.0).item() == 0.0
    assert esd_loss(unet, unet, batch, eta=2.0).item() > 0.0


def test_esd_with_guidance_one_asks_for_the_empty_prompt(
    parts: tuple[torch.nn.Module, object, Concepts],
) -> None:
    unet, batch = parts[0], batch_of(parts)
    conditional = predict(unet, batch.noisy, batch.timesteps, batch.states)
    empty = predict(unet, batch.noisy, batch.timesteps, batch.empty)
    expected = (conditional - empty).square().mean()
    assert torch.allclose(esd_loss(unet, unet, batch, eta=1.0), expected)


def test_salun_asks_the_original_for_the_other_concept(
    parts: tuple[torch.nn.Module, object, Concepts],
) -> None:
    unet, batch = parts[0], batch_of(parts)
    assert relabelling_loss(unet, unet, replace(batch, relabelled=batch.states)).item() == 0.0
    shown = predict(unet, batch.noisy, batch.timesteps, batch.states)
    other = predict(unet, batch.noisy, batch.timesteps, batch.relabelled)
    assert torch.allclose(relabelling_loss(unet, unet, batch), (shown - other).square().mean())


def test_gradient_ascent_is_the_negative_denoising_loss(
    parts: tuple[torch.nn.Module, object, Concepts],
) -> None:
    unet, batch = parts[0], batch_of(parts)
    error = (predict(unet, batch.noisy, batch.timesteps, batch.states) - batch.target).square().mean()
    assert torch.allclose(gradient_ascent_loss(unet, unet, batch, {}), -error)


def test_saliency_mask_keeps_the_largest_over_all_tensors() -> None:
    mask = saliency_mask({"a": torch.tensor([5.0, -4.0]), "b": torch.tensor([[1.0, -2.0]])}, share=0.5)
    assert mask["a"].tolist() == [1.0, 1.0]
    assert mask["b"].tolist() == [[0.0, 0.0]]


def test_the_closed_form_solves_its_least_squares_problem() -> None:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    w0, c, t, p, damping = normal(5, 4), normal(3, 4), normal(3, 4), normal(6, 4), 0.7
    w = closed_form(w0, c, t, p, damping).requires_grad_(True)
    objective = (
        (c @ w.T - t @ w0.T).square().sum()
        + (p @ w.T - p @ w0.T).square().sum()
        + damping * (w - w0).square().sum()
    )
    (gradient,) = torch.autograd.grad(objective, w)
    assert float(gradient.abs().max()) < 1e-9
    assert torch.allclose(closed_form(w0, c, c, p, damping), w0)  # nothing to edit: nothing moves
    assert torch.allclose(closed_form(w0, c, t, p, 1e12), w0, atol=1e-6)


def test_concept_ablation_and_amnesia_by_hand(parts: tuple[torch.nn.Module, object, Concepts]) -> None:
    unet, batch = parts[0], batch_of(parts)
    shown = predict(unet, batch.noisy_anchor, batch.timesteps, batch.states)
    other = predict(unet, batch.noisy_anchor, batch.timesteps, batch.relabelled)
    assert torch.allclose(concept_ablation_loss(unet, batch), (shown - other).square().mean())
    same = replace(batch, relabelled=batch.states)
    assert concept_ablation_loss(unet, same).item() == 0.0
    assert torch.allclose(amnesia_loss(unet, batch), (shown - batch.target_anchor).square().mean())
    noised = predict(unet, batch.noisy, batch.timesteps, batch.states)
    assert torch.allclose(erase_diff_loss(unet, batch), (noised - batch.uniform).square().mean())
    assert 0.0 <= float(batch.uniform.min()) < float(batch.uniform.max()) <= 1.0


def test_concept_ablation_has_no_gradient_through_its_target() -> None:
    weight = torch.nn.Parameter(torch.tensor(2.0))

    class Scaled:
        def __init__(self, sample: Tensor) -> None:
            self.sample = sample

    def denoiser(noisy: Tensor, timesteps: Tensor, encoder_hidden_states: Tensor) -> Scaled:
        return Scaled(noisy * weight * encoder_hidden_states)

    one, three = torch.ones(1), 3 * torch.ones(1)
    batch = Batch(one, one, three, one, one, one, one, one, one, one, one)
    (gradient,) = torch.autograd.grad(concept_ablation_loss(denoiser, batch), weight)
    assert float(gradient) == pytest.approx(2 * (3 * 2.0 - 2.0) * 3)  # d/dw (3 w - sg(w))^2


def test_consolidation_and_the_balance_by_hand() -> None:
    weights, first = {"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([0.0, 4.0])}
    assert float(consolidation(weights, first, {"a": torch.tensor([3.0, 0.5])})) == 3.0 + 2.0
    forget, retain = {"a": torch.tensor([2.0, 0.0])}, {"a": torch.tensor([-3.0, 1.0])}
    weight = erase_diff_weight(forget, retain, 0.1)
    assert weight == pytest.approx(0.1 + 6 / 4)
    # What is followed makes progress on forgetting: <g_r + w g_f, g_f> = eta |g_f|^2.
    step = retain["a"] + weight * forget["a"]
    assert float((step * forget["a"]).sum()) == pytest.approx(0.1 * 4)
    assert erase_diff_weight(forget, {"a": torch.tensor([5.0, 0.0])}, 0.1) == 0.0


def test_the_attack_makes_the_concept_come_nearer_and_without_it_the_loss_is_esds(
    parts: tuple[torch.nn.Module, object, Concepts],
) -> None:
    unet, batch = parts[0], batch_of(parts)
    batch = replace(batch, first=batch.states)
    plain = adversarial_loss(unet, batch, 2.0, 0.0, 3)
    assert torch.allclose(plain, esd_loss(unet, unet, batch, eta=2.0))
    assert adversarial_loss(unet, batch, 0.0, 0.0, 3).item() == pytest.approx(0.0, abs=1e-10)
    moved = replace(batch, states=batch.relabelled)
    assert adversarial_loss(unet, moved, 2.0, 0.5, 4) > adversarial_loss(unet, moved, 2.0, 0.0, 4)
