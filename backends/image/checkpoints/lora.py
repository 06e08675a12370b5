"""Low-rank adapters of diffusion models (LoRA, SPM) as changes of the weights they sit on.

diffusers loads them too, but passes over modules it does not find with a warning only, and needs a second copy of the
UNet to merge into; a comparison needs the opposite: every name accounted for, and only what changed in memory.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from backends.checkpoints.lora_settings import MAGNITUDE, LoraSettings
from backends.image.checkpoints.sgm_names import diffusers_name, layers_of

_MARKS = (
    *("lora_down", "lora_up", "lora_A", "lora_B", "lora.down", "lora.up"),
    *("lora_linear_layer.down", "lora_linear_layer.up"),
)
_SPLIT = re.compile(
    r"[._](?:lora_(down|up|A|B)|lora(?:_linear_layer)?\.(down|up))(?:\.[A-Za-z]\w*?)?(?:\.weight)?$"
)
_OTHER_KINDS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "oft_": "OFT",
    "boft_": "BOFT",
    "ia3_": "IA3",
    "glora_": "GLoRA",
}
"""Marks of adapters that are no low-rank product: what their tensors mean is not in their names."""
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
class _FactorPair:
    down: Tensor | None = None
    up: Tensor | None = None
    alpha: float | None = None
    magnitude: Tensor | None = None  # of DoRA
    unknown: bool = False  # a tensor that is no part of a low-rank product


@dataclass(frozen=True, slots=True)
class MergedAdapter:
    """What an adapter makes of a base.

    Attributes:
        changes: component -> name -> merged tensor in the base's type.
        unplaced: modules that the base does not have, or that hold more than a low-rank product.
        notes: how strongly it acts and where that stands, in sentences.
    """

    changes: dict[str, dict[str, Tensor]]
    unplaced: list[str]
    notes: tuple[str, ...]


def is_lora(names: Iterable[str]) -> bool:
    """Whether these are names of a low-rank adapter's tensors."""
    return any(mark in name for name in names for mark in _MARKS) or any(_OLD.search(name) for name in names)


def other_adapter(names: Iterable[str]) -> str:
    """Kind of an adapter that is no low-rank product, by its tensors' names; "" where it is none of those."""
    return next((kind for name in names for mark, kind in _OTHER_KINDS.items() if mark in name), "")


def lora_changes(
    tensors: Mapping[str, Tensor],
    base: Mapping[str, Mapping[str, Tensor]],
    settings: Mapping[str, LoraSettings] = MappingProxyType({}),
) -> MergedAdapter:
    """The weights that an adapter changes, merged: W + scale * up @ down (Hu et al. 2022, eq. 3).

    The scale is alpha / rank. With magnitudes m it is m (W + scale * up @ down) / ||W + scale * up @ down||, the norm
    over all but the first axis (DoRA, Liu et al. 2024, eq. 5).

    Args:
        tensors: of the adapter, named as kohya, diffusers or PEFT do. A convolution's up and down are convolutions.
        base: component -> name -> tensor.
        settings: what file or folder say of alpha, by component ("" for any); they go before alphas among the tensors,
            as in diffusers.
    """
    pairs = _pairs(tensors, base)
    held = {component: _weights(states) for component, states in base.items()}
    layers = layers_of(base.get("unet", ()))
    merged = MergedAdapter({}, [], ())
    scales: Counter[tuple[float, int, str]] = Counter()
    for (component, module), pair in pairs.items():
        names = held.get(component, {})
        name = names.get(_plain(module), "") or names.get(diffusers_name(_plain(module), layers), "")
        if not name or pair.down is None or pair.up is None or pair.unknown:
            merged.unplaced.append(f"{component}.{module}")
            continue
        rank = pair.down.shape[0]
        scale, source = _scale(
            pair, name.removesuffix(".weight"), settings.get(component) or settings.get("")
        )
        changed = _merged(base[component][name], pair, scale)
        if changed is None:
            merged.unplaced.append(f"{component}.{module}")
        else:
            merged.changes.setdefault(component, {})[name] = changed
            scales[scale, rank, source] += 1
    dora = any(pair.magnitude is not None for pair in pairs.values())
    notes = (*_scale_notes(scales), *(("its magnitudes are used (DoRA)",) if dora else ()))
    return MergedAdapter(merged.changes, merged.unplaced, notes)


