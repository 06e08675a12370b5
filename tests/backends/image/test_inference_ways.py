"""Models that draw otherwise with the same weights: negative prompts, SLD, SAFREE; schedulers by name."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

from backends.errors import CheckpointError, StudyError
from backends.image.checkpoints.folders import load_pipeline
from backends.image.guidance import SLD
from backends.image.pipelines import DiffusionModels
from backends.image.safree import triggers
from backends.interfaces import ImageRequest, PartialImage
from backends.study import ModelSpec, Sampling
from backends.study.inference import SCHEDULERS, Inference, fitting_schedulers
from tests.tiny_families import write_tiny_flux, write_tiny_sd2, write_tiny_sd3, write_tiny_sdxl
from tests.tiny_image import write_tiny_pipeline, write_tiny_stable_diffusion, write_tiny_weights

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers.pipelines.deprecated.stable_diffusion_safe import (
        SafetyConfig,
        StableDiffusionPipelineSafe,
    )

WRITERS = {
    "patch": write_tiny_pipeline,
    "sd": write_tiny_stable_diffusion,
    "sd2": write_tiny_sd2,
    "sdxl": write_tiny_sdxl,
    "sd3": write_tiny_sd3,
    "flux": write_tiny_flux,
}
SAMPLING = Sampling(steps=4, guidance=3.0)
NEON = "a neon cat"
# Of diffusers' own code: what it calls is named again in its dependencies, and its safe pipeline is deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The decode_latents method:FutureWarning"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("ways")
    return {name: heeding(write(root / name)) for name, write in WRITERS.items()}


@torch.no_grad()
def heeding(folder: Path) -> Path:
    """The pipeline of a folder, its random cross-attention so strong that a prompt changes more than a rounding."""
    pipe = load_pipeline(folder, torch.float32)
    if hasattr(pipe, "vae") and hasattr(pipe, "unet"):
        for name, weight in pipe.unet.named_parameters():
            if "attn2.to_v" in name or "attn2.to_out" in name:
                weight *= 16
        for weight in pipe.vae.decoder.conv_out.parameters():
            weight *= 4
        pipe.vae.save_pretrained(folder / "vae")
        pipe.unet.save_pretrained(folder / "unet")
    return folder


def original(folder: Path) -> ModelSpec:
    return ModelSpec("Original", "original", str(folder))


def other(folder: Path, name: str = "Other", weights: str | None = None, **way: Any) -> ModelSpec:
    return ModelSpec(name, "unlearned", str(folder), weights=weights, inference=Inference(**way))


def loaded(*specs: ModelSpec) -> DiffusionModels:
    models = DiffusionModels("cpu", "float32")
    for spec in specs:
        models.add(spec)
    return models


def drawn(
    models: DiffusionModels,
    name: str,
    sampling: Sampling = SAMPLING,
    prompts: tuple[str, ...] = (NEON,),
    seeds: tuple[int, ...] = (1,),
) -> list[np.ndarray[Any, Any]]:
    requests = [ImageRequest(name, prompt, seed) for prompt in prompts for seed in seeds]
    done: dict[int, PartialImage] = {
        each.index: each for each in models.sample(requests, sampling, lambda: False) if each.done
    }
    return [done[index].pixels for index in range(len(requests))]


def apart(one: np.ndarray[Any, Any], another: np.ndarray[Any, Any]) -> int:
    return int(np.abs(one.astype(int) - another.astype(int)).max())


def agree(mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], without: np.ndarray[Any, Any]) -> bool:
    """Whether two pictures differ by roundings only: far less than from the picture that is drawn without the way."""
    off, effect = (float(np.abs(mine.astype(float) - each).mean()) for each in (theirs, without))
    return off < min(0.5, effect / 6)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


# Negative prompts


@pytest.mark.parametrize("kind", ["sd", "sd2", "sdxl", "sd3"])
def test_a_negative_prompt_draws_what_diffusers_draws_with_it(folders: dict[str, Path], kind: str) -> None:
    models = loaded(original(folders[kind]), other(folders[kind], negative_prompt="neon"))
    mine = drawn(models, "Other", seeds=(1, 2))
    pipe = load_pipeline(folders[kind], torch.float32)
    theirs = pipe(
        [NEON, NEON],
        negative_prompt=["neon", "neon"],
        num_inference_steps=4,
        guidance_scale=3.0,
        generator=generators(1, 2),
        output_type="np",
    ).images
    assert all(apart(a, (b * 255).round()) <= 1 for a, b in zip(mine, theirs, strict=True))
    assert apart(mine[0], drawn(models, "Original")[0]) > 3


@pytest.mark.parametrize("kind", ["patch", "sd"])
def test_the_studys_negative_prompt_is_that_of_all_models_but_those_with_their_own(
    folders: dict[str, Path], kind: str
) -> None:
    models = loaded(original(folders[kind]), other(folders[kind], negative_prompt="neon"))
    with_neon, with_flat = (replace(SAMPLING, negative_prompt=text) for text in ("neon", "flat"))
    assert apart(drawn(models, "Original", with_neon)[0], drawn(models, "Other")[0]) == 0
    assert apart(drawn(models, "Other", with_flat)[0], drawn(models, "Other")[0]) == 0
    assert apart(drawn(models, "Original", with_flat)[0], drawn(models, "Original", with_neon)[0]) > 0
    assert models.notes == []


@pytest.mark.parametrize(("kind", "guidance"), [("sd", 1.0), ("sd", 0.5), ("patch", 1.0), ("flux", 3.5)])
def test_a_negative_prompt_without_guidance_has_no_effect_and_that_is_said_once(
    folders: dict[str, Path], kind: str, guidance: float
) -> None:
    models = loaded(original(folders[kind]), other(folders[kind], negative_prompt="neon"))
    sampling = replace(SAMPLING, guidance=guidance)
    pictures = drawn(models, "Other", sampling, seeds=(1, 2))
    assert apart(pictures[0], drawn(models, "Original", sampling)[0]) <= 1  # one was drawn beside another
    assert len(models.notes) == 1 and "no effect" in models.notes[0] and models.notes[0].startswith("Other: ")


# Safe Latent Diffusion


@pytest.mark.parametrize("name", ["weak", "medium", "strong", "max"])
@pytest.mark.parametrize("scheduler", ["", "DDIM", "Euler"])
def test_sld_draws_what_diffusers_safe_pipeline_draws(
    folders: dict[str, Path], name: str, scheduler: str
) -> None:
    models = loaded(original(folders["sd"]), other(folders["sd"], sld=name, concept="neon rocket"))
    sampling = replace(SAMPLING, steps=18, scheduler=scheduler)
    mine = drawn(models, "Other", sampling, prompts=(NEON, "a flat rocket"), seeds=(1, 2))
    parts = dict(load_pipeline(folders["sd"], torch.float32).components)
    if scheduler:
        settings = {} if scheduler == "Euler" else {"clip_sample": False}
        kind = getattr(diffusers, SCHEDULERS[scheduler][0])
        parts["scheduler"] = kind.from_config(parts["scheduler"].config, **settings)
    safe = StableDiffusionPipelineSafe(**parts, requires_safety_checker=False)
    safe.set_progress_bar_config(disable=True)
    safe.safety_concept = "neon rocket"
    texts = [text for text in (NEON, "a flat rocket") for _ in range(2)]
    theirs = []
    for text, generator in zip(
        texts, generators(1, 2, 1, 2), strict=True
    ):  # it takes one prompt with its concept
        image = safe(
            [text],
            num_inference_steps=18,
            guidance_scale=3.0,
            generator=[generator],
            output_type="np",
            **getattr(SafetyConfig, name.upper()),
        ).images
        theirs.append((np.asarray(image)[0] * 255).round())
    without = drawn(models, "Original", sampling, prompts=(NEON, "a flat rocket"), seeds=(1, 2))
    for here, there, plain in zip(mine, theirs, without, strict=True):
        # Weak begins at step 15 and changes less than can be told from roundings.
        assert agree(here, there, plain) if name != "weak" else apart(here, there) <= 1


def slow_sld(
    pipe: Any, predict: Any, concept: str, setting: str, sampling: Sampling, *, to_noise: bool = True
) -> np.ndarray[Any, Any]:
    """The paper's equations 3 to 8, one after another, on predictions of the noise."""
    safety = SLD[setting]
    scheduler = pipe.scheduler
    scheduler.set_timesteps(sampling.steps)
    states = {text: pipe.encode([text]) for text in (NEON, "", concept)}
    shape = (1, pipe.unet.config.in_channels, pipe.unet.config.sample_size, pipe.unet.config.sample_size)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * scheduler.init_noise_sigma
    nu = torch.zeros(shape)
    for number, t in enumerate(scheduler.timesteps):
        abar = scheduler.alphas_cumprod[int(t)]

        def noise(text: str, x: Tensor = latents, abar: Tensor = abar, t: Tensor = t) -> Tensor:
            clean = pipe.unet(x, t, encoder_hidden_states=states[text]).sample
            return (x - abar.sqrt() * clean) / (1 - abar).sqrt()

        text, empty, unsafe = noise(NEON), noise(""), noise(concept)
        phi = (safety.scale * (text - unsafe)).abs().clamp(max=1)
        mu = torch.where((text - unsafe) < safety.threshold, phi, torch.zeros(()))
        gamma = mu * (unsafe - empty) + safety.momentum * nu
        nu = safety.beta * nu + (1 - safety.beta) * gamma
        guided = text - empty - (gamma if number >= safety.warmup else 0)
        steered = empty + sampling.guidance * guided
        clean = (latents - (1 - abar).sqrt() * steered) / abar.sqrt()
        latents = scheduler.step(clean, t, latents).prev_sample
    pictures: np.ndarray[Any, Any] = (pipe.pictures(latents)[0] * 255).round()
    return pictures


