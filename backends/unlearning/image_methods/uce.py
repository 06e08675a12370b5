"""Unified Concept Editing (Gandikota et al. 2024, arXiv 2308.14761): keys and values of cross-attention are solved for.

    min_W sum_c ||W c - W0 c*||^2 + sum_p ||W p - W0 p||^2 + lambda ||W - W0||^2

with W0 the original's weights, c text states to edit, c* what each should be mapped to, p text states to keep. Each
prompt and token position counts once; what a prompt and its relabelled one have in common is kept, not edited.

Settings: `damping` is lambda (0.5 in the authors' code), `alpha` the weight of what is kept (1 there); `steps` is how
far the weights go from W0 to W, per cent.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backends.unlearning.card import Card
from backends.unlearning.image_batches import Concepts
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.settings import Setting, Settings


def closed_form(
    weight: Tensor, concepts: Tensor, targets: Tensor, preserved: Tensor, damping: float
) -> Tensor:
    """W = (lambda W0 + sum v c^T + sum W0 p p^T) (lambda I + sum c c^T + sum p p^T)^-1 with v = W0 c*.

    Args:
        weight: W0, shape (out, in).
        concepts: c, shape (N, in).
        targets: c*, shape (N, in).
        preserved: p, shape (M, in).
        damping: lambda.
    """
    w, c, t, p = (each.double() for each in (weight, concepts, targets, preserved))
    eye = torch.eye(w.shape[1], dtype=w.dtype, device=w.device)
    left = damping * w + w @ t.T @ c + w @ p.T @ p
    right = damping * eye + c.T @ c + p.T @ p
    return torch.linalg.solve(right, left.T).T.to(weight)


def solve(weights: Mapping[str, Tensor], seen: Concepts, use: Settings) -> dict[str, Tensor]:
    """W of each of the weights.

    Args:
        weights: the original's keys and values, by name.
        seen: text states of the prompts to forget, to keep, and relabelled.
        use: `damping` and `alpha`.
    """
    pairs = torch.cat([seen.states, seen.relabelled], dim=-1).flatten(0, 1).unique(dim=0)
    width = seen.states.shape[-1]
    concept, target = pairs[:, :width], pairs[:, width:]
    moved = (concept != target).any(-1)
    kept = torch.cat([seen.retain_states.flatten(0, 1), seen.empty[0], concept[~moved]]).unique(dim=0)
    solved: dict[str, Tensor] = {}
    for name, weight in weights.items():
        edits = concept[moved].to(weight), target[moved].to(weight)
        solved[name] = closed_form(weight, *edits, kept.to(weight) * use["alpha"] ** 0.5, use["damping"])
    return solved


METHOD = ImageMethod(
    name="UCE",
    about="Closed-form edit of keys and values that maps the concept to another.",
    source="Gandikota et al. 2024",
    loss=None,
    solve=solve,
    trains=("attn2.to_k", "attn2.to_v"),
    usual={"steps": 100, "alpha": 1.0},
    own={"damping": Setting(1e-6, 1e6, "Damping: penalty on any change.", 0.5)},
    card=Card(
        paper="Gandikota et al. 2024, Unified Concept Editing in Diffusion Models, arXiv 2308.14761",
        equation="min_W sum_c ||W c - W0 c*||^2 + sum_p ||W p - W0 p||^2 + lambda ||W - W0||^2",
        differs=(
            "UCE edits every token position in which the two prompts differ, where the paper's code takes the last "
            "token of the concept.",
        ),
    ),
)
