"""Text states of a prompt as a pipeline gives them to its denoiser, and what one prediction of it says about the noise.

Knows Stable Diffusion 1 and 2, SDXL and the demo's pipeline; nothing about pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def is_guided(pipe: Any, guidance: float) -> bool:
    """Whether a call with this scale makes a conditional and an unconditional prediction (classifier-free guidance)."""
    if hasattr(pipe, "patch"):
        return guidance != 1.0
    config = getattr(getattr(pipe, "unet", None), "config", {})
    return guidance > 1.0 and config.get("time_cond_proj_dim") is None


def text_states(pipe: Any, prompts: Sequence[str]) -> tuple[Tensor, Tensor | None]:
    """States of each token, shape (B, T, D), and the pooled ones, shape (B, P), where the denoiser takes such."""
    if hasattr(pipe, "patch"):
        return pipe.encode(prompts), None
    device = getattr(pipe, "_execution_device", pipe.device)
    embeddings = pipe.encode_prompt(
        list(prompts), device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    return embeddings[0], embeddings[2] if len(embeddings) > 2 else None


def noise_per_prediction(scheduler: Any, timestep: Any) -> float:
    """How much the noise changes where the denoiser's prediction changes by 1, at a timestep.

    x_t = alpha x_0 + sigma e. What is predicted is e itself; x_0 = (x_t - sigma e) / alpha; or v = alpha e - sigma x_0,
    so that e = alpha v + sigma x_t.
    """
    kept = scheduler.alphas_cumprod[min(max(round(float(timestep)), 0), len(scheduler.alphas_cumprod) - 1)]
    alpha, sigma = float(kept.sqrt()), float((1 - kept).sqrt())
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return -alpha / sigma
    return alpha if kind == "v_prediction" else 1.0


def joined(first: Tensor, last: Tensor, *, conditional_first: bool) -> Tensor:
    """Both halves of a guided batch in the order that its pipeline has; `first` is the conditional one."""
    return torch.cat([first, last] if conditional_first else [last, first])
