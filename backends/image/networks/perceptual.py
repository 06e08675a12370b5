"""LPIPS distances between pictures, by the package of its authors where that is installed. It is never required."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from backends.checkpoints.load_lock import one_load_at_a_time
from backends.errors import CheckpointError
from backends.evidence import FloatArray
from backends.extras import install_command

SMALLEST = 64
"""Shorter side that pictures are enlarged to, pixels: what LPIPS was trained on; on fewer its poolings run dry."""

_BATCH = 8
_ONLY_TENSORS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class PerceptualDistances:
    """A `backends.image.networks.named.PictureDistances`.

    Args:
        model: takes two batches in -1..1, shape (B, 3, H, W); returns distances, shape (B, 1, 1, 1).
        device: where it runs.
    """

    def __init__(self, model: Any, device: str) -> None:
        self._model = model.eval().to(device)
        self._device = device

    @torch.inference_mode()
    def distances(self, left: Sequence[NDArray[np.uint8]], right: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """Shape (N,), of pictures of one size."""
        result = []
        for start in range(0, len(left), _BATCH):
            ours, theirs = (self._batch(side[start : start + _BATCH]) for side in (left, right))
            result.append(self._model(ours, theirs).reshape(-1).float().cpu().numpy())
        return np.concatenate(result).astype(np.float32) if result else np.zeros(0, np.float32)

    def _batch(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        height, width = images.shape[2:]
        if (short := min(height, width)) < SMALLEST:
            size = math.ceil(height * SMALLEST / short), math.ceil(width * SMALLEST / short)
            images = interpolate(images, size, mode="bilinear", align_corners=False)
        return images.to(self._device)


@one_load_at_a_time
def load_perceptual(name: str, device: str) -> PerceptualDistances:
    """LPIPS with that network ("alex"), version 0.1 of its weights.

    Raises:
        CheckpointError: the package is not installed, or the weights of its network are not available.
    """
    try:
        import lpips
    except (ImportError, RuntimeError) as error:  # a torchvision of another torch says RuntimeError
        missing = error.name or "lpips" if isinstance(error, ImportError) else ""
        why = f"of which {missing} is missing" if missing else "a torchvision that fits this torch"
        raise CheckpointError(
            f"LPIPS needs the packages lpips and torchvision, {why}",
            where="[features] lpips",
            how=f"Run `{install_command('lpips')}`, or remove the line",
        ) from error
    try:
        with _only_tensors():
            model = lpips.LPIPS(net=name, verbose=False)
    except (OSError, RuntimeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(
            f"the weights of LPIPS' network {name} are not available ({first})",
            where="[features] lpips",
            how="Download them once with torchvision, or remove the line",
        ) from error
    return PerceptualDistances(model, device)


@contextmanager
def _only_tensors() -> Iterator[None]:
    """Makes every `torch.load` restricted: torchvision would unpickle its networks' weights without restriction."""
    before = os.environ.get(_ONLY_TENSORS)
    os.environ[_ONLY_TENSORS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ONLY_TENSORS]
        else:
            os.environ[_ONLY_TENSORS] = before
