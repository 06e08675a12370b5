"""Unlearning methods for diffusion models: their losses, each beside its paper's equation.

e is the edited denoiser, e0 the frozen original, c a prompt with the concept to forget, '' the empty prompt. What e
predicts (noise, velocity or the clean picture) does not matter to the first two, which are linear in it. Pure
functions; the methods made of them are in `image_methods.py`, the loop around them in `image_training.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Denoiser = Callable[..., Any]
EMPTY = torch.empty(0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Noised pictures with their prompts, B to forget and B to retain.

    Attributes:
        noisy, noisy_retain: x_t, shape (B, C, h, w).
        timesteps, timesteps_retain: shape (B,).
        states: text states of c, shape (B, T, D).
        relabelled: of the same prompts with another concept in place of the forgotten one.
        empty: of ''.
        retain: of the prompts of the pictures to retain.
        target, target_retain: what a perfect denoiser predicts, shape (B, C, h, w).
        noisy_anchor, target_anchor: the same of pictures of the other concept, at `timesteps`; empty where no loss
            looks at them.
        uniform: noise from U(0, 1), shape (B, C, h, w); empty where no loss looks at it.
        first, first_retain: `states` and `retain` of the original's text encoder, where the encoder is trained; empty
            elsewhere.
    """

    noisy: Tensor
    timesteps: Tensor
    states: Tensor
    relabelled: Tensor
    empty: Tensor
    target: Tensor
    noisy_retain: Tensor
    timesteps_retain: Tensor
    retain: Tensor
    target_retain: Tensor
    noisy_anchor: Tensor = EMPTY
    target_anchor: Tensor = EMPTY
    uniform: Tensor = EMPTY
    first: Tensor = EMPTY
    first_retain: Tensor = EMPTY


Loss = Callable[[Denoiser, Denoiser, Batch], Tensor]


