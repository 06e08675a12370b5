"""What the tensors of an unlearned version are: every checkpoint shape of the field, in the base's own names.

ESD and UCE save part of a UNet, Concept Ablation a `delta.bin`, SalUn and Selective Amnesia a CompVis checkpoint (with
an averaged copy of the weights), SPM a LoRA, AdvUnlearn a text encoder, Receler erasers, DDPM code a list. Pure
functions on tensors; knows no pipelines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders import single_file_utils
from torch import Tensor

from backends.checkpoints.lora_settings import lora_settings
from backends.errors import CheckpointError
from backends.image.checkpoints.compvis_text import CONDITIONS, PLACES, text_encoders
from backends.image.checkpoints.containers import StateDict, state_dict_in, unwrapped_tensors
from backends.image.checkpoints.lora import is_lora, lora_changes, other_adapter
from backends.image.checkpoints.sgm_names import diffusers_name, layers_of
from backends.image.checkpoints.version_files import tensors_in

States = Mapping[str, Mapping[str, Tensor]]
"""Component of a pipeline ("unet") -> name -> tensor."""

COMPVIS_UNET = "model.diffusion_model."
COMPVIS_VAE = "first_stage_model."
COMPVIS_EMA = "model_ema."
DENOISERS = ("unet", "transformer")
_OWN_LAYOUTS = (COMPVIS_UNET, "double_blocks", "single_blocks", "joint_blocks")
SPARSE_AUTOENCODER = {"W_dec", "b_dec"}
_NO_WEIGHTS = ("position_ids", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class VersionWeights:
    """Tensors of an unlearned version.

    Attributes:
        shape: what kind of checkpoint it was, in words.
        tensors: component -> name in the base -> tensor, in whatever type the file has.
        erasers: module of the denoiser -> state dict of the eraser after its cross-attention (Receler).
        ignored: names that are no weights for drawing (optimiser, averaged copy, logit scales).
        notes: what a person should know of how it was read, in sentences.
        averaged: the file holds an averaged (EMA) copy too.
        matched: how many tensors of the file found their place, changed or not.
        rounded: how many of these differ from the base's by rounding only, so that the base's are used.
    """

    shape: str
    tensors: States
    erasers: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    averaged: bool = False
    matched: int = 0
    rounded: int = 0


def recognised(
    raw: Any, path: Path, base: States, configs: Mapping[str, Mapping[str, Any]], *, ema: bool = False
) -> VersionWeights:
    """What a file holds, in the base's names.

    Args:
        raw: as `version_files.read_tensors` gives it.
        path: named in errors.
        base: state dicts of the original's components.
        configs: their configurations; needed for CompVis checkpoints.
        ema: take the averaged copy of the weights if there is one.

    Raises:
        CheckpointError: no tensors, tensors that fit nowhere, or no averaged copy where one was asked for.
    """
    version = _recognised(raw, path, base, configs, ema)
    if ema and not version.averaged:
        raise CheckpointError(
            "`ema = true` asks for averaged (EMA) weights, but this file has none",
            where=str(path),
            how="Leave the key out",
        )
    return version


def _recognised(
    raw: Any, path: Path, base: States, configs: Mapping[str, Mapping[str, Any]], ema: bool
) -> VersionWeights:
    erasers = _erasers(raw)
    if erasers:
        return _with_erasers(erasers, path, base)
    if isinstance(raw, list | tuple):
        return _checked(_ddpm_list(raw, path, base, ema), path, base)
    state_dict = state_dict_in(raw, path, base)
    version = _shaped(state_dict, path, base, configs, ema)
    averaged = bool(state_dict.averaged)
    return replace(
        version,
        ignored=(*version.ignored, *state_dict.left_out),
        notes=(*state_dict.notes, *(_which(ema, averaged)), *version.notes),
        averaged=version.averaged or averaged,
    )


def _shaped(
    wrapped: StateDict, path: Path, base: States, configs: Mapping[str, Mapping[str, Any]], ema: bool
) -> VersionWeights:
    """What tensors by name are, once nothing is around them."""
    flat = wrapped.averaged if ema and wrapped.averaged else wrapped.flat
    if "unet" not in base and any(mark in name for name in flat for mark in _OWN_LAYOUTS):
        raise CheckpointError(
            "its tensors have the layout of the original (CompVis-style) code, which is supported for "
            "Stable Diffusion 1, 2 and XL only",
            where=str(path),
            how="Load it with diffusers (from_single_file, or load_lora_weights) and save it again with diffusers",
        )
    # From the most telling names to the least: what none of these tests recognises is a plain state dict.
    if any(name.startswith(COMPVIS_UNET) for name in flat):
        return _checked(_compvis(flat, path, base, configs, ema), path, base)
    if any(isinstance(wrapped.inside.get(part), Mapping) for part in base):
        return _checked(_delta(wrapped.inside, base, path), path, base)
    if is_lora(flat):
        merged = lora_changes(flat, base, lora_settings(path))
        if merged.unplaced or not merged.changes:
            raise _unexpected(merged.unplaced, len(flat), path)
        count = sum(map(len, merged.changes.values()))
        return VersionWeights(f"LoRA of {count} modules, merged", merged.changes, notes=merged.notes)
    if kind := other_adapter(flat):
        raise CheckpointError(
            f"it is a {kind} adapter, and only LoRA, DoRA and SPM adapters are supported",
            where=str(path),
            how="Merge it into the model with the tool that made it, and save the changed tensors",
        )
    if not flat:
        raise CheckpointError("it holds no tensors by name", where=str(path))
    if {name.rpartition(".")[2] for name in flat} >= SPARSE_AUTOENCODER:
        raise CheckpointError(
            "it is a sparse autoencoder (SAeUron), which edits activations during sampling; only changes of weights "
            "are supported",
            where=str(path),
            how="Generate the pictures with its own code, and use their folder as pictures:FOLDER",
        )
    placed = _placed(flat, base, path)
    part = " and ".join(placed)
    whole_part = all(len(placed[name]) >= len(base[name]) for name in placed if name in base)
    return _checked(
        VersionWeights(
            f"{'whole' if whole_part else 'part of the'} {part}", placed, ignored=_ignored(flat, placed)
        ),
        path,
        base,
    )


def denoiser_of(base: States) -> str:
    """Component that predicts the noise; the first where none is known as that."""
    return next((name for name in DENOISERS if name in base), next(iter(base)))


def _placed(flat: Mapping[str, Tensor], base: States, path: Path) -> dict[str, dict[str, Tensor]]:
    """Tensors by component; one that fits nowhere goes to the denoiser, where it is named as unexpected."""
    states: dict[str, dict[str, Tensor]] = {}
    main = denoiser_of(base)
    # Buffers such as position ids have other shapes in other library versions and change nothing.
    bare = {name: tensor for name, tensor in flat.items() if not name.endswith(_NO_WEIGHTS)}
    parts = _likeliest(bare, base, path)
    for name, tensor in bare.items():
        # A name that fits nowhere is kept, not dropped: `_checked` then refuses the file by that name. Dropping it
        # would show the original as the unlearned model.
        component, own = _place(name, base, parts) or (main, name)
        known = states.setdefault(component, {}).setdefault(own, tensor)
        if known is not tensor and not torch.equal(known, tensor):
            raise CheckpointError(
                f"it has {own} twice, with different values",
                where=str(path),
                how="Save the model's own state dict",
            )
    return states


def _likeliest(flat: Mapping[str, Tensor], base: States, path: Path) -> list[str]:
    """Components by how many of the tensors fit them by name and shape, the likeliest first.

    SDXL and SD 3 have several text encoders whose tensors are named alike; where their shapes are alike too, the name
    of the file or folder decides.

    Raises:
        CheckpointError: nothing decides.
    """
    fitting = {
        part: sum(
            any(own in state and state[own].shape == tensor.shape for own in _spellings(name))
            for name, tensor in flat.items()
        )
        for part, state in base.items()
    }
    main = denoiser_of(base)
    named = {part for part in base if part in (path.name, path.stem, path.parent.name)}
    # Best fit first; ties go to the component that the file is named after, then to the denoiser.
    ranked = sorted(base, key=lambda part: (-fitting[part], part not in named, part != main))
    best = [part for part in ranked if fitting[part] == fitting[ranked[0]]]
    if len(best) > 1 and fitting[best[0]] and main not in best and not named & set(best):
        raise CheckpointError(
            f"its tensors fit {' and '.join(best)} equally well",
            where=str(path),
            how=f"Put the part before their names ({best[0]}.{next(iter(flat))}), or name the file after it",
        )
    return ranked


def _place(name: str, base: States, parts: Sequence[str]) -> tuple[str, str] | None:
    component, _, rest = name.partition(".")
    if component in base:
        for own in _spellings(rest):
            if own in base[component]:
                return component, own
    for component in parts:
        for own in _spellings(name):
            if own in base[component]:
                return component, own
    return None


def _spellings(name: str) -> tuple[str, ...]:
    """Names that a tensor may have in a text encoder, depending on the library's version and on who saves it.

    With and without the name of its one part; AdvUnlearn's wrapper calls the embeddings `embedding`.
    """
    own = "embeddings." + name.removeprefix("embedding.") if name.startswith("embedding.") else name
    return own, own.removeprefix("text_model."), f"text_model.{own}"


def _ignored(flat: Mapping[str, Tensor], found: States) -> tuple[str, ...]:
    kept = sum(map(len, found.values()))
    return tuple(name for name in flat if name.endswith(_NO_WEIGHTS)) if kept < len(flat) else ()


def _delta(raw: Mapping[str, Any], base: States, path: Path) -> VersionWeights:
    """Concept Ablation's `delta.bin`: {"unet": {...}, "text_encoder": {...}}."""
    states: dict[str, dict[str, Tensor]] = {}
    for component in base:
        held = raw.get(component)
        for name, tensor in state_dict_in(held, path, ()).flat.items() if isinstance(held, Mapping) else ():
            if not name.endswith(_NO_WEIGHTS):
                placed = _place(f"{component}.{name}", base, ())
                states.setdefault(component, {})[placed[1] if placed else name] = tensor
    rest = tuple(str(key) for key in raw if key not in states)
    notes = (f"not used of the file: {', '.join(rest[:5])}",) if rest else ()
    return VersionWeights("delta of " + " and ".join(states), states, ignored=rest, notes=notes)


