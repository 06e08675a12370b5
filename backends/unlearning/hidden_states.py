"""Hidden states of one layer, without running the layers above it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from backends.errors import StudyError
from backends.unlearning.text_batches import Batch


class _LayerReached(Exception):
    """The layer has answered; nothing above it is needed."""


def hidden_after(model: nn.Module, batch: Batch, layer: int) -> Tensor:
    """What a layer hands on at the answers' tokens, shape (rows, longest answer, width).

    Raises:
        StudyError: the model has no such layer.
    """
    layers = _layers(model)
    if layer >= len(layers):
        raise StudyError(
            f"there is no layer {layer}: the model has {len(layers)}, counted from 0", where="--set layer"
        )
    tensors: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        tensors.append(output[0] if isinstance(output, tuple) else output)
        raise _LayerReached

    inputs = {"input_ids": batch.ids} if batch.states is None else {"inputs_embeds": batch.states}
    hook = layers[layer].register_forward_hook(keep)
    try:
        model(**inputs, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False)
    except _LayerReached:
        pass
    finally:
        hook.remove()
    return tensors[0][:, -batch.targets.shape[1] :]


def _layers(model: nn.Module) -> nn.ModuleList:
    """The decoder's layers: the list that is as long as the configuration says."""
    depth = getattr(getattr(model, "config", None), "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise StudyError(
        "this architecture has no list of layers, so RMU cannot be used", where=type(model).__name__
    )
