"""Receler's erasers (Huang et al. 2024): a small network after every cross-attention, added to what it gives.

x + up(GELU(down(x))); hooked into a copy of the UNet, whose own tensors stay the original's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from backends.checkpoints.load_lock import one_load_at_a_time


class Eraser(nn.Module):
    """One eraser; its tensors are parameters of the module it sits in, so that memory counts them."""

    def __init__(self, state: Mapping[str, Tensor], like: Tensor) -> None:
        super().__init__()
        for name in ("down.weight", "down.bias", "up.weight", "up.bias"):
            value = nn.Parameter(state[name].to(like), requires_grad=False)
            self.register_parameter(name.replace(".", "_"), value)

    def forward(self, states: Tensor) -> Tensor:
        """What is added to the attention's output, shape (B, N, D) as `states`."""
        hidden = gelu(linear(states, self.down_weight, self.down_bias))
        return linear(hidden, self.up_weight, self.up_bias)


@one_load_at_a_time
def add_erasers(unet: nn.Module, erasers: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Put erasers after the cross-attentions under the named modules of this UNet."""
    for place, state in erasers.items():
        for name, module in list(unet.get_submodule(place).named_modules()):
            if name.rpartition(".")[2] == "attn2":
                eraser = Eraser(state, next(module.parameters()))
                module.register_forward_hook(_added)
                module.add_module("eraser", eraser)


def _added(module: nn.Module, _arguments: Any, output: Tensor) -> Tensor:
    added: Tensor = module.get_submodule("eraser")(output)
    return output + added