def predict(denoiser: Denoiser, noisy: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
    """What the denoiser predicts, shape (B, C, h, w)."""
    prediction: Tensor = denoiser(noisy, timesteps, encoder_hidden_states=states).sample
    return prediction


def esd_target(conditional: Tensor, empty: Tensor, eta: float) -> Tensor:
    """e0(x_t, c) - eta (e0(x_t, c) - e0(x_t, '')): away from the concept, and past the empty prompt where eta > 1.

    Gandikota et al. 2023, eq. 5, as the authors' repository has it (eta = 2 there is the paper's negative guidance 1).
    """
    return conditional - eta * (conditional - empty)


def esd_loss(edited: Denoiser, original: Denoiser, batch: Batch, eta: float = 1.5) -> Tensor:
    """Erased Stable Diffusion: || e(x_t, c) - esd_target ||^2.

    Deviation: x_t is a noised picture of the concept, not a partial sample of e.
    """
    with torch.no_grad():
        conditional = predict(original, batch.noisy, batch.timesteps, batch.states)
        empty = predict(original, batch.noisy, batch.timesteps, batch.empty)
        target = esd_target(conditional, empty, eta)
    return (predict(edited, batch.noisy, batch.timesteps, batch.states) - target).square().mean()


def salun_loss(edited: Denoiser, original: Denoiser, batch: Batch, alpha: float = 1.0) -> Tensor:
    """Saliency unlearning: || e(x_t, c) - e0(x_t, c') ||^2 + alpha || e(x_t, c_retain) - target ||^2.

    Fan et al. 2024, eq. 6, with c' the same prompt under another concept ("random label"); the gradient is masked by
    `saliency_mask`. Deviation: c' is asked of the frozen original, so that the target does not drift.
    """
    return relabelling_loss(edited, original, batch) + alpha * retain_loss(edited, batch)


def relabelling_loss(edited: Denoiser, original: Denoiser, batch: Batch) -> Tensor:
    """SalUn's forgetting term: || e(x_t, c) - e0(x_t, c') ||^2, with x_t a noised picture of c."""
    with torch.no_grad():
        target = predict(original, batch.noisy, batch.timesteps, batch.relabelled)
    return (predict(edited, batch.noisy, batch.timesteps, batch.states) - target).square().mean()


def concept_ablation_loss(edited: Denoiser, original: Denoiser, batch: Batch) -> Tensor:
    """Concept Ablation, model-based: || e(x_t, c) - sg e(x_t, c*) ||^2 with x_t a noised picture of the anchor c*.

    Kumari et al. 2023, arXiv 2303.13516; sg is a stop of the gradient, so the target is the edited model's own.
    """
    with torch.no_grad():
        target = predict(edited, batch.noisy_anchor, batch.timesteps, batch.relabelled)
    return (predict(edited, batch.noisy_anchor, batch.timesteps, batch.states) - target).square().mean()


def amnesia_loss(edited: Denoiser, original: Denoiser, batch: Batch) -> Tensor:
    """Selective Amnesia's forgetting term: the ordinary loss on surrogate pictures under the prompt c.

    Heng and Soh 2023, arXiv 2305.10120; the retain term and `consolidation` are added to it.
    """
    predicted = predict(edited, batch.noisy_anchor, batch.timesteps, batch.states)
    return (predicted - batch.target_anchor).square().mean()


def consolidation(
    weights: Mapping[str, Tensor], first: Mapping[str, Tensor], fisher: Mapping[str, Tensor]
) -> Tensor:
    """Elastic weight consolidation: sum over weights of F (theta - theta_0)^2 (Kirkpatrick et al. 2017).

    Args:
        weights: now.
        first: theta_0.
        fisher: mean squared gradient of the loss on retain pictures, shapes as `weights`.
    """
    terms = [(fisher[name] * (weight - first[name]).square()).sum() for name, weight in weights.items()]
    return torch.stack(terms).sum()


def erase_diff_loss(edited: Denoiser, original: Denoiser, batch: Batch) -> Tensor:
    """EraseDiff's forgetting term: || e(x_t, c) - u ||^2 with u from U(0, 1) (Wu et al. 2024, arXiv 2401.05779).

    Its weight beside the retain term is `erase_diff_weight`'s.
    """
    predicted = predict(edited, batch.noisy, batch.timesteps, batch.states)
    return (predicted - batch.uniform).square().mean()


def erase_diff_weight(forget: Mapping[str, Tensor], retain: Mapping[str, Tensor], eta: float) -> float:
    """Weight of the forgetting gradient that makes progress on it whatever the retain gradient wants.

    max(0, eta - <g_r, g_f> / |g_f|^2): the first-order solution of the bi-level problem (BOME, Ye et al. 2022,
    with phi = eta |g_f|^2). The optimum of the lower level enters that direction only as a constant, so no inner steps
    are taken.
    """
    product = sum(float((forget[name] * retain[name]).sum()) for name in forget)
    length = sum(float(forget[name].square().sum()) for name in forget)
    return max(0.0, eta - product / length) if length > 0 else 0.0


def adversarial_loss(original: Denoiser, batch: Batch, eta: float, radius: float, pushes: int) -> Tensor:
    """ESD's loss on a text encoder, under the worst small change of the text states (Zhang et al. 2024, AdvUnlearn).

    || e0(x_t, s + d) - esd_target ||^2 with s the edited encoder's states and d, at most `radius` in each entry, found
    by `pushes` signed gradient steps towards || e0(x_t, s + d) - e0(x_t, c) ||^2 = 0. Deviation: theirs attacks tokens
    put before the prompt, ours the states, so that it needs no embedding table.

    Args:
        original: the frozen denoiser.
        batch: `states` from the encoder that is trained, `first` from the original's.
        eta: of `esd_target`.
        radius: of the attack; 0 is ESD on the text encoder.
        pushes: steps of the attack.
    """
    with torch.no_grad():
        shown = predict(original, batch.noisy, batch.timesteps, batch.first)
        target = esd_target(shown, predict(original, batch.noisy, batch.timesteps, batch.empty), eta)
    states = batch.states.detach()
    change = torch.zeros_like(states)
    for _ in range(pushes if radius > 0 else 0):
        change.requires_grad_(True)
        attack = (predict(original, batch.noisy, batch.timesteps, states + change) - shown).square().mean()
        (gradient,) = torch.autograd.grad(attack, change)
        change = (change.detach() - 2 * radius / pushes * gradient.sign()).clamp(-radius, radius)
    predicted = predict(original, batch.noisy, batch.timesteps, batch.states + change.detach())
    return (predicted - target).square().mean()


def closed_form(
    weight: Tensor, concepts: Tensor, targets: Tensor, preserved: Tensor, damping: float
) -> Tensor:
    """UCE: the projection that sends concepts where their targets went, and moves nothing else more than it must.

    W = (damping W0 + sum v c^T + sum W0 p p^T) (damping I + sum c c^T + sum p p^T)^-1 with v = W0 target; it minimises
    sum |W c - v|^2 + sum |W p - W0 p|^2 + damping |W - W0|^2 (Gandikota et al. 2024, arXiv 2308.14761).

    Args:
        weight: W0, shape (out, in).
        concepts: text states to edit, shape (N, in).
        targets: what each is to be taken for, shape (N, in).
        preserved: text states to keep, shape (M, in).
        damping: lambda.
    """
    w, c, t, p = (each.double() for each in (weight, concepts, targets, preserved))
    eye = torch.eye(w.shape[1], dtype=w.dtype, device=w.device)
    left = damping * w + w @ t.T @ c + w @ p.T @ p
    right = damping * eye + c.T @ c + p.T @ p
    return torch.linalg.solve(right, left.T).T.to(weight)


def gradient_ascent_loss(edited: Denoiser, original: Denoiser, batch: Batch) -> Tensor:
    """- || e(x_t, c) - target ||^2: unbounded below, so that it ends in collapse. Thudi et al. 2022."""
    return -(predict(edited, batch.noisy, batch.timesteps, batch.states) - batch.target).square().mean()


def saliency_mask(gradients: Mapping[str, Tensor], share: float = 0.5) -> dict[str, Tensor]:
    """1 for the `share` of all weights with the largest |gradient| of the forgetting loss, else 0.

    Fan et al. 2024, eq. 3: one threshold over all tensors, the median at share 0.5.
    """
    magnitudes = torch.cat([gradient.abs().flatten() for gradient in gradients.values()])
    kept = max(1, int(share * len(magnitudes)))
    threshold = magnitudes.topk(kept).values[-1]
    return {name: (gradient.abs() >= threshold).to(gradient) for name, gradient in gradients.items()}


def retain_loss(edited: Denoiser, batch: Batch) -> Tensor:
    """The ordinary loss on pictures to retain."""
    predicted = predict(edited, batch.noisy_retain, batch.timesteps_retain, batch.retain)
    return (predicted - batch.target_retain).square().mean()
