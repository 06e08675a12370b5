"""Training that brings a concept back in an image model: learned tokens, and a few steps of ordinary fine-tuning.

Both minimise the loss that the model was trained with, || e(x_t, c) - target ||^2 at random timesteps, over pictures
of the concept: textual inversion (Gal et al. 2022, eq. 2) and UnlearnDiffAtk (Zhang et al. 2024, eq. 4) over the
vectors of tokens, relearning over weights of the denoiser. Seeded; nothing of the pipeline that is given changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from backends.checkpoints.mixing import with_changes
from backends.errors import Cancelled, ModelError, StudyError
from backends.image.checkpoints.embeddings import LearnedToken, with_learned
from backends.image.denoising import picture_latents
from backends.image.parts import with_components
from backends.image.real_pictures import RealPicture
from backends.interfaces import Stop
from backends.unlearning.image_batches import noised
from backends.unlearning.image_losses import predict


@dataclass(frozen=True, slots=True)
class PictureSteps:
    """How an attack on an image model trains: Adam at a constant rate.

    Attributes:
        kept: steps after which the result is kept; the last one is the end.
        learning_rate: from the first step on.
        batch: pictures a step, with noise and timesteps of their own.
        vectors: of a learned token.
        seed: of everything that is drawn.
    """

    kept: tuple[int, ...]
    learning_rate: float
    batch: int
    vectors: int = 1
    seed: int = 0


def learned_vectors(
    pipe: Any,
    tokens: Mapping[str, Tensor],
    pictures: Sequence[RealPicture],
    steps: PictureSteps,
    stop: Stop,
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """The vectors of new tokens after the kept steps, trained so that the model draws the pictures.

    Args:
        pipe: the model, with one text encoder.
        tokens: that the pictures' prompts use, with their first vectors, shape (n, D).
        pictures: each with the prompt that it is to be drawn from.
        steps: settings.
        stop: asked before every step.

    Raises:
        StudyError: a pipeline with several text encoders or without a UNet.
        ModelError: the loss became no number.
        Cancelled: it was stopped.
    """
    check_trainable(pipe)
    latents = _latents(pipe, pictures)
    learned = [LearnedToken(token, {"text_encoder": rows}) for token, rows in tokens.items()]
    known = with_components(pipe, with_learned(pipe.components, learned, "attack"))
    table = known.text_encoder.get_input_embeddings()
    first = table.learned.detach().clone()
    del table._buffers["learned"]
    table.learned = nn.Parameter(first)
    prompts = [each.prompt for each in pictures]

    def states(rows: Tensor) -> Tensor:
        return _states(known, [prompts[row] for row in rows.tolist()])

    def split() -> dict[str, Tensor]:
        parts = table.learned.detach().clone().split([len(rows) for rows in tokens.values()])
        return dict(zip(tokens, parts, strict=True))

    for step in _trained(pipe.unet, [table.learned], latents, states, pipe.scheduler, steps, stop):
        yield step, split()


def relearned_weights(
    pipe: Any, pictures: Sequence[RealPicture], steps: PictureSteps, stop: Stop
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """The denoiser's attention weights after the kept steps of ordinary training on pictures with their prompts.

    Arguments and errors: see `learned_vectors`.
    """
    check_trainable(pipe)
    latents = _latents(pipe, pictures)
    with torch.no_grad():
        texts = _states(pipe, [each.prompt for each in pictures])
    weights = {
        name: nn.Parameter(weight.detach().clone())
        for name, weight in pipe.unet.named_parameters()
        if "attn" in name and weight.ndim > 1
    }
    if not weights:
        raise StudyError("the model has no attention weights to train", where=type(pipe).__name__)
    unet = with_changes(pipe.unet, weights)

    def states(rows: Tensor) -> Tensor:
        return texts[rows]

    for step in _trained(unet, list(weights.values()), latents, states, pipe.scheduler, steps, stop):
        yield step, {name: weight.detach().clone() for name, weight in weights.items()}


def check_trainable(pipe: Any) -> None:
    """Refuse what is not trained here.

    Raises:
        StudyError: a pipeline with several text encoders or without a UNet.
    """
    whole = all(getattr(pipe, part, None) is not None for part in ("unet", "text_encoder", "tokenizer"))
    if not whole or getattr(pipe, "text_encoder_2", None) is not None:
        raise StudyError(
            f"a {type(pipe).__name__} cannot be trained here",
            how="It takes a UNet and one text encoder, as Stable Diffusion 1 and 2 have",
        )


def first_vectors(pipe: Any, word: str, count: int, seed: int) -> Tensor:
    """Vectors that a new token begins with, shape (count, D): the mean of a word's own, with a little noise beyond one.

    Textual inversion begins with the vector of a word that says roughly what it is.
    """
    ids = pipe.tokenizer(word, add_special_tokens=False)["input_ids"]
    table: Tensor = pipe.text_encoder.get_input_embeddings().weight
    mean = table[ids or [0]].float().mean(0).cpu()
    noise = torch.randn((count, len(mean)), generator=torch.Generator().manual_seed(seed))
    return mean.expand(count, -1) + (noise * float(table.float().std()) if count > 1 else 0.0)


def _trained(
    unet: nn.Module,
    parameters: Sequence[nn.Parameter],
    latents: Tensor,
    states: Any,
    scheduler: Any,
    steps: PictureSteps,
    stop: Stop,
) -> Iterator[int]:
    """Train, and stop at every step that is kept."""
    generator = torch.Generator().manual_seed(steps.seed)
    optimiser = torch.optim.Adam(parameters, lr=steps.learning_rate)
    order: list[int] = []
    for step in range(1, steps.kept[-1] + 1):
        if stop():
            raise Cancelled
        while len(order) < steps.batch:  # every picture once before any twice
            order += torch.randperm(len(latents), generator=generator).tolist()
        rows, order = torch.tensor(order[: steps.batch]), order[steps.batch :]
        noisy, timesteps, target = noised(latents[rows], scheduler, generator)
        noisy.requires_grad_(True)  # torch 2.13 crashes on some backward passes whose input needs no gradient
        optimiser.zero_grad(set_to_none=True)
        loss = (predict(unet, noisy, timesteps, states(rows)) - target).square().mean()
        if not bool(loss.isfinite()):
            raise ModelError(f"the loss is {float(loss)} at step {step}", how="Lower the learning rate")
        loss.backward()
        optimiser.step()
        if step in steps.kept:
            yield step


def _latents(pipe: Any, pictures: Sequence[RealPicture]) -> Tensor:
    with torch.no_grad():
        parts = [picture_latents(pipe, each) for each in pictures]
    return torch.cat(parts).to(pipe.unet.device, pipe.unet.dtype)


def _states(pipe: Any, prompts: Sequence[str]) -> Tensor:
    """Text states, shape (B, T, D)."""
    texts = pipe.maybe_convert_prompt(list(prompts), pipe.tokenizer)
    batch = pipe.tokenizer(
        texts,
        padding="max_length",
        max_length=pipe.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    states: Tensor = pipe.text_encoder(batch["input_ids"].to(pipe.text_encoder.device)).last_hidden_state
    return states
