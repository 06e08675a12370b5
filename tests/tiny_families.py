"""Tiny random pipelines of the families after Stable Diffusion 1: SD 2, SDXL, SD 3 and Flux, in real folders."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from tests.tiny_image import tiny_clip_tokenizer

WIDTH = 16
"""Width of every text encoder."""


def write_tiny_sd2(folder: Path) -> Path:
    """SD 2's shape: a text encoder as OpenCLIP has it (GELU), v-prediction, linear projections."""
    torch.manual_seed(0)
    tokenizer = tiny_clip_tokenizer(folder / "tokenizer")
    pipe = StableDiffusionPipeline(
        vae=tiny_vae(4),
        text_encoder=CLIPTextModel(tiny_clip_config(tokenizer, hidden_act="gelu")),
        tokenizer=tokenizer,
        unet=tiny_unet(cross_attention_dim=WIDTH, attention_head_dim=(2, 4), use_linear_projection=True),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_sdxl(folder: Path) -> Path:
    """SDXL's shape: two text encoders side by side, one of them pooled, and the picture's size as a condition."""
    torch.manual_seed(0)
    first = tiny_clip_tokenizer(folder / "tokenizer")
    second = tiny_clip_tokenizer(folder / "tokenizer_2")
    pipe = StableDiffusionXLPipeline(
        vae=tiny_vae(4),
        text_encoder=CLIPTextModel(tiny_clip_config(first)),
        text_encoder_2=CLIPTextModelWithProjection(
            tiny_clip_config(second, hidden_act="gelu", projection_dim=WIDTH)
        ),
        tokenizer=first,
        tokenizer_2=second,
        unet=tiny_unet(
            cross_attention_dim=2 * WIDTH,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        ),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_sd3(folder: Path) -> Path:
    """SD 3's shape: a transformer on patches, flow matching, two pooled CLIPs and a T5."""
    torch.manual_seed(0)
    first = tiny_clip_tokenizer(folder / "tokenizer")
    second = tiny_clip_tokenizer(folder / "tokenizer_2")
    pipe = StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=2 * WIDTH,
            pooled_projection_dim=2 * WIDTH,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=tiny_vae(4, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModelWithProjection(tiny_clip_config(first, projection_dim=WIDTH)),
        tokenizer=first,
        text_encoder_2=CLIPTextModelWithProjection(
            tiny_clip_config(second, hidden_act="gelu", projection_dim=WIDTH)
        ),
        tokenizer_2=second,
        text_encoder_3=tiny_t5(2 * WIDTH),
        tokenizer_3=tiny_t5_tokenizer(),
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_flux(folder: Path) -> Path:
    """Flux's shape: a transformer on packed latents, flow matching with guidance as an input, a CLIP and a T5."""
    torch.manual_seed(0)
    tokenizer = tiny_clip_tokenizer(folder / "tokenizer")
    pipe = FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=[4, 4, 8],
            guidance_embeds=True,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=tiny_vae(4, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModel(tiny_clip_config(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=tiny_t5(WIDTH),
        tokenizer_2=tiny_t5_tokenizer(),
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_pixart(folder: Path) -> Path:
    """PixArt-Sigma's shape: a transformer that attends to a T5's states, and DPM-Solver."""
    torch.manual_seed(0)
    tokenizer = tiny_t5_tokenizer()
    pipe = PixArtSigmaPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_t5(WIDTH),
        vae=tiny_vae(4, levels=4),
        transformer=PixArtTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            cross_attention_dim=16,
            sample_size=32,  # it knows some sizes only
            patch_size=2,
            caption_channels=WIDTH,
            use_additional_conditions=False,
        ),
        scheduler=DPMSolverMultistepScheduler(),
    )
    pipe.save_pretrained(folder)
    return folder


FAMILIES: Mapping[str, Callable[[Path], Path]] = {
    "sd2": write_tiny_sd2,
    "sdxl": write_tiny_sdxl,
    "sd3": write_tiny_sd3,
    "flux": write_tiny_flux,
}


def tiny_t5_tokenizer() -> T5Tokenizer:
    """T5's tokenizer (unigram pieces) with letters only."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -1.0)]
    return T5Tokenizer(vocab=pieces + [(letter, -2.0) for letter in string.ascii_lowercase], extra_ids=0)


def tiny_t5(width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=32, d_model=width, d_kv=4, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0)
    ).eval()


def tiny_clip_config(tokenizer: Any, **settings: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **settings,
    )


def tiny_unet(**settings: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **settings,
    )


def tiny_vae(latent_channels: int, levels: int = 2, **settings: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=latent_channels,
        norm_num_groups=4,
        sample_size=16,
        **settings,
    )
