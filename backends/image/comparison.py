"""Two loaded pipelines side by side: which tensors differ, by how much, and what else would change a picture.

Shared tensors are equal by being the same; only the others are compared number by number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from backends.checkpoints.loader_report import BlockChange, LoaderReport
from backends.image.checkpoints.version_shapes import VersionWeights

FAR = 0.8
"""Relative L2 from which it is doubtful that weights belong to this base; unrelated ones have about 1.4."""
SMALL = 0.3
"""Size beside the original's below which weights look like a difference."""
_SETTINGS = {"_use_default_values", "_name_or_path", "_diffusers_version", "_class_name"}


def loader_report(base: Any, pipe: Any, version: VersionWeights | None, rounded: int = 0) -> LoaderReport:
    """What of a pipeline differs from the base.

    Args:
        base: the original's pipeline.
        pipe: the model's.
        version: what was put into it; None for a folder of its own.
        rounded: tensors of a folder that were treated as the base's, as they differ by rounding only.
    """
    blocks: dict[tuple[str, str], list[float]] = {}
    moves: dict[tuple[str, str], list[float]] = {}
    changed = matched = added = 0
    states, own = _states(base), _states(pipe)
    for component, state in states.items():
        mine = own.get(component, {})
        for name, tensor in state.items():
            row = blocks.setdefault((component, block_of(name)), [0.0, 0.0, 0.0, 0.0])
            row[0] += tensor.numel()
            other = mine.get(name)
            matched += other is not None
            if other is None or other.shape != tensor.shape:
                continue
            row[3] += float(tensor.float().square().sum(dtype=torch.float64))
            if other.data_ptr() == tensor.data_ptr() or torch.equal(other, tensor):
                continue
            changed += 1
            row[1] += tensor.numel()
            apart = float((other.float() - tensor.float()).square().sum(dtype=torch.float64))
            row[2] += apart
            if tensor.ndim > 1:
                move = moves.setdefault((component, block_of(name)), [0.0, 0.0, 0.0])
                move[0] += apart
                move[1] += float(tensor.float().square().sum(dtype=torch.float64))
                move[2] += float(other.float().square().sum(dtype=torch.float64))
        added += sum(tensor.numel() for name, tensor in mine.items() if name not in state)
    if version is not None:
        matched, rounded = version.matched, version.rounded
    touched = [
        component for component, _ in blocks if any(b[1] for k, b in blocks.items() if k[0] == component)
    ]
    size = sum(len(states[component]) for component in dict.fromkeys(touched))
    return LoaderReport(
        shape=version.shape if version is not None else "pipeline folder",
        matched=matched,
        missing=max(0, size - matched),
        unchanged=0 if version is not None and version.erasers else max(0, matched - changed),
        changed=changed,
        added=added,
        parameters=int(sum(row[0] for row in blocks.values())),
        changed_parameters=int(sum(row[1] for row in blocks.values())),
        blocks=tuple(
            BlockChange(component, block, int(row[0]), int(row[1]), _ratio(row[2], row[3]))
            for (component, block), row in blocks.items()
            if row[1]
        ),
        differences=(*_doubts(moves, blocks), *differences(base, pipe)),
        notes=version.notes if version is not None else (),
        ignored=len(version.ignored) if version is not None else 0,
        rounded=rounded,
    )


def _doubts(
    moves: Mapping[tuple[str, str], list[float]], blocks: Mapping[tuple[str, str], list[float]]
) -> list[str]:
    """A warning where matrices are as far from the original's as those are large: no unlearning moves them so far.

    Closed-form edits (UCE) may move a few matrices as far, but neither those of most blocks nor a whole block.

    Args:
        moves: block -> squared norms of the difference, of the original and of the model, of the matrices that changed.
        blocks: block -> numbers, changed ones, squared norms of the difference and of the original, of the whole block.
    """
    far = {place: _ratio(move[0], move[1]) for place, move in moves.items() if _ratio(*move[:2]) >= FAR}
    if 2 * len(far) < len(moves):
        far = {place: ratio for place, ratio in far.items() if _ratio(*blocks[place][2:4]) >= FAR}
    if not far:
        return []
    (component, block), most = max(far.items(), key=lambda item: item[1])
    size = _ratio(sum(moves[each][2] for each in far), sum(moves[each][1] for each in far))
    what = (
        "typical of a task vector or of zeros"
        if size < SMALL
        else "typical of weights of another base model, or of a mask"
    )
    return [
        f"in {len(far)} of {len(moves)} changed blocks the difference to the original is about as large "
        f"as the matrices themselves, most in {component}.{block} (relative difference {most:.2f}, size "
        f"{size:.2f} of the original's): {what}, not an unlearned model"
    ]


def differences(base: Any, pipe: Any) -> tuple[str, ...]:
    """What beside the denoiser's and text encoder's weights makes pictures differ, in sentences."""
    result = []
    for name in base.components:
        left, right = base.components[name], pipe.components.get(name)
        if (left is None) != (right is None):
            result.append(f"only {'the original' if right is None else 'this model'} has a {name}")
        elif left is not None and type(left) is not type(right):
            result.append(f"its {name} is a {type(right).__name__}, the original's a {type(left).__name__}")
        elif name in ("scheduler", "vae"):
            result += _settings(name, left, right)
    base_types, types = _types(base), _types(pipe)
    if base_types != types:
        result.append(f"its weights are {' and '.join(types)}, the original's {' and '.join(base_types)}")
    left, right = _states(base).get("vae", {}), _states(pipe).get("vae", {})
    moved = sum(not torch.equal(left[name], right[name]) for name in left.keys() & right.keys())
    if moved:
        result.append(
            f"{moved} of the {len(left)} tensors of its VAE differ, so its pictures would differ in any case"
        )
    return tuple(result)


def block_of(name: str) -> str:
    """Block that a tensor belongs to: "down_blocks.0", "mid_block", "encoder.layers.3"."""
    parts = name.split(".")
    for place, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: place + 1])
    return parts[0]


def _settings(name: str, left: Any, right: Any) -> list[str]:
    ours, theirs = _plain(left.config), _plain(right.config)
    differing = [key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)]
    return [f"its {name} has {key} = {theirs.get(key)}, the original's {ours.get(key)}" for key in differing]


def _plain(config: Mapping[str, Any]) -> dict[str, str]:
    return {k: json.dumps(v, default=str) for k, v in dict(config).items() if k not in _SETTINGS}


def _types(pipe: Any) -> list[str]:
    result = {str(t.dtype).removeprefix("torch.") for s in _states(pipe).values() for t in s.values()}
    return sorted(result - {"int64"})


def _states(pipe: Any) -> dict[str, dict[str, Tensor]]:
    return {
        name: dict(part.state_dict()) for name, part in pipe.components.items() if isinstance(part, nn.Module)
    }


def _ratio(difference: float, size: float) -> float:
    return math.sqrt(difference / size) if size else (math.inf if difference else 0.0)