@torch.no_grad()
@pytest.mark.parametrize("setting", ["medium", "max"])
def test_sld_steers_the_noise_where_a_model_predicts_the_clean_picture(
    folders: dict[str, Path], setting: str
) -> None:
    sampling = replace(SAMPLING, steps=14)
    models = loaded(original(folders["patch"]), other(folders["patch"], sld=setting, concept="neon"))
    (mine,) = drawn(models, "Other", sampling)
    slow = slow_sld(load_pipeline(folders["patch"], torch.float32), None, "neon", setting, sampling)
    # A few places lie so near the threshold that roundings decide on which side they are.
    assert agree(mine, slow, drawn(models, "Original", sampling)[0])


@pytest.mark.parametrize("kind", ["sd2", "sdxl"])
def test_sld_of_other_families_is_the_same_alone_and_in_a_batch(folders: dict[str, Path], kind: str) -> None:
    models = loaded(original(folders[kind]), other(folders[kind], sld="max", concept="neon"))
    together = drawn(models, "Other", seeds=(1, 2, 3))
    alone = [drawn(models, "Other", seeds=(seed,))[0] for seed in (1, 2, 3)]
    assert max(apart(a, b) for a, b in zip(together, alone, strict=True)) <= 1
    assert apart(together[0], drawn(models, "Original")[0]) > 1


