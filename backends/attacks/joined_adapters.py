"""Two LoRA adapters as one: factors side by side, so that its product is the sum of theirs, exactly."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from backends.checkpoints.adapters import PREFIX
from backends.checkpoints.lora_settings import LoraSettings, lora_settings
from backends.checkpoints.tensors import ADAPTER_WEIGHTS, adapter_file, read_header
from backends.checkpoints.wrapped_names import unwrapped

CONFIG = "adapter_config.json"
_FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<kind>(?:embedding_)?)(?P<side>[AB])(?P<end>(?:\.weight)?)$")


def join(folder: Path, other: Path) -> None:
    """Add another plain LoRA to a saved one, in its place.

    A module has as many columns as both have there together, and its scale of 1 is in its second factor:
    s B A + s' B' A' = [s B, s' B'] [A; A'].

    Args:
        folder: PEFT folder of the one, which is written anew.
        other: PEFT folder of the other, for the same base.
    """
    parts = [_scaled(each) for each in (folder, other)]
    joined: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        found = _FACTOR.match(name)
        assert found is not None
        factors = [part[name] for part in parts if name in part]
        joined[name] = torch.cat(factors, dim=0 if found["side"] == "A" else 1).contiguous()
        if found["side"] == "A":
            ranks[found["module"].removeprefix(PREFIX)] = joined[name].shape[0]
    most = max(ranks.values())
    others = {module: rank for module, rank in ranks.items() if rank != most}
    settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    settings |= {"r": most, "lora_alpha": most, "rank_pattern": others, "alpha_pattern": others}
    settings |= {"use_rslora": False, "target_modules": sorted(ranks), "exclude_modules": None}
    settings |= {"layers_to_transform": None, "layers_pattern": None}
    save_file(joined, folder / ADAPTER_WEIGHTS, {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _scaled(folder: Path) -> dict[str, Tensor]:
    """Factors by their plain names, float32, the scale multiplied into the second."""
    file = adapter_file(folder)
    names = unwrapped(read_header(file), str(folder)).names
    tensors = {names[name]: tensor.float() for name, tensor in load_file(file).items()}
    stated = lora_settings(file).get("", LoraSettings(8.0))
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found = _FACTOR.match(name)
        if found is None:
            continue  # plain LoRA has no other tensors; what is refused when it is loaded need not be told twice
        scale = 1.0
        if found["side"] == "B":
            scale = stated.scale(found["module"].removeprefix(PREFIX), tensor.shape[1])
        result[name] = scale * tensor
    return result