def _pairs(
    tensors: Mapping[str, Tensor], base: Mapping[str, Mapping[str, Tensor]]
) -> dict[tuple[str, str], _FactorPair]:
    """Tensors by component and module; what names no component goes to the one that it fits best."""
    result: dict[tuple[str, str], _FactorPair] = {}
    for name, tensor in tensors.items():
        component, module, what = _taken_apart(name)
        pair = result.setdefault((component, module), _FactorPair())
        if what == "alpha":
            pair.alpha = float(tensor)
        elif what in ("down", "A"):
            pair.down = tensor
        elif what in ("up", "B"):
            pair.up = tensor
        elif what == "magnitude":
            pair.magnitude = tensor
        else:
            pair.unknown = True
    held = {component: _weights(states) for component, states in base.items()}
    nameless = {_plain(module) for component, module in result if not component}
    fits = {component: len(nameless & names.keys()) for component, names in held.items()}
    main = next((part for part in ("unet", "transformer") if part in base), next(iter(base), ""))
    # Files without a component in their names are of one component, so the one with most modules decides for all.
    home = max(fits, key=lambda part: (fits[part], part == main)) if any(fits.values()) else main

    def owner(component: str) -> str:
        if not component:
            return home
        # kohya writes lora_unet_ whatever the denoiser is
        return main if component in ("unet", "transformer") and component not in base else component

    return {(owner(component), module): pair for (component, module), pair in result.items()}


def _scale(pair: _FactorPair, module: str, settings: LoraSettings | None) -> tuple[float, str]:
    """What a module's product is multiplied by, and where that stands."""
    rank = pair.down.shape[0] if pair.down is not None else 1
    if settings is not None:
        return settings.scale(module, rank), f"from {settings.source}"
    # alpha / rank keeps the strength when the rank changes (Hu et al. 2022, section 4.1).
    if pair.alpha is not None:
        return pair.alpha / rank, "from its alpha tensors"
    return 1.0, "no alpha is stated, so alpha = rank"


def _scale_notes(scales: Counter[tuple[float, int, str]]) -> tuple[str, ...]:
    common = [f"{scale:g} at rank {rank} ({source})" for (scale, rank, source), _ in scales.most_common(3)]
    more = f", and {len(scales) - 3} more" if len(scales) > 3 else ""
    return (f"its product is scaled by {'; '.join(common)}{more}",) if common else ()


def _taken_apart(name: str) -> tuple[str, str, str]:
    """Component, module and which of its tensors a name means."""
    component = ""
    name = name.removeprefix("base_model.model.")
    for root, owner in _ROOTS:
        if name.startswith(root):
            name, component = name.removeprefix(root).removeprefix("base_model.model."), owner
            break
    if old := _OLD.search(name):
        return component, name[: old.start()] + "." + old[1] + (".0" if old[1] == "to_out" else ""), old[2]
    if name.endswith(".alpha"):
        return component, name.removesuffix(".alpha").removesuffix(".lora_linear_layer"), "alpha"
    if match := MAGNITUDE.search(name):
        return component, name[: match.start()], "magnitude"
    if match := _SPLIT.search(name):
        return component, name[: match.start()], match[1] or match[2]
    return component, name, ""


def _plain(module: str) -> str:
    # kohya writes every dot as an underscore; only compared, never taken apart again
    return module.removeprefix("text_model.").removeprefix("text_model_").replace(".", "_")


def _weights(states: Mapping[str, Tensor]) -> dict[str, str]:
    return {_plain(name.removesuffix(".weight")): name for name in states if name.endswith(".weight")}


def _merged(weight: Tensor, pair: _FactorPair, scale: float) -> Tensor | None:
    """The merged weight, or None where shapes do not fit."""
    if pair.down is None or pair.up is None:
        return None
    # In float32: a product of two half-precision factors would be rounded before it is added to the weight.
    low = pair.down.to(weight.device, torch.float32).flatten(1)  # (rank, inputs)
    high = pair.up.to(weight.device, torch.float32).flatten(1)  # (outputs, rank)
    fits = high.shape == (weight.shape[0], low.shape[0]) and len(weight) * low.shape[1] == weight.numel()
    if not fits:
        return None
    changed = weight.float() + scale * (high @ low).reshape(weight.shape)
    if pair.magnitude is not None:
        magnitude = pair.magnitude.to(weight.device, torch.float32).flatten()
        if magnitude.shape != (weight.shape[0],):
            return None
        # DoRA: the magnitude replaces the norm of each output's weights, so the direction alone comes from LoRA.
        norm = changed.flatten(1).norm(dim=1)
        changed = changed * (magnitude / norm).reshape(-1, *[1] * (weight.ndim - 1))
    return changed.to(weight.dtype)
