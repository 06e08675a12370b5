"""Low-rank adapters of diffusion models (LoRA, SPM) as changes of the weights they sit on.

diffusers loads them too, but passes over modules it does not find with a warning only, and needs a second copy of the
UNet to merge into; a comparison needs the opposite: every name accounted for, and only what changed in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from backends.image.sgm_names import diffusers_name, layers_of

_MARKS = ("lora_down", "lora_up", "lora_A", "lora_B", "lora.down", "lora.up")
_SPLIT = re.compile(r"[._](?:lora_(down|up|A|B)|lora\.(down|up))(?:\.default)?(?:\.weight)?$")
_OLD = re.compile(r"\.processor\.(to_q|to_k|to_v|to_out)_lora\.(down|up)\.weight$")
_ROOTS = (
    *(("lora_unet_", "unet"), ("lora_te1_", "text_encoder"), ("lora_te2_", "text_encoder_2")),
    *(("lora_te3_", "text_encoder_3"), ("lora_te_", "text_encoder"), ("unet.", "unet")),
    *(("text_encoder_2.", "text_encoder_2"), ("text_encoder_3.", "text_encoder_3")),
    *(
        ("text_encoder.", "text_encoder"),
        ("transformer.", "transformer"),
        ("lora_transformer_", "transformer"),
    ),
)


@dataclass(slots=True)
class _Pair:
    down: Tensor | None = None
    up: Tensor | None = None
    alpha: float | None = None


def is_lora(names: Iterable[str]) -> bool:
    """Whether these are names of a low-rank adapter's tensors."""
    return any(mark in name for name in names for mark in _MARKS) or any(_OLD.search(name) for name in names)


def lora_changes(
    tensors: Mapping[str, Tensor], base: Mapping[str, Mapping[str, Tensor]]
) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """The weights that an adapter changes, merged: W + alpha / rank * up @ down (Hu et al. 2022, eq. 3).

    Args:
        tensors: of the adapter, named as kohya, diffusers or PEFT do. A convolution's up and down are convolutions.
        base: component -> name -> tensor.

    Returns:
        Component -> name -> merged tensor in the base's type, and the modules that the base does not have.
    """
    pairs: dict[tuple[str, str], _Pair] = {}
    for name, tensor in tensors.items():
        component, module, what = _taken_apart(name)
        pair = pairs.setdefault((component, module), _Pair())
        if what == "alpha":
            pair.alpha = float(tensor)
        elif what in ("down", "A"):
            pair.down = tensor
        elif what in ("up", "B"):
            pair.up = tensor
    modules = {component: _weights(states) for component, states in base.items()}
    layers = layers_of(base.get("unet", ()))
    changes: dict[str, dict[str, Tensor]] = {}
    unplaced = []
    for (component, module), pair in pairs.items():
        if component == "unet" and "unet" not in base and "transformer" in base:
            component = "transformer"  # kohya writes lora_unet_ whatever the denoiser is
        held = modules.get(component, {})
        name = held.get(_plain(module), "") or held.get(diffusers_name(_plain(module), layers), "")
        if not name or pair.down is None or pair.up is None:
            unplaced.append(f"{component}.{module}")
            continue
        weight = base[component][name]
        merged = _merged(weight, pair.down, pair.up, pair.alpha)
        if merged is None:
            unplaced.append(f"{component}.{module}")
        else:
            changes.setdefault(component, {})[name] = merged
    return changes, unplaced


def _taken_apart(name: str) -> tuple[str, str, str]:
    """Component, module and which of its tensors a name means."""
    component = "unet"
    for root, owner in _ROOTS:
        if name.startswith(root):
            name, component = name.removeprefix(root), owner
            break
    name = name.removeprefix("base_model.model.")
    if old := _OLD.search(name):
        return component, name[: old.start()] + "." + old[1] + (".0" if old[1] == "to_out" else ""), old[2]
    if name.endswith(".alpha"):
        return component, name.removesuffix(".alpha"), "alpha"
    if found := _SPLIT.search(name):
        return component, name[: found.start()], found[1] or found[2]
    return component, name, ""


def _plain(module: str) -> str:
    # kohya writes every dot as an underscore; only compared, never taken apart again
    return module.removeprefix("text_model.").removeprefix("text_model_").replace(".", "_")


def _weights(states: Mapping[str, Tensor]) -> dict[str, str]:
    return {_plain(name.removesuffix(".weight")): name for name in states if name.endswith(".weight")}


def _merged(weight: Tensor, down: Tensor, up: Tensor, alpha: float | None) -> Tensor | None:
    rank = down.shape[0]
    scale = 1.0 if alpha is None else alpha / rank
    low, high = down.to(weight.device, torch.float32), up.to(weight.device, torch.float32)
    change = high.flatten(1) @ low.flatten(1)
    if up.shape[0] != weight.shape[0] or change.numel() != weight.numel():
        return None
    return (weight.float() + scale * change.reshape(weight.shape)).to(weight.dtype)
