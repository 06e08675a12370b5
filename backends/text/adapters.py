"""PEFT adapters as files: which ones can be put beside others on one shared base, and which are refused in plain words.

Only plain LoRA keeps the promise that each row of a mixed batch is answered by its own adapter and that the base stays
the original. Knows nothing about loaded models, and needs neither torch nor peft.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.errors import CheckpointError
from backends.tensors import adapter_file, read_header, read_json

NOT_WEIGHTS = frozenset(
    {"base_model_name_or_path", "revision", "inference_mode", "peft_version", "task_type"}
)
"""Settings that change no answer."""
UNTIED = ("lm_head", "embed_out")
"""Output heads, which a base with tied embeddings does not store."""
_BEYOND_LORA: Mapping[str, str] = {
    "use_dora": "DoRA",
    "modules_to_save": "whole retrained layers (modules_to_save)",
    "trainable_token_indices": "retrained token embeddings (trainable_token_indices)",
    "layer_replication": "replicated layers (layer_replication)",
    "target_parameters": "adapted parameters outside of layers (target_parameters)",
    "alora_invocation_tokens": "activated LoRA (alora_invocation_tokens)",
    "arrow_config": "Arrow routing (arrow_config)",
    "use_bdlora": "block-diagonal LoRA (use_bdlora)",
    "use_qalora": "quantised LoRA (use_qalora)",
    "kasa_config": "KaSA (kasa_config)",
    "monteclora_config": "MonteCLoRA (monteclora_config)",
    "lora_bias": "biases of its own (lora_bias)",
}
_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_MERGE = "Merge it into its base with merge_and_unload, save that, and name the folder in `source`"


def adapter_settings(folder: Path) -> dict[str, Any]:
    """What `adapter_config.json` says.

    Raises:
        CheckpointError: it is missing, unreadable, or not of an adapter that can share its base.
    """
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise CheckpointError("this folder holds no PEFT adapter (no adapter_config.json)", where=str(folder))
    settings = read_json(path)
    kind = settings.get("peft_type")
    if kind != "LORA":
        named = f"an adapter of the type {kind}" if isinstance(kind, str) else "an adapter without peft_type"
        raise CheckpointError(f"{named} is not supported, only LORA is", where=str(path), how=_MERGE)
    beyond = next((words for name, words in _BEYOND_LORA.items() if settings.get(name)), None)
    if settings.get("bias", "none") != "none":
        beyond = "retrained biases of the base (bias)"
    start = settings.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_THE_BASE):
        beyond = f"a changed base (init_lora_weights={start})"
    if beyond:
        raise CheckpointError(
            f"this adapter comes with {beyond}, which cannot share a base with other models",
            where=str(path),
            how=_MERGE,
        )
    return settings


def check_adapter(folder: Path, base: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Refuses an adapter that would not load whole, or not onto this base.

    Args:
        folder: the PEFT folder.
        base: shapes of the base's tensors by name; empty where they are not known, and then only pairs are checked.
        name: name of the model, for the message.

    Raises:
        CheckpointError: in one sentence, which tensor does not fit and how to mend it.
    """
    adapter_settings(folder)
    where = f"{name}: {folder}"
    shapes = {key: info.shape for key, info in read_header(adapter_file(folder)).items()}
    if not shapes:
        raise CheckpointError("this adapter holds no tensors, so it changes nothing", where=where)
    for key, shape in shapes.items():
        other = next((key.replace(a, b) for a, b in _PARTNERS if a in key), None)
        if other is None:
            raise CheckpointError(
                f"the tensor {key[:120]} is no part of a LoRA adapter", where=where, how=_MERGE
            )
        if len(shape) < 2 or 0 in shape:
            raise CheckpointError(
                f"the tensor {key[:120]} is empty", where=where, how="Save the adapter again"
            )
        if other not in shapes:
            raise CheckpointError(
                f"the tensor {other[:120]} is missing", where=where, how="Save the adapter again"
            )
        if base and ".lora_A." in key:
            _check_layer(key, shape, shapes[other], base, where)


_PARTNERS = (
    (".lora_A.", ".lora_B."),
    (".lora_B.", ".lora_A."),
    (".lora_embedding_A", ".lora_embedding_B"),
    (".lora_embedding_B", ".lora_embedding_A"),
)


def _check_layer(
    key: str, down: tuple[int, ...], up: tuple[int, ...], base: Mapping[str, tuple[int, ...]], where: str
) -> None:
    layer = key.removeprefix("base_model.model.").split(".lora_")[0]
    found = _tensor_of(f"{layer}.weight", base)
    if found is None and layer.endswith(UNTIED):
        return
    # Conv1D layers, as in GPT-2, keep the transposed matrix.
    fits = found is not None and (up[0], *down[1:]) in (found, tuple(reversed(found)))
    if not fits or down[0] != up[1]:
        told = "no such layer" if found is None else f"shape {list(found)}"
        raise CheckpointError(
            f"this adapter was made for another base model: {layer}.weight has {told} there, "
            f"and the adapter {list(down)} and {list(up)}",
            where=where,
            how="Name the base it was trained on in `source`",
        )


def _tensor_of(name: str, base: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    """The base's tensor of that name; some bases are saved without the prefix of their body (`transformer.`)."""
    if name in base:
        return base[name]
    return next((base[short] for short in (name.partition(".")[2], f"model.{name}") if short in base), None)
