"""Linear layers on the CPU, computed by oneDNN where that is quicker: AVX-512 in float32.

PyTorch leaves float32 products to MKL, which uses half the width of other makers' AVX-512 processors; oneDNN is 2.3
times as quick there. It reads weights without copying them where those of one input lie together in memory, so they are
laid out like that: the same numbers under the same names, nothing held twice. Gradients go PyTorch's usual way.
"""

from __future__ import annotations

import platform
from typing import Any

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


def widen(module: Any) -> None:
    """Lets oneDNN compute a language model's large linear layers, if this processor gains by it; in place.

    All but the output head are laid out anew: the same tensor may be the embedding, whose rows must lie together, and
    models whose heads have the same numbers must say the same, tied or not.
    """
    if not gains():
        return
    head = module.get_output_embeddings()
    for layer in module.modules():
        # Exactly these classes: quantised layers and those of other libraries have a forward pass of their own.
        if type(layer) not in (nn.Linear, WideLinear) or layer.weight.numel() < SMALLEST:
            continue
        layer.__class__ = WideLinear
        if layer is not head and _is_wide(layer.weight):
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
