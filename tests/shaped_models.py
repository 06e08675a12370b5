"""Random models of the shapes of real ones, for benchmarks and for checks on a card: no download, real sizes."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from tests.tiny_image import tiny_clip_tokenizer


def write_stable_diffusion_1(folder: Path, narrower: int, device: str = "cpu") -> None:
    """A random pipeline with SD 1.4's configuration, its widths divided; stored in bfloat16.

    Args:
        folder: that is written.
        narrower: what the widths are divided by, 1 or 4.
        device: where the weights are drawn, before they are written.
    """
    widths = tuple(width // narrower for width in (320, 640, 1280, 1280))
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            unet = UNet2DConditionModel(
                sample_size=64,
                block_out_channels=widths,
                cross_attention_dim=768 // narrower,
                attention_head_dim=8,
                norm_num_groups=16,
            )
            text = CLIPTextConfig(
                vocab_size=49408,
                hidden_size=768 // narrower,
                intermediate_size=3072 // narrower,
                num_hidden_layers=12,
                num_attention_heads=12,
            )
            encoder = CLIPTextModel(text)
            vae = AutoencoderKL(
                block_out_channels=tuple(width // narrower for width in (128, 256, 512, 512)),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=2,
                norm_num_groups=16,
            )
    finally:
        torch.set_default_dtype(torch.float32)
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tiny_clip_tokenizer(folder),
        unet=unet,
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
