"""Which device and number format models use: CUDA, then Apple's MPS, then the CPU, chosen by what is there."""

from __future__ import annotations

import os

from backends.errors import ModelError


def pick_device(wanted: str | None = None) -> str:
    """Name of the device: "cuda", "mps" or "cpu"; `wanted`, else `UNLEARNBOARD_DEVICE`, overrides.

    Raises:
        ModelError: the device that was asked for is not there.
    """
    import torch

    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    chosen = wanted or os.environ.get("UNLEARNBOARD_DEVICE", "")
    if chosen and not here.get(device_kind(chosen), False):
        raise ModelError(
            f"the device {chosen} is not available here, only {' and '.join(d for d in here if here[d])}",
            where="--device or UNLEARNBOARD_DEVICE",
            how="Remove it to use the best available device",
        )
    return chosen or next(device for device in here if here[device])


def device_kind(device: str) -> str:
    """What a device is, without its number: "cuda" of "cuda:1"."""
    return device.partition(":")[0]


def without_tf32() -> None:
    """Products and convolutions in float32 are in float32 on CUDA, too: evidence of the CPU and of CUDA has one key."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def pick_dtype() -> str:
    """float32 unless `UNLEARNBOARD_DTYPE` says otherwise: devices then agree, and CPUs are quickest."""
    return os.environ.get("UNLEARNBOARD_DTYPE", "float32")
