"""Task arithmetic: a change that was trained, taken the other way (Ilharco et al. 2023, arXiv 2212.04089, section 3).

theta = theta_0 - scale (theta_trained - theta_0). For LoRA that is exact with factors side by side: the product of the
joined factors is the sum of the products.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FILE, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def negated_adapter(folder: Path, first: Mapping[str, Tensor], scale: float) -> None:
    """Turn a saved LoRA round, in its place; its rank doubles.

    Args:
        folder: PEFT folder of the trained adapter.
        first: its parameters before the first step, by their names in the PEFT model.
        scale: how far back.
    """
    trained = load_file(folder / FILE)
    start = {name.replace(".default.", "."): tensor for name, tensor in first.items()}
    joined: dict[str, Tensor] = {}
    for name, tensor in trained.items():
        before = start[name].to(tensor)
        if ".lora_A." in name:
            joined[name] = torch.cat([before, tensor], dim=0)
        elif ".lora_B." in name:
            joined[name] = torch.cat([(1 + scale) * before, -scale * tensor], dim=1)
        else:
            joined[name] = before - scale * (tensor - before)
    settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    wider = (
        math.sqrt(2) if settings.get("use_rslora") else 2
    )  # what keeps alpha / r, or alpha / sqrt(r), as it was
    settings["r"] *= 2
    settings["lora_alpha"] *= wider
    settings["rank_pattern"] = {key: 2 * rank for key, rank in (settings.get("rank_pattern") or {}).items()}
    settings["alpha_pattern"] = {key: wider * a for key, a in (settings.get("alpha_pattern") or {}).items()}
    save_file(joined, folder / FILE, {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(settings, indent=2), encoding="utf-8")


@contextmanager
def negated_weights(model: nn.Module, first: Mapping[str, Tensor], scale: float) -> Iterator[None]:
    """The model as task arithmetic keeps it, for a while; nothing happens without first weights.

    A product of two LoRA factors is turned round by its second factor where the first weights of that are 0 (a fresh
    adapter); elsewhere the two products are written into the base's weight for a while.
    """
    changed: list[tuple[nn.Parameter, Tensor]] = []
    try:
        if first and any(".lora_" in name for name in first):
            changed = _written_into_base(model, first, scale)
        elif first:
            for name, parameter in model.named_parameters():
                start = first[name].to(parameter)
                changed.append((parameter, parameter.data))
                parameter.data = start - scale * (parameter.data - start)
        yield
    finally:
        for parameter, data in changed:
            parameter.data = data


def _written_into_base(
    model: nn.Module, first: Mapping[str, Tensor], scale: float
) -> list[tuple[nn.Parameter, Tensor]]:
    """Put the difference between the negated and the trained adapter into the bases of the layers it is on."""
    changed: list[tuple[nn.Parameter, Tensor]] = []
    for path, module in model.named_modules():
        if not hasattr(module, "lora_A") or "default" not in getattr(module, "lora_A", {}):
            continue
        a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
        a0 = first[f"{path}.lora_A.default.weight"].to(a)
        b0 = first[f"{path}.lora_B.default.weight"].to(b)
        # wanted - now = (1 + s) B0 A0 - s B A - B A
        difference = (1 + scale) * (b0 @ a0 - b.detach() @ a.detach())
        weight: nn.Parameter = module.get_base_layer().weight
        if difference.shape != weight.shape:
            difference = difference.T
        changed.append((weight, weight.data))
        weight.data = weight.data + module.scaling["default"] * difference.to(weight)
    return changed
