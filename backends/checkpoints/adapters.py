"""PEFT adapters as files: which ones share one base with others, which need a copy of it, and which are refused.

Plain LoRA keeps the promise that each row of a mixed batch is answered by its own adapter and that the base stays the
original. Every other kind that PEFT loads exactly goes on a copy of the base that shares all tensors which the adapter
leaves alone. Knows nothing about loaded models, and needs neither torch nor peft.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from backends.checkpoints.tensors import adapter_file, nested_hint, read_header, read_json
from backends.checkpoints.wrapped_names import unwrapped
from backends.errors import CheckpointError

NOT_WEIGHTS = frozenset(
    {"base_model_name_or_path", "revision", "inference_mode", "peft_version", "task_type"}
)
"""Settings that change no answer."""
UNTIED = ("lm_head", "embed_out")
"""Output heads, which a base with tied embeddings does not store."""
PREFIX = "base_model.model."
"""What PEFT puts before the names of the base's tensors."""
_EXACT = frozenset({"LORA", "IA3", "ADALORA", "LOHA", "LOKR", "OFT", "VERA", "LN_TUNING", "TRAINABLE_TOKENS"})
"""Types of adapters that PEFT loads exactly and that keep to tensors: no virtual tokens, which change the prompt."""
_ON_A_COPY = ("use_dora", "modules_to_save", "trainable_token_indices", "lora_bias")
"""Settings of LoRA that change more than products of two small matrices."""
_INEXACT: Mapping[str, str] = {
    "layer_replication": "replicated layers (layer_replication)",
    "target_parameters": "adapted parameters outside of layers (target_parameters)",
    "alora_invocation_tokens": "activated LoRA (alora_invocation_tokens)",
    "arrow_config": "Arrow routing (arrow_config)",
    "use_bdlora": "block-diagonal LoRA (use_bdlora)",
    "use_qalora": "quantised LoRA (use_qalora)",
    "kasa_config": "KaSA (kasa_config)",
    "monteclora_config": "MonteCLoRA (monteclora_config)",
}
_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_MERGE = "Merge it into its base with merge_and_unload, save that, and name the folder in `source`"
_EMBEDDINGS = re.compile(
    r"(^|\.)(embed_tokens|lm_head|wte|word_embeddings|embed_in|embed_out)(\.base_layer)?\.weight$"
)


def adapter_settings(folder: Path) -> dict[str, Any]:
    """What `adapter_config.json` says.

    Raises:
        CheckpointError: it is missing, unreadable, or of an adapter that cannot be loaded exactly.
    """
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise CheckpointError(
            "this folder holds no PEFT adapter (no adapter_config.json)",
            where=str(folder),
            how=nested_hint(folder, path.name),
        )
    settings = read_json(path)
    kind = settings.get("peft_type")
    if kind not in _EXACT:
        named = f"an adapter of the type {kind}" if isinstance(kind, str) else "an adapter without peft_type"
        raise CheckpointError(
            f"{named} is not supported, only {', '.join(sorted(_EXACT))} are", where=str(path), how=_MERGE
        )
    beyond = next((words for name, words in _INEXACT.items() if settings.get(name)), None)
    start = settings.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_THE_BASE):
        beyond = f"a changed base (init_lora_weights={start})"
    if beyond:
        raise CheckpointError(
            f"this adapter uses {beyond}, which cannot be loaded exactly", where=str(path), how=_MERGE
        )
    return settings


def shares_base(folder: Path) -> bool:
    """Whether the adapter is plain LoRA, which shares its base with others; any other kind goes on a copy.

    Raises:
        CheckpointError: see `adapter_settings`; or its weights cannot be read.
    """
    settings = adapter_settings(folder)
    plain = settings["peft_type"] == "LORA" and not any(settings.get(name) for name in _ON_A_COPY)
    names = unwrapped(read_header(adapter_file(folder)), str(folder)).names.values()
    return plain and settings.get("bias", "none") == "none" and not embeddings_in(names)


def embeddings_in(names: Iterable[str]) -> list[str]:
    """Those of an adapter's tensors that are whole embeddings or output heads, as PEFT stores resized ones."""
    return [name for name in names if _EMBEDDINGS.search(name)]


