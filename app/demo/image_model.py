"""Architecture of the demo's image models: an untrained PatchDiffusionPipeline and an untrained vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from backends.image.checkpoints.folders import load_pipeline
from backends.image.patch_pipeline import PatchDiffusionPipeline

_SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")
_COMMON = ("a", "an", "the", "image", "picture", "of", "in", "style", ".", ",")


def build_tokenizer(words: Sequence[str], longest: int = 16) -> PreTrainedTokenizerFast:
    """Word-level, lower-case; every word that is not known becomes one token."""
    vocabulary = {word: index for index, word in enumerate((*_SPECIAL, *_COMMON, *words))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        unk_token="<unknown>",
        model_max_length=longest,
    )


def build_pipeline(
    words: Sequence[str],
    *,
    seed: int,
    side: int = 48,
    patch: int = 3,
    channels: tuple[int, ...] = (32, 64, 96),
    width: int = 64,
    groups: int = 16,
) -> PatchDiffusionPipeline:
    """Random weights from `seed`.

    Args:
        words: the concepts that prompts may name.
        seed: of the initial weights.
        side: of a picture, pixels.
        patch: side of a patch, pixels.
        channels: of the UNet's levels; text is attended to on all but the first.
        width: of the text encoder.
        groups: of the group norms; divides every number of channels.
    """
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(words)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    deeper = len(channels) - 1
    unet = UNet2DConditionModel(
        sample_size=side // patch,
        in_channels=3 * patch**2,
        out_channels=3 * patch**2,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * deeper),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=(*["CrossAttnUpBlock2D"] * deeper, "UpBlock2D"),
        block_out_channels=channels,
        layers_per_block=1,
        cross_attention_dim=width,
        attention_head_dim=4,
        norm_num_groups=groups,
    )
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=True,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
    )
    return PatchDiffusionPipeline(unet.eval(), scheduler, CLIPTextModel(text).eval(), tokenizer)


def save_pipeline(pipe: PatchDiffusionPipeline, folder: Path) -> None:
    """Write a pipeline folder that every transformers release with a fast tokenizer reads."""
    pipe.save_pretrained(folder)
    index = folder / "model_index.json"
    # transformers 5 writes the name of a class that 4 does not have.
    index.write_text(index.read_text().replace("TokenizersBackend", "PreTrainedTokenizerFast"))
    for path in folder.rglob("*.json"):
        lines = path.read_text().splitlines(keepends=True)
        # diffusers writes down where the weights were read from on this machine.
        path.write_text("".join(line for line in lines if '"_name_or_path"' not in line))


def read_pipeline(folder: Path) -> PatchDiffusionPipeline:
    """The pipeline of a folder, in float32."""
    pipe = load_pipeline(folder, torch.float32)
    if not isinstance(pipe, PatchDiffusionPipeline):
        raise TypeError(f"{folder} holds a {type(pipe).__name__}")
    return pipe
