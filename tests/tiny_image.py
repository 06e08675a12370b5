"""Tiny random diffusion models in real diffusers folders, and a random judge, made in a fraction of a second."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from app.demo.image_model import build_pipeline, save_pipeline
from backends.image.folders import load_pipeline
from backends.image.judges import JudgeConfig, JudgeNet, save_judge

WORDS = ("cat", "rocket", "neon", "flat")
SIDE = 24


def write_tiny_pipeline(folder: Path, *, seed: int = 0) -> Path:
    """A random text-to-image pipeline for pictures of 24 x 24 pixels; the prompt may be 16 tokens long."""
    pipe = build_pipeline(WORDS, seed=seed, side=SIDE, channels=(8, 16), width=16, groups=4)
    save_pipeline(pipe, folder)
    return folder


def write_tiny_weights(
    path: Path, folder: Path, *, part: str = "attn2", prefix: str = "", by: float = 0.5
) -> Path:
    """Some of the UNet's weights of `folder`, moved by `by`, as ESD saves them."""
    unet = load_pipeline(folder, torch.float32).unet
    state = {prefix + name: tensor + by for name, tensor in unet.state_dict().items() if part in name}
    save_file(state, path)
    return path


def write_tiny_judge(
    folder: Path, *, domain: str = "object", classes: tuple[str, ...] = ("cat", "rocket", "none")
) -> Path:
    """An untrained judge."""
    torch.manual_seed(0)
    config = JudgeConfig(domain, classes, side=SIDE, channels=(4, 8))
    save_judge(config, JudgeNet(config), folder)
    return folder
