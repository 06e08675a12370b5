"""Losses of the image unlearning methods, and the loop that runs them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from app.demo.image_model import build_pipeline
from backends.unlearning.image_methods import (
    METHODS,
    Batch,
    esd_loss,
    esd_target,
    gradient_ascent_loss,
    predict,
    saliency_mask,
    salun_loss,
)
from backends.unlearning.image_training import Concepts, trajectory
from tests.tiny_image import SIDE, WORDS


@pytest.fixture
def parts() -> tuple[torch.nn.Module, object, Concepts]:
    pipe = build_pipeline(WORDS, seed=0, side=SIDE, channels=(8, 16), width=16, groups=4)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    latents = (4, 27, SIDE // 3, SIDE // 3)
    concepts = Concepts(
        normal(*latents),
        normal(4, 16, 16),
        normal(4, 16, 16),
        normal(1, 16, 16),
        normal(*latents),
        normal(4, 16, 16),
    )
    return pipe.unet, pipe.scheduler, concepts


def batch_of(parts: tuple[torch.nn.Module, object, Concepts]) -> Batch:
    return parts[2].batch(4, parts[1], torch.Generator().manual_seed(1))


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


def test_salun_is_its_two_terms(parts: tuple[torch.nn.Module, object, Concepts]) -> None:
    unet, batch = parts[0], batch_of(parts)
    forget = salun_loss(unet, unet, replace(batch, relabelled=batch.states), alpha=0.0)
    assert forget.item() == 0.0
    kept = predict(unet, batch.noisy_retain, batch.timesteps_retain, batch.retain)
    retain = (kept - batch.target_retain).square().mean()
    whole = salun_loss(unet, unet, replace(batch, relabelled=batch.states), alpha=0.5)
    assert torch.allclose(whole, 0.5 * retain)


def test_gradient_ascent_is_the_negative_denoising_loss(
    parts: tuple[torch.nn.Module, object, Concepts],
) -> None:
    unet, batch = parts[0], batch_of(parts)
    error = (predict(unet, batch.noisy, batch.timesteps, batch.states) - batch.target).square().mean()
    assert torch.allclose(gradient_ascent_loss(unet, unet, batch), -error)


def test_saliency_mask_keeps_the_largest_over_all_tensors() -> None:
    mask = saliency_mask({"a": torch.tensor([5.0, -4.0]), "b": torch.tensor([[1.0, -2.0]])}, share=0.5)
    assert mask["a"].tolist() == [1.0, 1.0]
    assert mask["b"].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", METHODS)
def test_a_trajectory_changes_only_what_the_method_trains(
    name: str, parts: tuple[torch.nn.Module, object, Concepts]
) -> None:
    unet, scheduler, concepts = parts
    before = {key: tensor.clone() for key, tensor in unet.state_dict().items()}
    method = replace(METHODS[name], checkpoints=(1, 2))
    first, second = trajectory(method, unet, scheduler, concepts, seed=3, batch_size=2)
    assert (first.step, second.step) == (1, 2)
    assert all(method.trains in key for key in second.changes)
    assert any(not torch.equal(first.changes[key], second.changes[key]) for key in first.changes)
    assert all(torch.equal(tensor, before[key]) for key, tensor in unet.state_dict().items())
    again = next(iter(trajectory(method, unet, scheduler, concepts, seed=3, batch_size=2)))
    assert all(torch.equal(again.changes[key], first.changes[key]) for key in first.changes)


def test_salun_leaves_half_of_its_weights_alone(parts: tuple[torch.nn.Module, object, Concepts]) -> None:
    unet, scheduler, concepts = parts
    method = replace(METHODS["SalUn"], checkpoints=(1,))
    (checkpoint,) = trajectory(method, unet, scheduler, concepts, seed=3, batch_size=2)
    base = dict(unet.named_parameters())
    moved = sum(int((tensor != base[key]).sum()) for key, tensor in checkpoint.changes.items())
    total = sum(tensor.numel() for tensor in checkpoint.changes.values())
    assert 0.3 < moved / total <= 0.51