def test_sld_that_would_begin_after_the_last_step_is_said_to_have_no_effect(folders: dict[str, Path]) -> None:
    models = loaded(original(folders["sd"]), other(folders["sd"], sld="medium", concept="neon"))
    assert apart(drawn(models, "Other")[0], drawn(models, "Original")[0]) == 0
    assert "begins after 10 steps" in models.notes[0]


@pytest.mark.parametrize("kind", ["sd3", "flux"])
@pytest.mark.parametrize("way", [{"sld": "max", "concept": "neon"}, {"safree": ("neon",)}])
def test_a_way_that_a_pipeline_does_not_have_is_refused_by_name(
    folders: dict[str, Path], kind: str, way: dict[str, Any]
) -> None:
    models = loaded(original(folders[kind]))
    with pytest.raises(CheckpointError, match=r"Other: .*1, 2 and XL.*, and this is a"):
        models.add(other(folders[kind], **way))
    assert models.names == ["Original"]


# SAFREE


@torch.no_grad()
def slow_safree(pipe: Any, prompt: str, concept: list[str], alpha: float, *, second: bool = False) -> Tensor:
    """States of a prompt, shape (T, D), as the authors' code makes them: Gram matrix's pinverse, tokens one by one."""
    tokenizer = pipe.tokenizer_2 if second else pipe.tokenizer
    encoder = pipe.text_encoder_2 if second else pipe.text_encoder

    def pooled(ids: list[int]) -> Tensor:
        found = encoder(torch.tensor([ids]))
        if second:
            return found.text_embeds[0].double()
        return found.last_hidden_state[0, ids.index(tokenizer.eos_token_id)].double()

    def project(vectors: list[Tensor]) -> Tensor:
        basis = torch.stack(vectors).T
        return basis @ torch.pinverse(basis.T @ basis, rcond=1e-10) @ basis.T

    states = (
        pipe.encode([prompt])[0]
        if hasattr(pipe, "encode")
        else pipe.encode_prompt(
            prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )[0][0]
    )
    ids = tokenizer(prompt)["input_ids"]
    away = torch.eye(encoder.config.hidden_size, dtype=torch.float64)
    away = away - project([pooled(tokenizer(each)["input_ids"]) for each in concept])
    masked = []
    for place in range(1, len(ids) - 1):
        changed = list(ids)
        changed[place] = 0
        masked.append(pooled(changed))
    far = [float((away @ each).norm()) for each in masked]
    result = states.clone()
    start = states.shape[1] - encoder.config.hidden_size if second else 0
    both = away @ project(masked)
    for place, distance in enumerate(far):
        rest = far[:place] + far[place + 1 :]
        if not rest or not distance < (1 + alpha) * sum(rest) / len(rest):
            own = states[place + 1, start:].double()
            result[place + 1, start:] = (both @ own).float()
    return result


