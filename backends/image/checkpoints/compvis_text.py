"""Text encoders in checkpoints of CompVis' and Stability's own code: CLIP of SD 1 and SDXL, OpenCLIP of SD 2 and SDXL.

Pure functions on tensors; knows neither UNets nor files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import NamedTuple

from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
from torch import Tensor


class TextEncoderPlace(NamedTuple):
    """Where a checkpoint keeps a text encoder.

    Attributes:
        prefix: before the names of its tensors.
        component: of the pipeline.
        openclip: it is laid out as OpenCLIP does, which joins queries, keys and values.
    """

    prefix: str
    component: str
    openclip: bool


PLACES = (
    TextEncoderPlace("cond_stage_model.transformer.", "text_encoder", False),
    TextEncoderPlace("cond_stage_model.model.", "text_encoder", True),
    TextEncoderPlace("conditioner.embedders.0.transformer.", "text_encoder", False),
    TextEncoderPlace("conditioner.embedders.1.model.", "text_encoder_2", True),
)
CONDITIONS = ("cond_stage_model.", "conditioner.")


def text_encoders(
    flat: Mapping[str, Tensor], base: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, dict[str, Tensor]]:
    """Component -> the base's own name -> tensor, of all text encoders that the base has, too.

    What the base leaves out (OpenCLIP's last layer, in SD 2) is left out; names that are no weights, too.

    Args:
        flat: the checkpoint.
        base: state dicts of the base's components.
    """
    states: dict[str, dict[str, Tensor]] = {}
    for prefix, component, openclip in PLACES:
        own = base.get(component)
        if own is None or not any(name.startswith(prefix) for name in flat):
            continue
        if openclip:
            tensors = _from_openclip(flat, prefix, own)
        else:
            tensors = {n.removeprefix(prefix): t for n, t in flat.items() if n.startswith(prefix)}
        for name, tensor in tensors.items():
            for spelling in (name, name.removeprefix("text_model."), f"text_model.{name}"):
                if spelling in own:
                    states.setdefault(component, {})[spelling] = tensor
                    break
    return states


def _from_openclip(flat: Mapping[str, Tensor], prefix: str, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    width = next((t.shape[1] for name, t in own.items() if name.endswith("token_embedding.weight")), 0)
    like = SimpleNamespace(config=SimpleNamespace(hidden_size=width))
    held = {name: tensor for name, tensor in flat.items() if name.startswith(prefix)}
    converted: dict[str, Tensor] = convert_open_clip_checkpoint(like, held, prefix=prefix)
    return converted
