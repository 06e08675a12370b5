"""Image models made of another one without training: the denoiser's matrices rounded, pruned or moved at random.

What else is done to a model, its first steps drawn by the original, is in `backends/image/starting.py`. Knows modules
and tensors; nothing about pipelines. Text encoder and VAE stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from backends.checkpoints.coarser import moved_at_random, pruned, rounded
from backends.study.touch import Touch

_OUTSIDE = ("conv_in", "conv_out", "time_embedding", "add_embedding", "x_embedder", "proj_out", "pos_embed")
"""What takes latents and timesteps in, and gives latents out: left as it is, as a language model's embeddings are."""


def touched_modules(
    modules: Mapping[str, nn.Module], originals: Mapping[str, nn.Module], touch: Touch
) -> dict[str, dict[str, Tensor]]:
    """Tensors that touching changes, by component and name.

    Args:
        modules: of the model that is touched, by component.
        originals: of the original, for "sham".
        touch: "round", "prune" or "sham".
    """
    named = [name for name in modules if touch.kind == "sham" or name in ("unet", "transformer")]
    found = {}
    for name in named:
        start = originals[name].state_dict() if name in originals else None
        if changed := touched_weights(modules[name], touch, start):
            found[name] = changed
    return found


def touched_weights(
    denoiser: nn.Module, touch: Touch, originals: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Tensors of a touched denoiser that are not the denoiser's own, by name.

    Args:
        denoiser: of the model that is touched; it stays as it is.
        touch: "round", "prune" or "sham".
        originals: the original's tensors by name, for "sham": each is moved as far as the model's is from it, in a
            random direction, and everything else of the denoiser becomes the original's.
    """
    state = denoiser.state_dict()
    if touch.kind == "sham":
        return {
            name: _moved(originals[name], tensor, name, int(touch.value))
            for name, tensor in state.items()
            if originals is not None and not torch.equal(originals[name], tensor)
        }
    changed = {}
    for name in _matrices(denoiser):
        weight = state[name]
        if touch.kind == "prune":
            new = pruned(weight, touch.value / 100)
        else:  # a filter of a convolution is a row
            new = rounded(weight.flatten(1), int(touch.value)).view_as(weight)
        if not torch.equal(new, weight):
            changed[name] = new
    return changed


def _matrices(denoiser: nn.Module) -> list[str]:
    """Names of the weights of linear layers and convolutions between what takes latents in and what gives them out."""
    return [
        f"{name}.weight"
        for name, module in denoiser.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and not name.startswith(_OUTSIDE)
    ]


def _moved(original: Tensor, tensor: Tensor, name: str, seed: int) -> Tensor:
    distance = float(torch.linalg.vector_norm(tensor.float() - original.float()))
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return moved_at_random(
        original, distance, torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    )
