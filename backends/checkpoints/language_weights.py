"""Reading a language model's weights with transformers, and what that really did: nothing random is ever computed with.

transformers fills tensors that a checkpoint lacks with random values and goes on. Here the load says of every tensor
what became of it, and one that leaves anything out is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from backends.checkpoints.load_lock import one_load_at_a_time
from backends.checkpoints.loader_report import LoadResult, refuse_incomplete
from backends.checkpoints.tensors import TensorInfo, read_header, weight_files
from backends.checkpoints.wrapped_names import UnwrappedNames, unwrapped

MADE_BY_THE_MODEL = re.compile(
    r"(^|\.)(rotary_emb\.(inv_freq|cos_cached|sin_cached)|(attn|attention|attn\.attention)\.(masked_bias|bias)|"
    r"position_ids)$"
)
"""Tables and masks that older versions of transformers stored, and that every model makes itself."""
WHOLE_NUMBERS = frozenset({"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"})


@one_load_at_a_time
def load_module(folder: Path, dtype: torch.dtype, quantized: Mapping[str, Any]) -> tuple[Any, LoadResult]:
    """The model of a folder, and what reading it did.

    Args:
        folder: in transformers' form.
        dtype: of the weights in memory.
        quantized: what `from_pretrained` needs to quantise as it loads; empty for not at all.

    Raises:
        CheckpointError: a file is damaged, or tensors are missing, left over or with another shape.
        OSError, ValueError, ...: transformers cannot make a model of it.
    """
    infos = {name: info for file in weight_files(folder) for name, info in read_header(file).items()}
    names = unwrapped(infos, str(folder))
    with _without_report():
        module, found = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told apart from other errors, and refused below
            key_mapping=names.key_mapping,
            **quantized,
        )
    refuse_incomplete(
        _left_out(found, "whole model"), str(folder)
    )  # what is half read may not even say what it holds
    loaded = _what_happened(module, infos, names, quantized)
    refuse_incomplete(loaded, str(folder))
    return module, loaded


@one_load_at_a_time
def load_gguf(file: Path) -> Any:
    """The model of a GGUF file, dequantised to float32.

    Raises:
        CheckpointError: tensors are missing, left over or with another shape.
        OSError, ValueError, ...: transformers cannot make a model of it.
    """
    from transformers import GgufConfig

    with _without_report():
        module, found = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    refuse_incomplete(
        _left_out(found, "GGUF file"), str(file), "Copy or download the file again, or convert it again"
    )
    return module


def head_is_the_embedding(module: Any) -> bool:
    """Whether the output head is the same tensor as the embedding."""
    head, embedding = module.get_output_embeddings(), module.get_input_embeddings()
    return head is not None and head.weight is embedding.weight


def _what_happened(
    module: Any, infos: Mapping[str, TensorInfo], names: UnwrappedNames, quantized: Mapping[str, Any]
) -> LoadResult:
    """What became of the tensors of a model of which nothing was left out."""
    stored = {plain: infos[name] for name, plain in names.names.items()}
    ours = module.state_dict()
    ignored = tuple(sorted(name for name in stored if name not in ours and MADE_BY_THE_MODEL.search(name)))
    plain = not quantized and getattr(module.config, "quantization_config", None) is None
    whole = [
        f"{name} (whole numbers, {info.dtype})"
        for name, info in sorted(stored.items())
        if plain and info.dtype in WHOLE_NUMBERS and name in ours and ours[name].is_floating_point()
    ]
    tied = {
        name
        for name, source in module.all_tied_weights_keys.items()
        if not {name, name.removeprefix(f"{module.base_model_prefix}.")} & stored.keys() and source != name
    }
    return LoadResult(
        "whole model",
        len(stored) - len(ignored) - len(whole),
        other_shape=tuple(whole),
        ignored=ignored,
        wrappers=names.wrappers,
        tied=tuple(sorted(tied)),
        converted=_converted(stored, ours) if plain else (),
        notes=(*_head_notes(module), *_quantized_notes(module)),
    )


def _left_out(found: Mapping[str, Any], form: str) -> LoadResult:
    """Missing, unexpected and differently shaped tensors, as transformers tells of them; nothing else."""
    shapes = sorted(
        f"{name} ({_shape(stored)}, the model {_shape(ours)})"
        for name, stored, ours in found["mismatched_keys"]
    )
    unexpected = sorted(name for name in found["unexpected_keys"] if not MADE_BY_THE_MODEL.search(name))
    return LoadResult(form, 0, tuple(sorted(found["missing_keys"])), tuple(unexpected), tuple(shapes))


def _shape(shape: Any) -> str:
    return " x ".join(map(str, shape))


def _converted(stored: Mapping[str, TensorInfo], ours: Mapping[str, torch.Tensor]) -> tuple[str, ...]:
    types = {
        (info.dtype, str(ours[name].dtype).removeprefix("torch."))
        for name, info in stored.items()
        if name in ours and ours[name].is_floating_point()
    }
    long = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    return tuple(f"{old} to {new}" for old, new in sorted(types) if long.get(old, old) != new)


def _head_notes(module: Any) -> tuple[str, ...]:
    wanted = getattr(module.config.get_text_config(), "tie_word_embeddings", False)
    if not wanted or module.get_output_embeddings() is None or head_is_the_embedding(module):
        return ()
    return (
        "config.json ties the output head to the embedding, but both are stored and differ: both are used as stored",
    )


def _quantized_notes(module: Any) -> tuple[str, ...]:
    kinds = [type(part).__name__ for part in module.modules()]
    small = [name for name in kinds if name in ("Linear4bit", "Linear8bitLt")]
    return (f"{len(small)} linear layers are quantised ({small[0]})",) if small else ()


@contextmanager
def _without_report() -> Iterator[None]:
    """Without transformers' table of tensors: what is in it is told here, in one sentence."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
