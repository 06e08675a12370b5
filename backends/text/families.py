"""One base model in memory with its adapters: loaded by transformers and PEFT, every refusal said in one sentence."""

from __future__ import annotations

import inspect
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BitsAndBytesConfig

from backends.checkpoints.adapters import adapter_form, check_adapter, shares_base
from backends.checkpoints.language_weights import load_module
from backends.checkpoints.load_lock import one_load_at_a_time
from backends.checkpoints.loader_report import LoadResult, refuse_incomplete
from backends.checkpoints.tensors import ADAPTER_WEIGHTS, adapter_file, read_header, read_json
from backends.checkpoints.wrapped_names import UnwrappedNames, unwrapped
from backends.errors import CheckpointError
from backends.study import Quantization
from backends.text.linear_layers import use_onednn
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

_AGAIN = re.compile(r"\.(modules_to_save|original_module)\.")
"""In names under which PEFT stores retrained layers a second time where embeddings were resized, too."""


@dataclass(slots=True)
class Family:
    """One loaded base with its adapters, and the tokenizer they share.

    Attributes:
        module: the base, with PEFT around it where there are adapters.
        tokenizer: of all of them.
        context: most tokens of a row.
        loaded: what reading the base did.
        adapters: model name -> PEFT's name of its adapter, where several share the base.
        parts: model name -> what putting its adapter or changed tensors on the base did.
        like: family and name of the model that has the same weights, where the module is not laid out as the
            original's (early exit, contrast); None where it is.
    """

    module: Any
    tokenizer: ChatTokenizer
    context: int
    loaded: LoadResult
    adapters: dict[str, str] = field(default_factory=dict)
    parts: dict[str, LoadResult] = field(default_factory=dict)
    like: tuple[Family, str] | None = None

    def __post_init__(self) -> None:
        if self.like is None:  # else its layers are those of a family that was laid out before
            use_onednn(self.module)


def load_family(folder: Path, device: str, dtype: torch.dtype, quantization: Quantization = "") -> Family:
    """The base model of a folder with its tokenizer, in memory.

    Raises:
        CheckpointError: transformers cannot load it.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        module, loaded = load_module(folder, dtype, _quantized(quantization, device, dtype))
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
    return Family(module, ChatTokenizer(tokenizer, ends), context, loaded)


def plain_base(
    families: dict[str, Family],
    folder: Path,
    device: str,
    dtype: torch.dtype,
    quantization: Quantization = "",
) -> str:
    """Key of a loaded base that no adapter is on: PEFT puts itself into the layers of the one it adapts."""
    key = f"{folder.resolve()} {quantization}".rstrip()
    if key in families and families[key].adapters:
        key += " alone"
    if key not in families:
        families[key] = load_family(folder, device, dtype, quantization)
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
    """Puts a plain LoRA adapter on a loaded base, beside others.

    Raises:
        CheckpointError: it does not fit, or is of a kind that needs a base of its own; the base may hold half of it
            and must be let go of.
    """
    if not shares_base(folder):
        raise CheckpointError(
            "this adapter changes more than plain LoRA does, so it cannot share a base with others",
            where=str(folder),
            how="Merge it into its base with merge_and_unload, save that, and name the folder in `source`",
        )
    adapter = f"a{len(family.adapters)}"  # PEFT forbids dots in adapter names; model names may hold them
    family.module, family.parts[name] = with_adapter(family.module, adapter, folder, name, device)
    family.adapters[name] = adapter


@one_load_at_a_time
def with_adapter(module: Any, adapter: str, folder: Path, name: str, device: str) -> tuple[Any, LoadResult]:
    """The module with a PEFT adapter on it, and what reading that did.

    Args:
        module: the base, or PEFT around it; changed in place.
        adapter: PEFT's name for it.
        folder: of the adapter.
        name: of the model, for messages.
        device: where the base is.

    Raises:
        CheckpointError: it does not fit; the module may hold half of it.
    """
    from peft import PeftModel  # late: it is slow to import, and models without adapters need nothing of it

    check_adapter(folder, {}, name)  # again: the files may have changed since the study was read
    names = unwrapped(read_header(adapter_file(folder)), str(folder))
    try:
        with warnings.catch_warnings(), _plainly_named(folder, names) as source:
            warnings.simplefilter("ignore", UserWarning)  # of missing tensors, which are refused below
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            if isinstance(module, PeftModel):
                module.load_adapter(str(source), adapter_name=adapter, torch_device=device)
            else:
                module = PeftModel.from_pretrained(
                    module, str(source), adapter_name=adapter, torch_device=device
                )
    except _UNFIT as error:
        raise CheckpointError(
            f"PEFT cannot put this adapter on the base ({_first_line(error)})",
            where=str(folder),
        ) from error
    loaded = _adapter_loaded(module, adapter, folder, names)
    refuse_incomplete(
        loaded,
        str(folder),
        "Check target_modules and rank in adapter_config.json, or save the adapter again",
    )
    module.eval().requires_grad_(False)
    return module, loaded


def _adapter_loaded(module: Any, adapter: str, folder: Path, names: UnwrappedNames) -> LoadResult:
    """What PEFT did: it only warns of tensors of the file that it left out, and of those that it made up."""
    from peft import get_peft_model_state_dict

    stored = set(names.names.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        held = set(get_peft_model_state_dict(module, adapter_name=adapter, save_embedding_layers=False))
    held |= stored & module.state_dict().keys()  # read into the base itself: biases, embeddings
    twice = {key for key in stored if _AGAIN.sub(".", key) in held & stored}
    shapes = {names.names[key]: info.shape for key, info in read_header(adapter_file(folder)).items()}
    return LoadResult(
        adapter_form(read_json(folder / "adapter_config.json"), shapes),
        len(stored & held),
        tuple(sorted(held - stored)),
        tuple(sorted(stored - held - twice)),
        wrappers=names.wrappers,
    )


@contextmanager
def _plainly_named(folder: Path, names: UnwrappedNames) -> Iterator[Path]:
    """The adapter's folder, or for as long as PEFT reads it a copy in which no name is wrapped."""
    if not names.wrappers:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary)
        tensors = load_file(adapter_file(folder))
        save_file({names.names[name]: tensor for name, tensor in tensors.items()}, copy / ADAPTER_WEIGHTS)
        shutil.copyfile(folder / "adapter_config.json", copy / "adapter_config.json")
        yield copy


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
