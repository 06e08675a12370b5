"""Tiny random diffusion models in real diffusers folders, and a random judge, made in a fraction of a second."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

from app.demo.image_model import build_pipeline, save_pipeline
from backends.image.checkpoints.folders import load_pipeline
from backends.image.judges.judges import JudgeConfig, JudgeNet, save_judge
from backends.interfaces import JudgedImage

WORDS = ("cat", "rocket", "neon", "flat")
SIDE = 24


def write_tiny_pipeline(folder: Path, *, seed: int = 0) -> Path:
    """A random text-to-image pipeline for pictures of 24 x 24 pixels; the prompt may be 16 tokens long."""
    pipe = build_pipeline(WORDS, seed=seed, side=SIDE, channels=(8, 16), width=16, groups=4)
    save_pipeline(pipe, folder)
    return folder


def tiny_clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's tokenizer with letters only; writes its files into a new folder."""
    letters = [*string.ascii_lowercase, *string.digits, *".,"]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    return tokenizer


def write_tiny_stable_diffusion(folder: Path, *, seed: int = 0) -> Path:
    """A random pipeline of Stable Diffusion 1's shape: CLIP text model, latents of an eighth of 64 pixels, PNDM."""
    torch.manual_seed(seed)
    tokenizer = tiny_clip_tokenizer(folder)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=16,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        sample_size=64,
    )
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_weights(
    path: Path, folder: Path, *, part: str = "attn2", prefix: str = "", by: float = 0.5
) -> Path:
    """Some of the UNet's weights of `folder`, moved by `by`, as ESD saves them."""
    unet = load_pipeline(folder, torch.float32).unet
    state = {prefix + name: tensor + by for name, tensor in unet.state_dict().items() if part in name}
    save_file(state, path)
    return path


def known(judged: Sequence[JudgedImage | None]) -> list[JudgedImage]:
    """Judgements of a judge that knows every picture."""
    found = [each for each in judged if each is not None]
    assert len(found) == len(judged)
    return found


def write_tiny_judge(
    folder: Path, *, domain: str = "object", classes: tuple[str, ...] = ("cat", "rocket", "none")
) -> Path:
    """An untrained judge."""
    torch.manual_seed(0)
    config = JudgeConfig(domain, classes, side=SIDE, channels=(4, 8))
    save_judge(config, JudgeNet(config), folder)
    return folder


def write_tiny_clip(folder: Path, *, seed: int = 0) -> Path:
    """A random CLIP of 32 x 32 pixels that embeds in 8 dimensions, with letters as its vocabulary."""
    torch.manual_seed(seed)
    tokenizer = tiny_clip_tokenizer(folder)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={**small, **ends, "vocab_size": len(tokenizer)},
        vision_config={**small, "image_size": 32, "patch_size": 8, "initializer_range": 0.5},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    size, crop = {"shortest_edge": 32}, {"height": 32, "width": 32}
    CLIPImageProcessor(size=size, crop_size=crop).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
