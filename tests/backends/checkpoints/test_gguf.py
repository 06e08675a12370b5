"""GGUF files are converted whole or not at all: what a file lacks is never made up."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from backends.checkpoints.gguf import convert
from backends.errors import CheckpointError

WIDTH, INNER, HEADS = 32, 64, 4
TOKENS = ["<unk>", "<s>", "</s>", "!!", *(chr(33 + number) for number in range(60))]
SHAPES = {
    "token_embd.weight": (len(TOKENS), WIDTH),
    "output_norm.weight": (WIDTH,),
    "output.weight": (len(TOKENS), WIDTH),
    "blk.0.attn_norm.weight": (WIDTH,),
    "blk.0.ffn_norm.weight": (WIDTH,),
    "blk.0.attn_q.weight": (WIDTH, WIDTH),
    "blk.0.attn_k.weight": (WIDTH, WIDTH),
    "blk.0.attn_v.weight": (WIDTH, WIDTH),
    "blk.0.attn_output.weight": (WIDTH, WIDTH),
    "blk.0.ffn_gate.weight": (INNER, WIDTH),
    "blk.0.ffn_up.weight": (INNER, WIDTH),
    "blk.0.ffn_down.weight": (WIDTH, INNER),
}


def write_tiny_gguf(path: Path, left_out: str = "") -> Path:
    """A random Llama of one layer, as llama.cpp's converter writes it, without the tensors of that name."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3, *([1] * (len(TOKENS) - 3))])
    writer.add_token_merges(["! !"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    generator = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        values = generator.normal(size=shape).astype(np.float32)
        if name != left_out:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_whole_file_is_converted_with_its_numbers(tmp_path: Path) -> None:
    convert(write_tiny_gguf(tmp_path / "m.gguf"), tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    expected = np.random.default_rng(0).normal(size=SHAPES["token_embd.weight"])
    found = model.model.embed_tokens.weight.detach().float()
    torch.testing.assert_close(found, torch.tensor(expected).float(), atol=0.02, rtol=0.01)


@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        ("blk.0.ffn_up.weight", r"model\.layers\.0\.mlp\.up_proj\.weight"),
        ("blk.0.attn_q.weight", r"model\.layers\.0\.self_attn\.q_proj\.weight"),
        ("token_embd.weight", r"model\.embed_tokens\.weight"),
    ],
)
def test_a_file_that_lacks_a_tensor_is_refused_and_leaves_no_model(
    tmp_path: Path, left_out: str, named: str
) -> None:
    file = write_tiny_gguf(tmp_path / "m.gguf", left_out)
    with pytest.raises(CheckpointError, match=rf"m\.gguf: .*\(1 tensor missing: {named}\)"):
        convert(file, tmp_path / "models" / "model")
    assert list((tmp_path / "models").iterdir()) == []
