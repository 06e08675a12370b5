"""The layers of a language model, wherever its architecture keeps them."""

from __future__ import annotations

from typing import Any

from torch import nn

from backends.errors import CheckpointError


def decoder_layers(module: Any, where: str = "") -> tuple[str, nn.ModuleList]:
    """Their path in the module and the list: the one that is as long as the configuration says.

    Raises:
        CheckpointError: the architecture has no such list.
    """
    plain = module.get_base_model() if hasattr(module, "get_base_model") else module
    count = getattr(plain.config.get_text_config(), "num_hidden_layers", None)
    for path, part in module.named_modules():
        if isinstance(part, nn.ModuleList) and len(part) == count:
            return path, part
    raise CheckpointError("this architecture has no list of layers", where=where or type(plain).__name__)
