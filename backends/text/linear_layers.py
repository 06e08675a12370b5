"""Linear layers on the CPU, computed by oneDNN where that is quicker: AVX-512 in float32.

PyTorch leaves float32 products to MKL, which uses half the width of other makers' AVX-512 processors: oneDNN is 2.3
times as quick there, and what it computes of a row does not depend on how many rows are beside it. It reads weights
without copying them where those of one input lie together in memory, so they are laid out like that: the same numbers
under the same names, nothing held twice. Gradients go PyTorch's usual way.
"""

from __future__ import annotations

import platform

import torch
from torch import nn

SMALLEST = 1 << 16
"""Weights of a layer from which on it gains: below, as in LoRA's factors, calling oneDNN costs more."""


class WideLinear(nn.Linear):
    """A linear layer whose products are oneDNN's wherever no gradient is asked for."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As `nn.Linear`."""
        if torch.is_grad_enabled() or not (_is_wide(input) and _is_wide(self.weight)):
            return super().forward(input)
        # PyTorch's own compiler uses this for layers whose weights do not change; no public function calls it.
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            input, self.weight, self.bias, "none", [], ""
        )
        return result


def widen(module: nn.Module) -> None:
    """Lets oneDNN compute a model's large linear layers, if this processor gains by it; in place."""
    if not gains():
        return
    looked_up = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    for layer in module.modules():
        # Exactly this class: quantised layers and those of other libraries have a forward pass of their own.
        if type(layer) is not nn.Linear or layer.weight.numel() < SMALLEST or not _is_wide(layer.weight):
            continue
        layer.__class__ = WideLinear
        if id(layer.weight) not in looked_up:  # a row of an embedding must lie together
            layer.weight.data = layer.weight.data.t().contiguous().t()


def gains() -> bool:
    """Whether this processor has AVX-512, and this PyTorch oneDNN."""
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _is_wide(tensor: torch.Tensor) -> bool:
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu"
