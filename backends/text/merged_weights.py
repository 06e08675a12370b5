"""A loaded model's weights as it computes with them: an adapter is put into one layer at a time, into a copy of it.

So that a whole merged model is never in memory. Knows nothing of files.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor, nn

from backends.text.adapter_copies import ONLY
from backends.text.families import Family

if TYPE_CHECKING:
    from peft.tuners.tuners_utils import BaseTunerLayer


class NotMerged(Exception):
    """PEFT cannot say what a layer's weights are with the adapter in them."""


def merged_weights(family: Family, name: str) -> Iterator[tuple[str, Tensor]]:
    """Names and values of all weights as the model computes with them; a changed layer's is made as it is asked for."""
    if not hasattr(family.module, "get_base_model"):  # no PEFT around it, which is slow to import
        yield from family.module.named_parameters(remove_duplicate=False)
        return
    own = name in family.parts and not family.adapters
    yield from _inside("", family.module.get_base_model(), ONLY if own else family.adapters.get(name, ""))


def _inside(path: str, part: nn.Module, adapter: str) -> Iterator[tuple[str, Tensor]]:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper, TrainableTokensWrapper

    if isinstance(part, ModulesToSaveWrapper):
        retrained = dict(part.modules_to_save.items())
        yield from _inside(path, retrained.get(adapter, part.original_module), adapter)
    elif isinstance(part, TrainableTokensWrapper):
        yield from _inside(path, part.token_adapter, adapter)
    elif isinstance(part, BaseTunerLayer):
        yield from _inside(path, _merged(part, adapter).get_base_layer(), "")
    else:
        for key, tensor in part.named_parameters(recurse=False):
            yield f"{path}{key}", tensor
        for key, child in part.named_children():
            yield from _inside(f"{path}{key}.", child, adapter)


def _merged(layer: BaseTunerLayer, adapter: str) -> BaseTunerLayer:
    """The layer, or where the adapter is on it a copy in which the base's tensors are those that it makes of them."""
    if adapter not in layer._get_available_adapters():
        return layer
    mine = copy.deepcopy(layer)
    try:
        mine.merge(adapter_names=[adapter])
    except (RuntimeError, ValueError, NotImplementedError, AttributeError, TypeError) as error:
        raise NotMerged(str(error).partition("\n")[0][:160] or type(error).__name__) from error
    return mine