def adapter_form(settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What an adapter is, in words: "LoRA adapter of rank 8 and alpha 16 on 24 modules (1,327,104 parameters)".

    Args:
        settings: of the adapter.
        shapes: of its tensors by name.
    """
    kind = str(settings["peft_type"])
    kinds = {"LORA": "DoRA" if settings.get("use_dora") else "LoRA", "ADALORA": "AdaLoRA"}
    ranks = sorted(
        {shape[0] for name, shape in shapes.items() if ".lora_A." in name or "embedding_A" in name}
    )
    rank = f" of rank {' to '.join(map(str, dict.fromkeys((ranks[0], ranks[-1]))))}" if ranks else ""
    alpha = settings.get("lora_alpha")
    scale = f" and alpha {alpha}" if ranks and alpha is not None else ""
    mark = re.compile(r"\.(lora|ia3|hada|lokr|oft|vera|trainable_tokens|token_adapter)_?")
    modules = {mark.split(name)[0] for name in shapes}
    count = sum(math.prod(shape) for shape in shapes.values())
    more = [name for name in ("modules_to_save", "trainable_token_indices") if settings.get(name)]
    more += ["biases"] if settings.get("bias", "none") != "none" else []
    more += ["resized embeddings"] if embeddings_in(shapes) and "modules_to_save" not in more else []
    beside = f", with {' and '.join(more)}" if more else ""
    return f"{kinds.get(kind, kind)} adapter{rank}{scale} on {len(modules)} modules ({count:,} parameters){beside}"


def base_note(settings: Mapping[str, Any], source: str, folder: Path) -> str:
    """A sentence where the adapter says that it was trained on another model than it is put on; "" where it does not.

    Args:
        settings: of the adapter.
        source: of the base, as the study names it.
        folder: of the base.
    """
    said = settings.get("base_model_name_or_path")
    if not isinstance(said, str) or not said.strip():
        return ""
    config = folder / "config.json"
    own = read_json(config).get("_name_or_path") if config.is_file() else None
    names = {_plain_name(name) for name in (source, str(folder), own) if isinstance(name, str) and name}
    return "" if _plain_name(said) in names else f"trained on {said[:120]}, loaded on {source[:120]}"


def _plain_name(source: str) -> str:
    """The name of a model whatever its owner, folder or file is: "smollm2-135m-instruct"."""
    parts = [part for part in re.split(r"[/\\]", source.strip()) if part]
    hub = [part for part in parts if part.startswith("models--")]
    name = hub[-1].rpartition("--")[2] if hub else parts[-1] if parts else ""
    if re.fullmatch(r"(checkpoint|step|epoch)[-_]?\d+", name) and len(parts) > 1:
        name = f"{parts[-2]}-{name}"
    name = re.sub(r"\.gguf$", "", name.lower())
    name = re.sub(r"-[0-9a-f]{12}$", "", name)  # a GGUF file converted into the cache
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"[-.](i?q\d\w*|b?f(16|32))$", "", name))


def check_adapter(folder: Path, base: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Refuses an adapter that would not load whole, or not onto this base.

    Args:
        folder: the PEFT folder.
        base: shapes of the base's tensors by name; empty where they are not known, and then only pairs are checked.
        name: name of the model, for the message.

    Raises:
        CheckpointError: in one sentence, which tensor does not fit and how to mend it.
    """
    alone = not shares_base(folder)
    where = f"{name}: {folder}"
    header = read_header(adapter_file(folder))
    names = unwrapped(header, where).names
    shapes = {names[key]: info.shape for key, info in header.items()}
    if not shapes:
        raise CheckpointError("this adapter holds no tensors, so it changes nothing", where=where)
    stored = {key.removeprefix(PREFIX).split(".base_layer")[0] for key in embeddings_in(shapes)}
    stored = {layer.removesuffix(".weight") for layer in stored}
    for key, shape in shapes.items():
        other = next((key.replace(a, b) for a, b in _PARTNERS if a in key), None)
        if alone and (other is None or key.endswith(".bias")):
            continue  # what it is to be is PEFT's to say when it is loaded
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
        resized = alone and key.removeprefix(PREFIX).split(".lora_")[0].endswith(tuple(stored))
        if base and ".lora_A." in key and not resized:
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
    layer = key.removeprefix(PREFIX).split(".lora_")[0]
    found = _tensor_of(f"{layer}.weight", base)
    if found is None and layer.endswith(UNTIED):
        return
    # Conv1D layers, as in GPT-2, keep the transposed matrix.
    fits = found is not None and (up[0], *down[1:]) in (found, tuple(reversed(found)))
    if not fits or down[0] != up[1]:
        told = "no such layer" if found is None else f"shape {list(found)}"
        raise CheckpointError(
            f"this adapter was trained on another base model: {layer}.weight has {told} there, "
            f"and the adapter {list(down)} and {list(up)}",
            where=where,
            how="Use the base it was trained on as `source`",
        )


def _tensor_of(name: str, base: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    """The base's tensor of that name; some bases are saved without the prefix of their body (`transformer.`)."""
    if name in base:
        return base[name]
    return next((base[short] for short in (name.partition(".")[2], f"model.{name}") if short in base), None)