@torch.no_grad()
@pytest.mark.parametrize("kind", ["patch", "sd", "sd2", "sdxl"])
@pytest.mark.parametrize("prompt", ["a neon cat", "cat", "rocket in flat neon style"])
def test_safree_projects_the_states_as_the_authors_code_does(
    folders: dict[str, Path], kind: str, prompt: str
) -> None:
    way = Inference(safree=("neon", "flat rocket"), alpha=0.0)
    models = loaded(
        original(folders[kind]), ModelSpec("Other", "unlearned", str(folders[kind]), inference=way)
    )
    (mine,) = drawn(models, "Other", prompts=(prompt,))
    pipe = load_pipeline(folders[kind], torch.float32)
    states = slow_safree(pipe, prompt, list(way.safree), 0.0, second=kind == "sdxl")
    whole = pipe.unet.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        held = kwargs["encoder_hidden_states"].clone()
        held[0 if kind == "patch" else 1] = states
        return whole(*args, **(kwargs | {"encoder_hidden_states": held}))

    pipe.unet.forward = forward
    theirs = pipe(
        [prompt], num_inference_steps=4, guidance_scale=3.0, generator=generators(1), output_type="np"
    ).images[0]
    assert agree(mine, (theirs * 255).round(), drawn(models, "Original", prompts=(prompt,))[0])


def test_safree_works_without_guidance_and_in_a_batch_of_several_prompts(folders: dict[str, Path]) -> None:
    models = loaded(original(folders["sd"]), other(folders["sd"], safree=("neon",), alpha=0.0))
    sampling = replace(SAMPLING, guidance=1.0)
    prompts = (NEON, "a rocket", "flat")
    together = drawn(models, "Other", sampling, prompts)
    alone = [drawn(models, "Other", sampling, (prompt,))[0] for prompt in prompts]
    assert max(apart(a, b) for a, b in zip(together, alone, strict=True)) <= 1
    assert apart(together[0], drawn(models, "Original", sampling)[0]) > 1
    assert models.notes == []


def test_triggers_are_the_tokens_without_which_a_prompt_is_farther_from_the_concept() -> None:
    assert triggers(torch.tensor([1.0, 1.0, 2.0]), 0.01) == (3,)
    assert triggers(torch.tensor([1.0, 1.0, 1.005]), 0.01) == ()
    assert triggers(torch.tensor([1.0]), 0.01) == (1,)


# What is shared


@pytest.mark.parametrize(
    "way",
    [{"negative_prompt": "neon"}, {"sld": "max", "concept": "neon"}, {"safree": ("neon",)}],
)
def test_a_version_that_draws_otherwise_takes_no_memory_and_leaves_the_original_as_it_is(
    folders: dict[str, Path], way: dict[str, Any]
) -> None:
    models = loaded(original(folders["sd"]))
    alone, before = models.bytes(), drawn(models, "Original")[0]
    models.add(other(folders["sd"], **way))
    assert models.bytes() == alone
    changed = drawn(models, "Other")[0]
    assert apart(changed, before) > 0
    assert apart(drawn(models, "Original")[0], before) == 0


