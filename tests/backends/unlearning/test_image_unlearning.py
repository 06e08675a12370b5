"""The loop that runs the image methods: what it trains, solves, keeps and refuses."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from app.demo.image_model import build_pipeline
from backends.errors import StudyError
from backends.unlearning.image_batches import Concepts
from backends.unlearning.image_methods import METHODS
from backends.unlearning.image_methods.adv_text import adversarial_loss
from backends.unlearning.image_runs import check_pipeline
from backends.unlearning.image_settings import settings_of
from backends.unlearning.image_training import ImageTraining, solved, trajectory
from tests.tiny_image import SIDE, WORDS

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
