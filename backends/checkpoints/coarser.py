"""Weights made coarser without training: rounded to a few bits, the smallest set to 0. Tensors only."""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 64
"""Weights along the input that share a scale."""


def rounded(weight: Tensor, bits: int, *, group: int = GROUP) -> Tensor:
    """Weights rounded to the nearest of 2^bits - 1 levels, symmetric about 0, and back in their own type.

    w' = s round(w / s) with s = max |w| / (2^(bits-1) - 1) over each group of the last dimension: round-to-nearest, the
    baseline of AWQ (Lin et al. 2024, section 3.1) and of arXiv 2410.16454, equation 1. Those divide by 2^(bits-1), so
    that the largest weight is between two levels; here it is the last level, and weights on the grid stay bit for bit
    as they are, so that rounding twice is rounding once.

    Args:
        weight: of any shape (..., inputs) and float type; computed in float32.
        bits: 2 to 8.
        group: weights that share a scale; the last group of a row may be smaller.
    """
    most = 2 ** (bits - 1) - 1
    inputs = weight.shape[-1]
    padded = torch.nn.functional.pad(weight.float(), (0, -inputs % group))
    groups = padded.unflatten(-1, (-1, group))  # (..., groups, group)
    largest = groups.abs().amax(-1, keepdim=True)
    scale = (largest / most).clamp_min(torch.finfo(torch.float32).tiny)
    levels = (groups / scale).round()
    # The last level is the largest weight itself, not a product that may differ from it in the last bit.
    values = torch.where(levels.abs() == most, levels.sign() * largest, levels * scale)
    return values.flatten(-2)[..., :inputs].to(weight.dtype)


def pruned(weight: Tensor, share: float) -> Tensor:
    """Weights with those of smallest magnitude set to 0 (magnitude pruning, one matrix at a time, Han et al. 2015).

    Args:
        weight: of any shape.
        share: of its numbers that become 0, 0 to 1, rounded to a whole number of them; of equal ones the first.
    """
    count = round(share * weight.numel())
    if count == 0:
        return weight
    sizes = weight.detach().flatten().abs()
    last = sizes.kthvalue(count).values
    gone = sizes < last
    alike = (sizes == last).nonzero()[: count - int(gone.sum()), 0]
    gone[alike] = True
    return weight.masked_fill(gone.view(weight.shape), 0)


def moved_at_random(weight: Tensor, distance: float, generator: torch.Generator) -> Tensor:
    """A tensor moved in a random direction, uniform over all directions, by this Euclidean distance.

    Args:
        weight: where from.
        distance: how far; 0 is the tensor itself.
        generator: on the CPU, so that devices draw alike.
    """
    if distance == 0:
        return weight
    noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32).to(weight.device)
    return (weight.float() + noise * (distance / torch.linalg.vector_norm(noise))).to(weight.dtype)