def test_a_way_can_be_put_on_unlearned_weights_which_are_loaded_once(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    file = write_tiny_weights(tmp_path / "esd.safetensors", folders["sd"])
    esd = ModelSpec("ESD", "unlearned", str(folders["sd"]), weights=str(file))
    models = loaded(original(folders["sd"]), esd)
    alone = models.bytes()
    models.add(other(folders["sd"], weights=str(file), negative_prompt="neon"))
    assert models.bytes() == alone
    with_negative = replace(SAMPLING, negative_prompt="neon")
    assert apart(drawn(models, "Other")[0], drawn(models, "ESD", with_negative)[0]) == 0
    found = models.report("Other", "Original")
    assert found.changed and 'the weights above; negative prompt "neon"' in found.notes


def test_the_report_says_that_weights_are_the_originals_and_how_it_draws(folders: dict[str, Path]) -> None:
    models = loaded(original(folders["sd"]), other(folders["sd"], sld="strong", concept="nudity"))
    found = models.report("Other", "Original")
    assert found.shape == "same weights, other sampling"
    assert found.notes == ('same weights as the original; SLD strong away from "nudity"',)
    assert found.changed == 0 and found.differences == ()


def test_a_picture_that_is_steered_forms_step_by_step(folders: dict[str, Path]) -> None:
    models = loaded(original(folders["patch"]), other(folders["patch"], sld="max", concept="neon"))
    partials = list(models.sample([ImageRequest("Other", NEON, 1)], SAMPLING, lambda: False))
    assert [each.step for each in partials] == [1, 2, 3, 4, 4]
    assert apart(partials[-1].pixels, partials[-2].pixels) == 0


# Schedulers and sizes


def test_schedulers_that_fit_are_diffusers_own_compatibles() -> None:
    for class_name in {name for name, _ in SCHEDULERS.values()} - {"LCMScheduler"}:
        theirs = {each.__name__ for each in getattr(diffusers, class_name)().compatibles}
        ours = {SCHEDULERS[name][0] for name in fitting_schedulers({"_class_name": class_name})}
        assert (
            ours - {"LCMScheduler"} <= theirs
        )  # LCM's is made from their settings, as its documentation shows
    assert fitting_schedulers({"_class_name": "FlowMatchEulerDiscreteScheduler"}) == ()


@pytest.mark.parametrize("kind", ["patch", "sd"])
def test_every_scheduler_that_fits_draws_the_same_alone_and_in_a_batch(
    folders: dict[str, Path], kind: str
) -> None:
    models = loaded(original(folders[kind]))
    own = load_pipeline(folders[kind], torch.float32).scheduler
    names = fitting_schedulers({**own.config, "_class_name": type(own).__name__})
    assert len(names) >= 10
    pictures = {}
    for name in names:
        sampling = replace(SAMPLING, scheduler=name)
        together = drawn(models, "Original", sampling, seeds=(1, 2))
        (alone,) = drawn(models, "Original", sampling, seeds=(2,))
        assert apart(together[1], alone) <= 1, name
        pictures[name] = alone
    assert len({picture.tobytes() for picture in pictures.values()}) >= 8


def test_a_scheduler_is_as_diffusers_makes_it_of_the_pipelines_own(folders: dict[str, Path]) -> None:
    models = loaded(original(folders["sd"]))
    (mine,) = drawn(models, "Original", replace(SAMPLING, scheduler="DPM++ 2M Karras"))
    pipe = load_pipeline(folders["sd"], torch.float32)
    pipe.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(
        pipe.scheduler.config, use_karras_sigmas=True
    )
    theirs = pipe(
        [NEON], num_inference_steps=4, guidance_scale=3.0, generator=generators(1), output_type="np"
    ).images[0]
    assert apart(mine, (theirs * 255).round()) <= 1


def test_clean_latents_are_not_clipped_where_the_pipelines_own_scheduler_does_not_do_it(
    folders: dict[str, Path],
) -> None:
    models = loaded(original(folders["sd"]))
    (mine,) = drawn(models, "Original", replace(SAMPLING, scheduler="DDIM"))
    pipe = load_pipeline(folders["sd"], torch.float32)
    assert "clip_sample" not in pipe.scheduler.config
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    theirs = pipe(
        [NEON], num_inference_steps=4, guidance_scale=3.0, generator=generators(1), output_type="np"
    ).images[0]
    assert apart(mine, (theirs * 255).round()) <= 1


def test_a_scheduler_that_does_not_fit_is_refused_before_anything_is_drawn(folders: dict[str, Path]) -> None:
    models = loaded(original(folders["sd3"]))
    with pytest.raises(
        StudyError, match="LMS cannot take the place of this StableDiffusion3Pipeline's FlowMatch"
    ):
        drawn(models, "Original", replace(SAMPLING, scheduler="LMS"))
    with pytest.raises(StudyError, match=r"Euler a cannot take the place.*Choose one of DDIM, DDPM, LMS"):
        drawn(loaded(original(folders["patch"])), "Original", replace(SAMPLING, scheduler="Euler a"))


@pytest.mark.parametrize(
    ("kind", "size"), [("sd", (96, 64)), ("patch", (36, 24)), ("sd3", (24, 16)), ("flux", (48, 16))]
)
def test_pictures_may_be_wider_than_high_and_form_so(
    folders: dict[str, Path], kind: str, size: tuple[int, int]
) -> None:
    models = loaded(original(folders[kind]))
    sampling = replace(SAMPLING, size=size)
    partials = list(models.sample([ImageRequest("Original", NEON, 1)], sampling, lambda: False))
    assert len(partials) > 4
    assert {each.pixels.shape for each in partials} == {(size[1], size[0], 3)}
    assert apart(partials[-1].pixels, partials[-2].pixels) <= 1
