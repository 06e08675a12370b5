"""One base model in memory with its adapters: loaded by transformers and PEFT, every refusal said in one sentence."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from backends.errors import CheckpointError
from backends.study import Quantization
from backends.tensors import adapter_file, read_header
from backends.text.adapters import check_adapter
from backends.text.tokens import ChatTokenizer

_UNFIT = (
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    TypeError,
    AttributeError,
    ImportError,
    SafetensorError,
)
"""What transformers and PEFT raise about files that they cannot make a model of."""


@dataclass(slots=True)
class Family:
    """One loaded base with its adapters, and the tokenizer they share."""

    module: Any
    tokenizer: ChatTokenizer
    context: int
    adapters: dict[str, str] = field(default_factory=dict)  # model name -> PEFT adapter name


def load_family(folder: Path, device: str, dtype: torch.dtype, quantization: Quantization = "") -> Family:
    """The base model of a folder with its tokenizer, in memory.

    Raises:
        CheckpointError: transformers cannot load it.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        module = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            **_quantized(quantization, device, dtype),
        )
    except _UNFIT as error:
        raise CheckpointError(
            f"transformers cannot load this model ({_first_line(error)})", where=str(folder)
        ) from error
    if "logits_to_keep" not in inspect.signature(module.forward).parameters:
        raise CheckpointError(
            f"{type(module).__name__} cannot restrict its output head to the answer (no logits_to_keep)",
            where=str(folder),
        )
    if not quantization:  # bitsandbytes has put it there already, and lets nobody move it
        module.to(device)
    module.eval().requires_grad_(False)
    end = module.generation_config.eos_token_id if module.generation_config else None
    ends = frozenset(end if isinstance(end, list) else [end] if end is not None else [])
    context = int(getattr(module.config, "max_position_embeddings", 0) or 2**31)
    return Family(module, ChatTokenizer(tokenizer, ends), context)


def plain_base(families: dict[str, Family], folder: Path, device: str, dtype: torch.dtype) -> str:
    """Key of a loaded base that no adapter is on: PEFT puts itself into the layers of the one it adapts."""
    key = f"{folder.resolve()}"
    if key in families and families[key].adapters:
        key += " alone"
    if key not in families:
        families[key] = load_family(folder, device, dtype)
    return key


def _quantized(quantization: Quantization, device: str, dtype: torch.dtype) -> dict[str, Any]:
    """What `from_pretrained` needs to quantise the linear layers as it loads them; nothing for none.

    NF4 as in QLoRA (Dettmers et al. 2023), computed in `dtype`; int8 as in LLM.int8() (Dettmers et al. 2022), whose
    products are in float16 whatever the rest is.
    """
    if not quantization:
        return {}
    settings = (
        BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
        if quantization == "nf4"
        else BitsAndBytesConfig(load_in_8bit=True)
    )
    return {"quantization_config": settings, "device_map": {"": device}}


def attach(family: Family, name: str, folder: Path, device: str) -> None:
    """Puts an adapter on a loaded base.

    Raises:
        CheckpointError: it does not fit; the base may hold half of it and must be let go of.
    """
    check_adapter(folder, {}, name)  # again: the files may have changed since the study was read
    adapter = f"a{len(family.adapters)}"  # PEFT forbids dots in adapter names; model names may hold them
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of missing tensors, which are refused below
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            if not family.adapters:
                family.module = PeftModel.from_pretrained(
                    family.module, str(folder), adapter_name=adapter, torch_device=device
                )
            else:
                family.module.load_adapter(str(folder), adapter_name=adapter, torch_device=device)
    except _UNFIT as error:
        raise CheckpointError(
            f"PEFT cannot put this adapter on the base ({_first_line(error)})",
            where=str(folder),
        ) from error
    _check_loaded(family.module, adapter, folder)
    family.module.eval().requires_grad_(False)
    family.adapters[name] = adapter


def _check_loaded(module: Any, adapter: str, folder: Path) -> None:
    """Raises CheckpointError where PEFT left out tensors of the file or made some up: it only warns of either."""
    loaded = set(get_peft_model_state_dict(module, adapter_name=adapter, save_embedding_layers=False))
    stored = set(read_header(adapter_file(folder)))
    for names, told in ((stored - loaded, "has no place on the base"), (loaded - stored, "is missing")):
        if names:
            raise CheckpointError(
                f"the adapter's tensor {min(names)[:120]} {told}",
                where=str(folder),
                how="Check target_modules and rank in adapter_config.json, or save the adapter again",
            )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