def _ddpm_list(raw: list[Any] | tuple[Any, ...], path: Path, base: States, ema: bool) -> VersionWeights:
    """[model, optimiser, step, averaged model], names with `module.` before them."""
    # Parts without tensors by name (the optimiser, the step) fall out, so the average is the last that is left.
    dicts = [found for part in raw if (found := tensors_in(part))]
    if not dicts:
        raise CheckpointError("this list holds no tensors by name", where=str(path))
    averaged = len(dicts) > 1
    flat, _ = unwrapped_tensors(dicts[-1] if ema and averaged else dicts[0], path)
    notes = _which(ema, averaged)
    return VersionWeights(
        "DDPM list checkpoint",
        _placed(flat, base, path),
        ignored=("the rest of the list",),
        notes=notes,
        averaged=averaged,
    )


def _compvis(
    flat: Mapping[str, Tensor],
    path: Path,
    base: States,
    configs: Mapping[str, Mapping[str, Any]],
    ema: bool,
) -> VersionWeights:
    """A CompVis checkpoint, converted by diffusers; the trained weights, unless `ema` asks for their average."""
    names = [name for name in flat if name.startswith(COMPVIS_UNET)]
    # CompVis stores the average as buffers, whose names may hold no dots: `model_ema.` and the name without them.
    average = {name: _ema_name(name) for name in names}
    averaged = any(flat_name in flat for flat_name in average.values())
    unet: dict[str, Tensor] = {
        name: flat[average[name]] if ema and average[name] in flat else flat[name] for name in names
    }
    # diffusers' converter needs every tensor of a UNet; a partial file is renamed tensor by tensor.
    if len(unet) < len(base["unet"]):
        result = {"unet": _renamed(unet, base["unet"])}
    else:
        result = {
            "unet": _converted(single_file_utils.convert_ldm_unet_checkpoint, unet, configs, "unet", path)
        }
    notes = [*_which(ema, averaged)]
    result |= text_encoders(flat, base)
    if len(result) == 1 and any(name.startswith(CONDITIONS) for name in flat):
        notes.append("its text encoder has another layout and is not read: the base's is used")
    vae = {name: tensor for name, tensor in flat.items() if name.startswith(COMPVIS_VAE)}
    if vae and "vae" in base:
        converted = _converted(
            single_file_utils.convert_ldm_vae_checkpoint, vae, configs, "vae", path, base["vae"]
        )
        result["vae"] = {name: tensor for name, tensor in converted.items() if name in base["vae"]}
    used = (COMPVIS_UNET, COMPVIS_VAE, *(place.prefix for place in PLACES))
    rest = tuple(name for name in flat if not name.startswith(used))
    return VersionWeights("CompVis checkpoint", result, ignored=rest, notes=tuple(notes), averaged=averaged)


