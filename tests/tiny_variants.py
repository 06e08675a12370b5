"""Tiny random pipelines beside the four families: parts left out, distilled models, and other architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers import (
    AmusedPipeline,
    AmusedScheduler,
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    IFPipeline,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusion3Pipeline,
    UNet2DConditionModel,
    UVit2DModel,
    VQModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection, UMT5Config, UMT5EncoderModel

from tests.tiny_families import (
    WIDTH,
    tiny_clip_config,
    tiny_t5,
    tiny_t5_tokenizer,
    tiny_unet,
    tiny_vae,
    write_tiny_flux,
    write_tiny_sd3,
)
from tests.tiny_image import tiny_clip_tokenizer


def write_tiny_sd3_without_t5(folder: Path) -> Path:
    """SD 3 as it is saved where memory is short: its third text encoder left out."""
    whole = write_tiny_sd3(folder.with_name(f"{folder.name}-whole"))
    pipe = StableDiffusion3Pipeline.from_pretrained(whole, text_encoder_3=None, tokenizer_3=None)
    pipe.save_pretrained(folder)
    return folder


def write_tiny_schnell(folder: Path) -> Path:
    """Flux schnell's shape: guidance is no input, and the schedule does not depend on the size."""
    whole = write_tiny_flux(folder.with_name(f"{folder.name}-dev"))
    pipe = FluxPipeline.from_pretrained(whole)
    torch.manual_seed(0)
    config = {**pipe.transformer.config, "guidance_embeds": False}
    pipe.register_modules(
        transformer=FluxTransformer2DModel.from_config(config),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_lcm(folder: Path) -> Path:
    """A latent consistency model: guidance is an input, and its scheduler adds noise at every step."""
    torch.manual_seed(0)
    tokenizer = tiny_clip_tokenizer(folder / "tokenizer")
    pipe = LatentConsistencyModelPipeline(
        vae=tiny_vae(4),
        text_encoder=CLIPTextModel(tiny_clip_config(tokenizer)),
        tokenizer=tokenizer,
        unet=tiny_unet(cross_attention_dim=WIDTH, attention_head_dim=(2, 4), time_cond_proj_dim=8),
        scheduler=LCMScheduler(beta_schedule="scaled_linear"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_auraflow(folder: Path) -> Path:
    """AuraFlow's shape: flow matching on the states of a multilingual T5."""
    torch.manual_seed(0)
    text = UMT5Config(vocab_size=32, d_model=WIDTH, d_kv=4, d_ff=32, num_layers=1, num_heads=2)
    pipe = AuraFlowPipeline(
        tokenizer=tiny_t5_tokenizer(),
        text_encoder=UMT5EncoderModel(text),
        vae=tiny_vae(4),
        transformer=AuraFlowTransformer2DModel(
            sample_size=8,
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=WIDTH,
            pos_embed_max_size=256,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_chroma(folder: Path) -> Path:
    """Chroma's shape: Flux without a pooled text, and with true guidance."""
    torch.manual_seed(0)
    pipe = ChromaPipeline(
        tokenizer=tiny_t5_tokenizer(),
        text_encoder=tiny_t5(WIDTH),
        vae=tiny_vae(4, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        transformer=ChromaTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
            approximator_hidden_dim=32,
            approximator_layers=1,
            approximator_num_channels=16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_deepfloyd(folder: Path) -> Path:
    """DeepFloyd IF's first stage: diffusion on pixels, with a learned variance."""
    torch.manual_seed(0)
    pipe = IFPipeline(
        tokenizer=tiny_t5_tokenizer(),
        text_encoder=tiny_t5(WIDTH),
        unet=UNet2DConditionModel(
            sample_size=16,
            in_channels=3,
            out_channels=6,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            cross_attention_dim=WIDTH,
            encoder_hid_dim=WIDTH,
            attention_head_dim=8,
            addition_embed_type="text",
            addition_embed_type_num_heads=2,
            resnet_time_scale_shift="scale_shift",
            act_fn="gelu",
        ),
        scheduler=DDPMScheduler(variance_type="learned_range", thresholding=True),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def write_tiny_amused(folder: Path) -> Path:
    """aMUSEd's shape: tokens of a VQ model, unmasked step by step; no diffusion, and one generator for all."""
    torch.manual_seed(0)
    tokenizer = tiny_clip_tokenizer(folder / "tokenizer")
    pipe = AmusedPipeline(
        vqvae=VQModel(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=8,
            norm_num_groups=4,
            num_vq_embeddings=32,
            sample_size=16,
            mid_block_add_attention=False,
            lookup_from_codebook=True,
        ),
        tokenizer=tokenizer,
        text_encoder=CLIPTextModelWithProjection(tiny_clip_config(tokenizer, projection_dim=WIDTH)),
        transformer=UVit2DModel(
            hidden_size=8,
            cond_embed_dim=WIDTH,
            micro_cond_encode_dim=2,
            micro_cond_embed_dim=10,
            encoder_hidden_size=WIDTH,
            vocab_size=33,
            codebook_size=32,
            in_channels=8,
            block_out_channels=8,
            num_res_blocks=1,
            downsample=True,
            upsample=True,
            block_num_heads=1,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
        ),
        scheduler=AmusedScheduler(mask_token_id=32),
    )
    pipe.save_pretrained(folder)
    return folder


VARIANTS: Mapping[str, Callable[[Path], Path]] = {
    "sd3 without its T5": write_tiny_sd3_without_t5,
    "flux schnell": write_tiny_schnell,
    "lcm": write_tiny_lcm,
    "auraflow": write_tiny_auraflow,
    "chroma": write_tiny_chroma,
    "deepfloyd": write_tiny_deepfloyd,
    "amused": write_tiny_amused,
}
