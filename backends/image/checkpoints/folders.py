"""Reads a diffusers pipeline folder, safely: safetensors only, no code from the folder, no network."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.auto_pipeline import (
    AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
    AUTO_INPAINT_PIPELINES_MAPPING,
    AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
)
from safetensors import SafetensorError

from backends.checkpoints.load_lock import one_load_at_a_time
from backends.checkpoints.tensors import read_header, weight_files
from backends.errors import CheckpointError
from backends.image.patch_pipeline import PatchDiffusionPipeline

OWN_PIPELINES = {"PatchDiffusionPipeline": PatchDiffusionPipeline}
"""Pipelines that diffusers does not know, by the class name in `model_index.json`."""

_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_VARIANT = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)\.(?P<variant>[a-z]\w*)(?:-\d{5}-of-\d{5})?\.safetensors$"
)

ASKED_BY = {"prompt", "class_labels", "batch_size"}
"""What a pipeline can be asked by: a text, classes, or only how many pictures it should make from noise."""


@one_load_at_a_time
def load_pipeline(folder: Path, dtype: torch.dtype) -> Any:
    """The pipeline of a folder, on the processor.

    Raises:
        CheckpointError: no pipeline, no text-to-image pipeline, pickles, or a damaged folder.
    """
    weight_files(folder)
    variant = _variant(folder)
    try:
        index = json.loads((folder / "model_index.json").read_text())
        name = index["_class_name"]
        # A folder may name [file, class] of its own; such code is never run.
        if not isinstance(name, str):
            raise CheckpointError("it has custom pipeline code, which is not run", where=str(folder))
        loader = OWN_PIPELINES.get(name, DiffusionPipeline)
        pipe = loader.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            **({"variant": variant} if variant else {}),
            **_left_out(index),
        )
    except CheckpointError:
        raise
    except (
        *(
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RuntimeError,
            ImportError,
            SafetensorError,
        ),
    ) as error:
        raise CheckpointError(
            f"diffusers cannot load this pipeline ({_first_line(error)})",
            where=str(folder),
            how="Check that the folder was saved whole with save_pretrained",
        ) from error
    if not ASKED_BY & inspect.signature(pipe.__call__).parameters.keys():
        raise CheckpointError(
            f"{type(pipe).__name__} does not generate pictures from text, from class labels or from noise alone",
            where=str(folder),
        )
    if _needs_a_picture(pipe):
        raise CheckpointError(
            f"{type(pipe).__name__} is an image-to-image pipeline, not text-to-image",
            where=str(folder),
            how="Save the model as the text-to-image pipeline of its family",
        )
    if getattr(pipe, "safety_checker", None) is not None:
        # It blackens pictures, and it is no part of what a model learned or forgot.
        pipe.register_modules(safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def stored_types(folder: Path) -> dict[str, torch.dtype]:
    """Component -> type in which its files hold floating-point weights, the widest where they hold several."""
    types: dict[str, torch.dtype] = {}
    for file in sorted(folder.glob("*/*.safetensors")):
        for info in read_header(file).values():
            kind = _TYPES.get(info.dtype)
            if kind is not None and kind.itemsize >= types.get(file.parent.name, kind).itemsize:
                types[file.parent.name] = kind
    return types


def _variant(folder: Path) -> str:
    """Variant ("fp16") that a component has weights of only; "" where all have plain ones."""
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        match = [_VARIANT.match(file.name) for file in sorted(part.glob("*.safetensors"))]
        if match and all(each is not None for each in match):
            return next(each["variant"] for each in match if each is not None)
    return ""


def _left_out(index: Mapping[str, Any]) -> dict[str, None]:
    """Text encoders that a folder was saved without, as SD 3 often is; diffusers wants to be told so once more.

    Only these: a folder without its denoiser is damaged, and is refused while it is loaded.
    """
    parts = ("text_encoder", "tokenizer")
    return {name: None for name, kind in index.items() if name.startswith(parts) and kind == [None, None]}


def _needs_a_picture(pipe: Any) -> bool:
    """Control nets, and pipelines that diffusers lists as image-to-image or inpainting only."""
    wanted = inspect.signature(pipe.__call__).parameters
    if "controlnet" in pipe.components or "control_image" in wanted:
        return True
    others = {*AUTO_IMAGE2IMAGE_PIPELINES_MAPPING.values(), *AUTO_INPAINT_PIPELINES_MAPPING.values()}
    return type(pipe) in others - set(AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
