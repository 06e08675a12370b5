"""Which device and number format models use: CUDA, then Apple's MPS, then the CPU, chosen by what is there."""

from __future__ import annotations

import os


def pick_device() -> str:
    """Name of the device: "cuda", "mps" or "cpu"; `UNLEARNBOARD_DEVICE` overrides."""
    chosen = os.environ.get("UNLEARNBOARD_DEVICE", "")
    if chosen:
        return chosen
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype() -> str:
    """float32 unless `UNLEARNBOARD_DTYPE` says otherwise: devices then agree, and CPUs are quickest."""
    return os.environ.get("UNLEARNBOARD_DTYPE", "float32")
