"""A model of a study as an attacker would train on it: one plain module, whatever it is made of, in float32."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from backends.checkpoints.load_lock import one_load_at_a_time
from backends.errors import StudyError
from backends.study import ModelSpec
from backends.text.loaded_families import LoadedFamilies
from backends.text.tokens import ChatTokenizer


@one_load_at_a_time
def frozen(spec: ModelSpec, device: str) -> tuple[Any, ChatTokenizer]:
    """The model with its adapter merged into it, no weight of it trained, and its tokenizer.

    Raises:
        CheckpointError: it does not load.
        StudyError: it is quantised.
    """
    if spec.quantization:
        raise StudyError(
            "quantised weights are not trained", where=spec.name, how="Name the model in full precision"
        )
    loaded = LoadedFamilies(device, torch.float32)
    loaded.add(spec)
    family = loaded.families[loaded.family_of[spec.name]]
    module: Any = family.module
    if hasattr(module, "peft_config"):
        if spec.name in family.adapters:
            module.set_adapter(family.adapters[spec.name])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            module = module.merge_and_unload()
    return module.requires_grad_(False), family.tokenizer