def _renamed(unet: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Part of a CompVis UNet (Concept Ablation's `delta.ckpt`) tensor by tensor; diffusers converts whole ones only."""
    layers = layers_of(base)
    names = {name.replace(".", "_"): name for name in base}
    result = {}
    for name, tensor in unet.items():
        module, _, leaf = name.removeprefix(COMPVIS_UNET).rpartition(".")
        own = names.get(f"{diffusers_name(module.replace('.', '_'), layers)}_{leaf}", name)
        like = base.get(own)
        # A 1 x 1 convolution and a linear layer are the same thing in two layouts.
        same = like is not None and tensor.numel() == like.numel() and len(tensor) == len(like)
        result[own] = tensor.reshape(like.shape) if same and like is not None else tensor
    return result


def _which(ema: bool, averaged: bool) -> tuple[str, ...]:
    """Which of two copies of the weights is used, where there are two."""
    if not averaged:
        return ()
    if ema:
        return ("the averaged (EMA) weights are used; `ema = false` selects the trained weights",)
    return (
        "the trained weights are used; the file also has averaged (EMA) weights: `ema = true` selects them",
    )


def _ema_name(name: str) -> str:
    return COMPVIS_EMA + name.removeprefix("model.").replace(".", "")


def _converted(
    convert: Callable[..., dict[str, Tensor]],
    tensors: dict[str, Tensor],
    configs: Mapping[str, Mapping[str, Any]],
    component: str,
    path: Path,
    like: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    try:
        found = convert(dict(tensors), dict(configs.get(component, {})))
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"its {component} cannot be converted to diffusers' layout of the base ({type(error).__name__}: {error})",
            where=str(path),
            how="Use the base that these weights were made from as the model's source",
        ) from error
    for name, tensor in found.items():
        # A 1 x 1 convolution and a linear layer are the same thing in two layouts.
        if like is not None and name in like and tensor.numel() == like[name].numel():
            found[name] = tensor.reshape(like[name].shape)
    return found


def _erasers(raw: Any) -> dict[str, dict[str, Tensor]]:
    if not isinstance(raw, Mapping) or not raw:
        return {}
    result = {str(name): tensors_in(part) for name, part in raw.items()}
    wanted = {"down.weight", "down.bias", "up.weight", "up.bias"}
    return result if all(set(part) == wanted for part in result.values()) else {}


def _with_erasers(erasers: Mapping[str, Mapping[str, Tensor]], path: Path, base: States) -> VersionWeights:
    names = base[denoiser_of(base)]
    unplaced = [
        place for place in erasers if not any(n.startswith(f"{place}.") and ".attn2." in n for n in names)
    ]
    if unplaced:
        raise _unexpected(unplaced, len(erasers), path)
    return VersionWeights(f"erasers after {len(erasers)} cross-attentions", {}, erasers=erasers)


def _checked(version: VersionWeights, path: Path, base: States) -> VersionWeights:
    total = sum(map(len, version.tensors.values()))
    unexpected = [
        name
        for component, tensors in version.tensors.items()
        for name in tensors
        if name not in base.get(component, {})
    ]
    if unexpected:
        raise _unexpected(unexpected, total, path)
    for component, tensors in version.tensors.items():
        for name, tensor in tensors.items():
            if tensor.shape != base[component][name].shape:
                raise CheckpointError(
                    f"{name} has the shape {tuple(tensor.shape)}, but {tuple(base[component][name].shape)} in the "
                    "base model",
                    where=str(path),
                    how="Use the base that these weights were made from as the model's source",
                )
    return version


def _unexpected(names: list[str], total: int, path: Path) -> CheckpointError:
    some = f", such as {sorted(names)[0]}" if names else ""
    return CheckpointError(
        f"{len(names)} of its {total} tensors are not in the base model{some}",
        where=str(path),
        how="Use the base that these weights were made from as the model's source",
    )
