"""Unlearned versions of a tiny Stable Diffusion in every checkpoint shape of the field, as their tools save them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

States = dict[str, dict[str, Tensor]]
RANK = 2


def states_of(pipe: Any) -> States:
    return {
        name: {key: value.clone() for key, value in part.state_dict().items()}
        for name, part in pipe.components.items()
        if isinstance(part, torch.nn.Module)
    }


def moved(state: Mapping[str, Tensor], part: str = "attn2", by: float = 0.5) -> dict[str, Tensor]:
    """All of a state dict, the tensors with `part` in their names moved."""
    return {name: tensor + by if part in name else tensor for name, tensor in state.items()}


def only(state: Mapping[str, Tensor], part: str = "attn2") -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if part in name}


def prefixed(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def compvis_names(names: list[str], levels: int, layers: int) -> dict[str, str]:
    """Name in diffusers -> name in CompVis code, for a UNet of so many levels with so many layers each.

    As input blocks 0 is conv_in; then every level has its layers and, but for the last, one that halves the size.
    """
    heads = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    for level in range(levels):
        for layer in range(layers):
            block = 1 + level * (layers + 1) + layer
            heads[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{block}.0"
            heads[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{block}.1"
        heads[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{(level + 1) * (layers + 1)}.0.op"
        for layer in range(layers + 1):
            block = level * (layers + 1) + layer
            heads[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{block}.0"
            heads[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{block}.1"
        has_attention = any(name.startswith(f"up_blocks.{level}.attentions") for name in names)
        up = f"output_blocks.{level * (layers + 1) + layers}.{2 if has_attention else 1}.conv"
        heads[f"up_blocks.{level}.upsamplers.0.conv"] = up
    inside = {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "time_emb_proj": "emb_layers.1",
        "conv_shortcut": "skip_connection",
    }
    found = {}
    for name in names:
        head = max((head for head in heads if name.startswith(head + ".")), key=len)
        rest = name.removeprefix(head + ".")
        if ".resnets." in head:
            part, _, leaf = rest.rpartition(".")
            rest = f"{inside[part]}.{leaf}"
        found[name] = f"{heads[head]}.{rest}"
    return found


def compvis(
    unet: Mapping[str, Tensor], text: Mapping[str, Tensor], average: Mapping[str, Tensor] | None = None
) -> dict[str, Any]:
    """A CompVis checkpoint with a UNet, a text encoder and, where given, an averaged copy of the UNet."""
    names = compvis_names(list(unet), levels=2, layers=1)
    state = {f"model.diffusion_model.{names[name]}": tensor for name, tensor in unet.items()}
    state |= {f"cond_stage_model.transformer.{name}": tensor for name, tensor in text.items()}
    for name, tensor in (average or {}).items():
        state["model_ema." + f"diffusion_model.{names[name]}".replace(".", "")] = tensor
    state["model_ema.decay"] = torch.tensor(0.9999)
    return {"epoch": 3, "global_step": 100, "state_dict": state}


def openclip(text: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """A text encoder of transformers as OpenCLIP lays it out: queries, keys and values in one matrix."""
    names = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
        "encoder.layers": "transformer.resblocks",
        "final_layer_norm": "ln_final",
    }
    found: dict[str, Tensor] = {}
    for name, tensor in text.items():
        own = name.removeprefix("text_model.")
        if own == "text_projection.weight":
            found[f"{prefix}text_projection"] = tensor.T.contiguous()
        elif ".q_proj." in own:
            joined = torch.cat(
                [text[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            )
            where, _, kind = own.replace("encoder.layers", "transformer.resblocks").partition(
                ".self_attn.q_proj."
            )
            found[f"{prefix}{where}.attn.in_proj_{kind}"] = joined
        elif ".k_proj." not in own and ".v_proj." not in own:
            for ours, theirs in names.items():
                own = own.replace(ours, theirs)
            found[prefix + own] = tensor
    return found


def kohya(unet: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """A LoRA of rank 2 on the cross-attentions' matrices and some convolutions, as SPM and kohya's scripts save it."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for name, tensor in unet.items():
        if not name.endswith(".weight") or not ("attn2.to" in name or name.endswith("proj_in.weight")):
            continue
        key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        tail = (1, 1) if tensor.ndim == 4 else ()
        found[f"{key}.lora_down.weight"] = torch.randn(RANK, tensor.shape[1], *tail, generator=generator)
        found[f"{key}.lora_up.weight"] = torch.randn(tensor.shape[0], RANK, *tail, generator=generator)
        found[f"{key}.alpha"] = torch.tensor(1.0)
    return found


def write_erasers(folder: Path, unet: torch.nn.Module, seed: int = 0) -> Path:
    """What Receler saves: one eraser for every transformer, named by its block."""
    torch.manual_seed(seed)
    state = {}
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            width = module.to_out[0].weight.shape[0]
            down, up = torch.nn.Linear(width, 4), torch.nn.Linear(4, width)
            block = name.split(".")
            place = ".".join(block[:3] if block[0] == "mid_block" else block[:4])
            state[place] = {
                "down.weight": down.weight.data,
                "down.bias": down.bias.data,
                "up.weight": up.weight.data,
                "up.bias": up.bias.data,
            }
    folder.mkdir(parents=True)
    torch.save(state, folder / "eraser_weights.pt")
    (folder / "eraser_config.json").write_text(json.dumps({"eraser_type": "adapter", "eraser_rank": 4}))
    return folder


def write(path: Path, value: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in value.items()}, path)
    else:
        torch.save(value, path)
    return path
