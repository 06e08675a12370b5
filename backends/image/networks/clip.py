"""CLIP's embeddings of pictures and prompts, as its projections give them: not normalised.

Weights are read from safetensors only, code of a folder is never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backends.checkpoints.tensors import read_json
from backends.errors import CheckpointError
from backends.evidence import FloatArray
from backends.image.checkpoints.fitting import load_whole
from backends.image.judges.classifiers import pooled
from backends.image.networks.named import CLIP, files_of

_BATCH = 32


class ClipFeatures:
    """A `backends.image.networks.named.PicturesAndTexts` around transformers' CLIP.

    Args:
        model: transformers' CLIPModel.
        processor: prepares pictures for it.
        tokenizer: prepares prompts; longer ones than the model takes are cut off.
        device: where it runs.
        notes: what loading it did, in sentences.
    """

    def __init__(
        self, model: Any, processor: Any, tokenizer: Any, device: str, notes: Sequence[str] = ()
    ) -> None:
        self.notes = tuple(notes)
        self._model = model.eval().to(device)
        self._processor = processor
        self._tokenizer = tokenizer
        self._device = device

    @torch.inference_mode()
    def images(self, pixels: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """Shape (N, D)."""
        result = []
        for start in range(0, len(pixels), _BATCH):
            batch = self._processor(images=list(pixels[start : start + _BATCH]), return_tensors="pt")
            result.append(self._array(self._model.get_image_features(**batch.to(self._device))))
        return np.concatenate(result)

    @torch.inference_mode()
    def texts(self, prompts: Sequence[str]) -> FloatArray:
        """Shape (N, D)."""
        limit = self._model.config.text_config.max_position_embeddings
        result = []
        for start in range(0, len(prompts), _BATCH):
            batch = self._tokenizer(
                list(prompts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            result.append(self._array(self._model.get_text_features(**batch.to(self._device))))
        return np.concatenate(result)

    def _array(self, output: Any) -> FloatArray:
        array: FloatArray = pooled(output).cpu().numpy().astype(np.float32)
        return array


def load_clip(source: str, device: str) -> ClipFeatures:
    """The CLIP model in a folder of transformers, or on the hub.

    Raises:
        CheckpointError: no CLIP, pickled weights, a damaged folder, or none at all.
    """
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    folder = files_of(CLIP, source)[0].parent
    how = "Name the folder or hub id of a CLIP model of transformers in `clip`, such as openai/clip-vit-large-patch14"
    kind = read_json(folder / "config.json").get("model_type")
    if kind != "clip":
        raise CheckpointError(f"this is not a CLIP model but {kind!r}", where=str(folder), how=how)
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, notes = load_whole(CLIPModel, folder, "CLIP model")
        processor = AutoImageProcessor.from_pretrained(folder, **safe)
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(
            f"transformers cannot load this CLIP model ({first})", where=str(folder), how=how
        ) from error
    return ClipFeatures(model, processor, tokenizer, device, notes)
