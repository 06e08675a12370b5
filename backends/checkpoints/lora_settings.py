"""How strongly a low-rank adapter acts, as its file or folder says: alpha, patterns of alpha, rank-stabilised scaling.

kohya's scripts write an alpha for every module among the tensors. diffusers writes the settings of PEFT into the
safetensors metadata, PEFT into `adapter_config.json` beside them. Without any of these alpha is the rank.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.checkpoints.tensors import read_header, read_json, safetensors_metadata
from backends.errors import CheckpointError
from backends.files.plain import number

METADATA_KEY = "lora_adapter_metadata"
"""Where diffusers' `save_lora_weights` and `save_lora_adapter` put PEFT's settings, as JSON."""
MAGNITUDE = re.compile(r"\.(?:dora_scale|lora_magnitude_vector(?:\.[A-Za-z]\w*?)?(?:\.weight)?)$")
"""Ends of the names of DoRA's magnitudes."""
_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """Settings of one component's adapter.

    Attributes:
        alpha: of all modules that no pattern names.
        patterns: end of a module's name, or a regular expression for it -> alpha.
        rank_stabilised: divide by the square root of the rank (Kalajdzievski 2023), not by the rank.
        source: where the settings stand, in words.
    """

    alpha: float
    patterns: Mapping[str, float] = field(default_factory=dict)
    rank_stabilised: bool = False
    source: str = ""

    def scale(self, module: str, rank: int) -> float:
        """What up @ down is multiplied by in a module of that name and rank, as PEFT works it out."""
        from peft.utils.other import get_pattern_key

        alpha = self.patterns.get(get_pattern_key(list(self.patterns), module), self.alpha)
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


def lora_settings(path: Path) -> dict[str, LoraSettings]:
    """Settings by component ("" where the file does not say which); {} where none are stated.

    Args:
        path: the adapter's file, or the folder that holds it.

    Raises:
        CheckpointError: the settings are damaged, or say what the weights alone do not give.
    """
    folder = path if path.is_dir() else path.parent
    beside = folder / "adapter_config.json"
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    stated = [found for file in files if (found := _stated(file))]
    if stated:
        return {
            part: _settings(values, files[0], "the file's metadata") for part, values in stated[0].items()
        }
    if beside.is_file() and all(file.name.startswith("adapter_model") for file in files):
        return {"": _settings(read_json(beside), beside, "adapter_config.json")}
    return {}


def stated_strength(path: Path) -> list[object]:
    """What of an adapter's strength is not in its low-rank tensors, as plain values; [] for all other weights.

    Part of a model's identity: the same tensors with another alpha are another model.
    """
    file = next(iter(sorted(path.glob("*.safetensors"))), path) if path.is_dir() else path
    if file.suffix != ".safetensors" or not file.is_file():
        return []
    found: list[object] = [
        [part, each.alpha, sorted(each.patterns.items()), each.rank_stabilised]
        for part, each in sorted(lora_settings(path).items())
    ]
    magnitudes = any(MAGNITUDE.search(name) for name in read_header(file))
    return found + (["DoRA"] if magnitudes else [])


def _stated(file: Path) -> dict[str, dict[str, Any]]:
    """PEFT's settings in a file's metadata, by component."""
    text = safetensors_metadata(file).get(METADATA_KEY) if file.suffix == ".safetensors" else None
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(file) from error
    if not isinstance(values, dict):
        raise _damaged(file)
    result: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        part, dot, key = str(name).partition(".")
        owner, own = (part, key) if dot else ("", part)
        result.setdefault(owner, {})[own] = value
    return result


def _settings(values: Mapping[str, Any], where: Path, source: str) -> LoraSettings:
    kind = values.get("peft_type", "LORA")
    start = values.get("init_lora_weights")
    if str(kind).upper().rpartition(".")[2] != "LORA":
        raise CheckpointError(
            f"an adapter of the type {str(kind)[:40]} is not supported, only LoRA is",
            where=str(where),
            how="Merge it with the tool that made it, and save the changed tensors",
        )
    if isinstance(start, str) and start.lower().startswith(_CHANGES_THE_BASE):
        raise CheckpointError(
            f"it was trained on a changed base (init_lora_weights = {start[:40]}), so its tensors alone do not define "
            "the model",
            where=str(where),
            how="Merge it with PEFT, and save the changed tensors",
        )
    patterns = values.get("alpha_pattern") or {}
    alpha = number(values.get("lora_alpha", 8))  # PEFT's default, which it leaves out of no file
    alphas = (
        {str(key): number(value) for key, value in patterns.items()} if isinstance(patterns, dict) else {}
    )
    if math.isnan(alpha) or any(map(math.isnan, alphas.values())) or not isinstance(patterns, dict):
        raise _damaged(where)
    return LoraSettings(alpha, alphas, bool(values.get("use_rslora")), source)


def _damaged(where: Path) -> CheckpointError:
    return CheckpointError(
        "its settings (lora_alpha, alpha_pattern) cannot be read",
        where=str(where),
        how="Save the adapter again with the tool that made it",
    )
