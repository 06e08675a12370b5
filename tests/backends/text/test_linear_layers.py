"""Large linear layers of language models on x86 CPUs: the same numbers, computed by oneDNN."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from backends.text import linear_layers
from backends.text.linear_layers import SMALLEST, OneDnnLinear, gains, use_onednn

needs_it = pytest.mark.skipif(
    not gains(), reason="not an x86 processor with AVX2, or this PyTorch has no oneDNN"
)


def llama(*, tied: bool = True) -> LlamaForCausalLM:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


@needs_it
@pytest.mark.parametrize("tied", [True, False])
def test_a_model_says_the_same(tied: bool) -> None:
    plain, wide = llama(tied=tied), llama(tied=tied)
    use_onednn(wide)
    ids = torch.randint(512, (3, 17), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = plain(ids).logits, wide(ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    kinds = {name: type(each) for name, each in wide.named_modules() if isinstance(each, nn.Linear)}
    assert kinds["lm_head"] is kinds["model.layers.0.mlp.up_proj"] is OneDnnLinear
    assert kinds["model.layers.0.self_attn.k_proj"] is nn.Linear  # 128 x 256 numbers are too few
    assert (wide.lm_head.weight is wide.model.embed_tokens.weight) == tied


@needs_it
def test_names_numbers_and_memory_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain, wide = llama(), llama()
    use_onednn(wide)
    use_onednn(wide)  # a second time is of no effect
    assert plain.state_dict().keys() == wide.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, wide.state_dict()[name])
    sizes = [sum(p.numel() * p.element_size() for p in each.parameters()) for each in (plain, wide)]
    assert sizes[0] == sizes[1]
    assert copy.deepcopy(wide).model.layers[0].mlp.up_proj.weight.t().is_contiguous()
    assert wide.lm_head.weight.is_contiguous()  # also the embedding


@needs_it
def test_a_bias_is_added_and_any_shape_is_taken() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(256, SMALLEST // 256)
    inputs = torch.randn(2, 3, 5, 256).transpose(0, 1)
    expected = layer(inputs).detach()
    layer.__class__ = OneDnnLinear
    with torch.no_grad():
        torch.testing.assert_close(layer(inputs), expected, rtol=1e-4, atol=1e-4)


@needs_it
def test_gradients_are_pytorchs_own() -> None:
    plain, wide = llama(), llama()
    use_onednn(wide)
    ids = torch.arange(12)[None]
    for each in (plain, wide):
        each.requires_grad_(True)
        each(ids, labels=ids).loss.backward()
    for (name, first), second in zip(plain.named_parameters(), wide.parameters(), strict=True):
        assert first.grad is not None and second.grad is not None, name
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-3, atol=1e-5)


@needs_it
def test_half_precision_goes_its_own_way() -> None:
    wide = llama()
    use_onednn(wide)
    ids = torch.arange(9)[None]
    with torch.inference_mode():
        assert torch.isfinite(wide.to(torch.bfloat16)(ids).logits).all()


def test_other_processors_keep_pytorchs_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_layers, "gains", lambda: False)
    model = llama()
    use_onednn(model)
    assert not any(isinstance(each, OneDnnLinear) for each in model.modules())
