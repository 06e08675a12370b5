"""Linear layers on x86 CPUs in float32, computed by oneDNN, which is quicker at it than what PyTorch uses.

PyTorch leaves float32 products to MKL, which uses half the width of other makers' AVX-512 processors. Measured on a
Zen 5, oneDNN takes .42 of MKL's time there, and .8 to .9 where both have AVX2 only. It reads weights without copying
them where those of one input lie together in memory, so they are laid out like that, which is a third of the time of
few rows: the same numbers under the same names, nothing held twice. Gradients go PyTorch's usual way.
"""

from __future__ import annotations

import platform
from typing import Any

import torch
from torch import nn

SMALLEST = 1 << 16
"""Weights of a layer from which on it gains: below, as in LoRA's factors, calling oneDNN costs more."""


class OneDnnLinear(nn.Linear):
    """A linear layer whose products are oneDNN's wherever no gradient is asked for."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As `nn.Linear`."""
        if torch.is_grad_enabled() or not (_is_float32_on_cpu(input) and _is_float32_on_cpu(self.weight)):
            return super().forward(input)
        # PyTorch's own compiler uses this for layers whose weights do not change; no public function calls it.
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            input, self.weight, self.bias, "none", [], ""
        )
        return result


def use_onednn(module: Any) -> None:
    """Lets oneDNN compute a language model's large linear layers, if this processor gains by it; in place.

    All but the output head are laid out anew: the same tensor may be the embedding, whose rows must lie together, and
    models whose heads have the same numbers must say the same, tied or not.
    """
    if not gains():
        return
    head = module.get_output_embeddings()
    for layer in module.modules():
        # Exactly these classes: quantised layers and those of other libraries have a forward pass of their own.
        plain = type(layer) in (nn.Linear, OneDnnLinear) and _is_float32_on_cpu(layer.weight)
        if not plain or layer.weight.numel() < SMALLEST:
            continue
        layer.__class__ = OneDnnLinear
        if layer is not head:
            layer.weight.data = layer.weight.data.t().contiguous().t()


def gains() -> bool:
    """Whether this is an x86 processor with AVX2, and this PyTorch has oneDNN."""
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith(("AVX2", "AVX512"))
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _is_float32_on_cpu(tensor: torch.Tensor) -> bool:
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu"
