"""Names of a UNet's modules in Stability's own code (SDXL's LoRAs and CompVis deltas have them), in diffusers' names.

Both with underscores for dots, as kohya's scripts write them. Knows no tensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_BLOCK = re.compile(r"^(?:(input_blocks|output_blocks)_(\d+)_(\d+)|(middle_block)_(\d+))_(.+)$")
_INSIDE = {
    "in_layers_0": "norm1",
    "out_layers_0": "norm2",
    "in_layers_2": "conv1",
    "emb_layers_1": "time_emb_proj",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ALONE = {
    "input_blocks_0_0": "conv_in",
    "out_0": "conv_norm_out",
    "out_2": "conv_out",
    "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
}


def layers_of(names: Iterable[str]) -> int:
    """Layers in every block of a UNet, from its tensors' names in diffusers."""
    return len({name.split(".")[3] for name in names if name.startswith("down_blocks.0.resnets.")}) or 1


def diffusers_name(module: str, layers: int) -> str:
    """The module's name in diffusers; as it stands where it is none of Stability's.

    Args:
        module: such as `input_blocks_4_1_transformer_blocks_0_attn2_to_k`.
        layers: of every block.
    """
    if module in _ALONE:
        return _ALONE[module]
    match = _BLOCK.match(module)
    if match is None:
        return module
    rest = match[6]
    if match[4]:
        block = int(match[5])
        part = ("resnets_0", "attentions_0", "resnets_1")[min(block, 2)]
        return f"mid_block_{part}_{_inside(rest)}"
    block, inner = int(match[2]), match[3]
    if match[1] == "input_blocks":
        level, layer = divmod(block - 1, layers + 1)
        if rest == "op":
            return f"down_blocks_{level}_downsamplers_0_conv"
        return f"down_blocks_{level}_{_kind(inner)}_{layer}_{_inside(rest)}"
    level, layer = divmod(block, layers + 1)
    if rest == "conv":
        return f"up_blocks_{level}_upsamplers_0_conv"
    return f"up_blocks_{level}_{_kind(inner)}_{layer}_{_inside(rest)}"


def _kind(inner: str) -> str:
    return "attentions" if inner == "1" else "resnets"


def _inside(rest: str) -> str:
    return _INSIDE.get(rest, rest)
