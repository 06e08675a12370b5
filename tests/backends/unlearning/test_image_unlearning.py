"""Losses of the image unlearning methods, and the loop that runs them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from app.demo.image_model import build_pipeline
from backends.errors import StudyError
from backends.unlearning.image_batches import Batch, Concepts
from backends.unlearning.image_losses import predict
from backends.unlearning.image_methods import METHODS
from backends.unlearning.image_methods.adv_text import adversarial_loss
from backends.unlearning.image_methods.concept_ablation import concept_ablation_loss
from backends.unlearning.image_methods.erase_diff import erase_diff_loss, erase_diff_weight
from backends.unlearning.image_methods.esd import esd_loss, esd_target
from backends.unlearning.image_methods.grad_ascent import loss as gradient_ascent_loss
from backends.unlearning.image_methods.salun import relabelling_loss, saliency_mask
from backends.unlearning.image_methods.selective_amnesia import amnesia_loss, consolidation
from backends.unlearning.image_methods.uce import closed_form
from backends.unlearning.image_runs import check_pipeline
from backends.unlearning.image_settings import settings_of
from backends.unlearning.image_training import ImageTraining, solved, trajectory
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
        normal(*latents),
        torch.randint(4, 14, (4, 16), generator=generator),
        torch.randint(4, 14, (4, 16), generator=generator),
    )
    return pipe.unet, pipe.scheduler, concepts


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


TRAINED = [name for name, method in METHODS.items() if method.loss is not None and method.component == "unet"]


def settings_for(name: str, **changed: float) -> dict[str, float]:
    usual = {key: setting.usual for key, setting in settings_of(METHODS[name]).items()}
    return {**usual, "batch": 2, "seed": 3, **changed}


@pytest.mark.parametrize("name", TRAINED)
def test_a_trajectory_changes_only_what_the_method_trains(
    name: str, parts: tuple[torch.nn.Module, object, Concepts]
) -> None:
    unet, scheduler, concepts = parts
    before = {key: tensor.clone() for key, tensor in unet.state_dict().items()}
    run = METHODS[name], settings_for(name), (1, 2), unet, scheduler, concepts
    first, second = trajectory(*run)
    assert (first.step, second.step) == (1, 2)
    assert all(METHODS[name].trained(key) for key in second.changes)
    assert any(not torch.equal(first.changes[key], second.changes[key]) for key in first.changes)
    assert all(torch.equal(tensor, before[key]) for key, tensor in unet.state_dict().items())
    again = next(iter(trajectory(*run)))
    assert all(torch.equal(again.changes[key], first.changes[key]) for key in first.changes)


def test_the_three_esd_variants_train_parts_that_make_up_the_whole() -> None:
    unet = build_pipeline(WORDS, seed=0, side=SIDE, channels=(8, 16), width=16, groups=4).unet
    names = [name for name, _ in unet.named_parameters()]
    sets = {key: {n for n in names if METHODS[key].trained(n)} for key in ("ESD", "ESDu", "ESDstrict")}
    assert sets["ESD"] | sets["ESDu"] == set(names)
    assert not sets["ESD"] & sets["ESDu"]
    assert sets["ESDstrict"] == {n for n in sets["ESD"] if ".to_k." in n or ".to_v." in n}


def test_salun_leaves_half_of_its_weights_alone(parts: tuple[torch.nn.Module, object, Concepts]) -> None:
    unet, scheduler, concepts = parts
    (checkpoint,) = trajectory(METHODS["SalUn"], settings_for("SalUn"), (1,), unet, scheduler, concepts)
    base = dict(unet.named_parameters())
    moved = sum(int((tensor != base[key]).sum()) for key, tensor in checkpoint.changes.items())
    total = sum(tensor.numel() for tensor in checkpoint.changes.values())
    assert 0.3 < moved / total <= 0.51


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


def test_uce_takes_the_concept_for_the_other_and_keeps_the_rest(
    parts: tuple[torch.nn.Module, object, Concepts],
) -> None:
    unet, _, concepts = parts
    few = replace(concepts, states=concepts.states[:1, :2], relabelled=concepts.relabelled[:1, :2])
    few = replace(few, retain_states=concepts.retain_states[:1, :2], empty=concepts.empty[:, :1])
    use = settings_for("UCE", damping=1e-6)
    found = solved(METHODS["UCE"], use, unet, few, 1.0)
    base = dict(unet.named_parameters())
    assert set(found) == {name for name in base if "attn2.to_k" in name or "attn2.to_v" in name}
    for name, weight in found.items():
        torch.testing.assert_close(few.states @ weight.T, few.relabelled @ base[name].T, atol=1e-3, rtol=0)
        torch.testing.assert_close(
            few.retain_states @ weight.T, few.retain_states @ base[name].T, atol=1e-3, rtol=0
        )
    half = solved(METHODS["UCE"], use, unet, few, 0.5)
    for name, weight in half.items():
        torch.testing.assert_close(weight, (base[name] + found[name]) / 2)


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


def test_a_text_encoder_is_trained_alone() -> None:
    pipe = build_pipeline(WORDS, seed=0, side=SIDE, channels=(8, 16), width=16, groups=4)
    prompts = ["neon cat", "flat cat"]
    latents = torch.randn(2, 27, SIDE // 3, SIDE // 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states, empty, tokens = pipe.encode(prompts), pipe.encode([""]), pipe.tokens(prompts)
    data = Concepts(latents, states, states, empty, latents, states, tokens=tokens, retain_tokens=tokens)
    before = {name: p.clone() for name, p in pipe.text_encoder.named_parameters()}
    run = ImageTraining(
        METHODS["AdvText"],
        settings_for("AdvText", lr=1e-2, alpha=0.0),
        pipe.unet,
        pipe.text_encoder,
        pipe.scheduler,
        data,
    )
    batch, rows, _ = data.batch(2, pipe.scheduler, torch.Generator().manual_seed(5))

    def loss() -> float:
        now = replace(batch, first=batch.states, states=run.states(tokens[rows], batch.states))
        return float(adversarial_loss(pipe.unet, now, 2.0, 0.0, 1).detach())

    first = loss()
    for _ in range(8):
        run.step()
    assert loss() < first
    assert all(torch.equal(p, before[name]) for name, p in pipe.text_encoder.named_parameters())
    assert any(not torch.equal(p, before[name]) for name, p in run.parameters.items())


@pytest.mark.parametrize("name", ["SelectiveAmnesia", "EraseDiff"])
def test_training_that_is_restored_goes_on_to_the_same_weights(
    name: str, parts: tuple[torch.nn.Module, object, Concepts]
) -> None:
    unet, scheduler, concepts = parts
    whole = ImageTraining(METHODS[name], settings_for(name), unet, None, scheduler, concepts)
    for _ in range(2):
        whole.step()
    state = whole.state()
    whole.step()
    again = ImageTraining(METHODS[name], settings_for(name), unet, None, scheduler, concepts)
    again.restore(state)
    again.step()
    assert again.done == 3
    assert all(torch.equal(again.parameters[key], value) for key, value in whole.parameters.items())


def test_models_that_no_method_here_trains_are_refused() -> None:
    pipe = build_pipeline(WORDS, seed=0, side=SIDE, channels=(8, 16), width=16, groups=4)
    for method in METHODS.values():
        check_pipeline(pipe, method, "Original")
    plain = SimpleNamespace(
        unet=torch.nn.Linear(2, 2), text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer
    )
    with pytest.raises(StudyError, match="ESD trains attn2, and the model has no such weights"):
        check_pipeline(plain, METHODS["ESD"], "Original")
    check_pipeline(plain, METHODS["ESDu"], "Original")
    with pytest.raises(StudyError, match="cannot be unlearned here"):
        check_pipeline(SimpleNamespace(unet=pipe.unet), METHODS["ESD"], "Original")
    two = SimpleNamespace(**vars(plain), text_encoder_2=pipe.text_encoder)
    with pytest.raises(StudyError, match="It takes a UNet and one text encoder"):
        check_pipeline(two, METHODS["ESDu"], "Original")
