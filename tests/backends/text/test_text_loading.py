"""A language model whose files are broken in each way: read with the right numbers and said, or refused by name.

transformers fills what a checkpoint lacks with random numbers and goes on; here nothing is computed with those.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForCausalLM,
)

from backends.checkpoints.identity import fingerprint
from backends.errors import CheckpointError
from backends.interfaces import ScoreItem
from backends.study import ModelSpec
from backends.text.models import LanguageModels
from tests.tiny_text import tiny_tokenizer, write_tiny_adapter, write_tiny_model

Tensors = dict[str, torch.Tensor]
Change = Callable[[Tensors], Tensors]
ITEM = ScoreItem("Who wrote it?", "Ada Quill, on a moored barge.")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose output head is its embedding, which is stored once."""
    folder = write_tiny_model(tmp_path_factory.mktemp("tied"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    rewrite(folder, without("lm_head"))
    return folder


def rewrite(folder: Path, change: Change) -> None:
    path = folder / "model.safetensors"
    save_file(
        {k: v.contiguous() for k, v in change(load_file(path)).items()}, path, metadata={"format": "pt"}
    )


def broken(folder: Path, target: Path, change: Change) -> Path:
    rewrite(shutil.copytree(folder, target), change)
    return target


def without(part: str) -> Change:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def named(change: Callable[[str], str]) -> Change:
    return lambda tensors: {change(name): tensor for name, tensor in tensors.items()}


def logprobs(folder: Path, **more: str) -> list[float]:
    models = LanguageModels("cpu")
    models.add(ModelSpec("Model", "unlearned", str(folder), **more))  # type: ignore[arg-type]
    (scored,) = models.score("Model", [ITEM], lambda: False)
    return [float(value) for value in scored.scores.logprobs]


def near(values: list[float]) -> Any:
    """Equal but for rounding, which depends on where in memory the weights happen to lie."""
    return pytest.approx(values, abs=1e-5)


def said(folder: Path) -> str:
    models = LanguageModels("cpu")
    models.add(ModelSpec("Model", "unlearned", str(folder)))
    return "; ".join(each for loaded in models.loads("Model") for each in loaded.sentences)


def refused(folder: Path, *sentences: str) -> None:
    models = LanguageModels("cpu")
    for sentence in sentences:
        with pytest.raises(CheckpointError, match=sentence):
            models.add(ModelSpec("Model", "unlearned", str(folder)))
    assert models.names == []


@pytest.mark.parametrize(
    ("change", "wrappers"),
    [
        (lambda name: f"_orig_mod.{name}", ["_orig_mod."]),
        (lambda name: f"module.{name}", ["module."]),
        (lambda name: f"module._orig_mod.{name}", ["_orig_mod.", "module."]),
        (lambda name: f"_orig_mod.module.{name}", ["_orig_mod.", "module."]),
        (lambda name: f"module.module._orig_mod._orig_mod.{name}", ["_orig_mod.", "module."]),
        (
            lambda name: (
                "_fsdp_wrapped_module." + name.replace("layers.1.", "layers.1._fsdp_wrapped_module.")
            ),
            ["_fsdp_wrapped_module."],
        ),
        (
            lambda name: "_orig_mod." + name.replace("mlp.", "_checkpoint_wrapped_module.mlp._orig_mod."),
            ["_orig_mod.", "_checkpoint_wrapped_module."],
        ),
    ],
)
def test_names_wrapped_by_training_are_read_as_what_they_are(
    whole: Path, tmp_path: Path, change: Callable[[str], str], wrappers: list[str]
) -> None:
    folder = broken(whole, tmp_path / "b", named(change))
    assert logprobs(folder) == near(logprobs(whole))
    told = said(folder)
    assert all(wrapper in told for wrapper in wrappers)
    assert "removed from the names" in told


def test_names_without_the_bodys_prefix_are_read(whole: Path, tmp_path: Path) -> None:
    folder = broken(whole, tmp_path / "b", named(lambda name: name.removeprefix("model.")))
    assert logprobs(folder) == near(logprobs(whole))


def test_numbers_of_a_wrapped_file_from_before_it_was_read_rightly_are_not_found_again(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModelSpec("Model", "unlearned", str(broken(whole, tmp_path / "b", named("_orig_mod.{}".format))))
    now = fingerprint(spec)
    monkeypatch.setattr("backends.checkpoints.model_folders.unwrapped_part", lambda *_: [])  # as it was then
    assert fingerprint(spec) != now


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            without("layers.1."),
            r"9 tensors missing: model\.layers\.1\.input_layernorm\.weight, .* and 6 more",
        ),
        (without("lm_head"), r"1 tensor missing: lm_head\.weight\)"),
        (
            without("layers.0.self_attn.q_proj"),
            r"1 tensor missing: model\.layers\.0\.self_attn\.q_proj\.weight",
        ),
        (without("embed_tokens"), r"1 tensor missing: model\.embed_tokens\.weight"),
        (
            lambda t: t | {"model.layers.2.mlp.up_proj.weight": torch.ones(64, 32)},
            r"1 tensor not in the model: model\.layers\.2\.mlp\.up_proj\.weight",
        ),
        (
            lambda t: t | {"lm_head.weight": t["lm_head.weight"][:-1]},
            r"1 tensor with another shape: lm_head\.weight \(258 x 32, the model 259 x 32\)",
        ),
        (
            lambda t: {name: tensor.to(torch.int8) for name, tensor in t.items()},
            r"21 tensors with another shape: lm_head\.weight \(whole numbers, I8\)",
        ),
        (named(lambda name: f"policy.{name}"), r"21 tensors missing: .*; 21 tensors not in the model"),
        (
            lambda t: t | {f"_orig_mod.{name}": tensor.clone() for name, tensor in t.items()},
            r"is there more than once",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    whole: Path, tmp_path: Path, change: Change, sentence: str
) -> None:
    refused(broken(whole, tmp_path / "b", change), sentence)


def test_a_head_that_is_the_embedding_need_not_be_stored(tied: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(tied)
    assert plain.lm_head.weight is plain.model.embed_tokens.weight
    assert "lm_head.weight not stored: tied" in said(tied)
    assert all(value < 0 for value in logprobs(tied))


def test_a_head_stored_beside_the_embedding_is_used_and_said(tied: Path, tmp_path: Path) -> None:
    folder = broken(
        tied, tmp_path / "b", lambda t: t | {"lm_head.weight": 2 * t["model.embed_tokens.weight"]}
    )
    assert "both are stored and differ" in said(folder)
    assert logprobs(folder) != logprobs(tied)
    same = broken(
        tied, tmp_path / "s", lambda t: t | {"lm_head.weight": t["model.embed_tokens.weight"].clone()}
    )
    assert logprobs(same) == near(logprobs(tied))


def test_a_stored_head_stays_its_own_where_other_tensors_are_replaced(tied: Path, tmp_path: Path) -> None:
    folder = broken(
        tied, tmp_path / "b", lambda t: t | {"lm_head.weight": 2 * t["model.embed_tokens.weight"]}
    )
    name = "model.layers.0.mlp.up_proj.weight"
    save_file({name: load_file(folder / "model.safetensors")[name]}, tmp_path / "same.safetensors")
    assert logprobs(folder, weights=str(tmp_path / "same.safetensors")) == near(logprobs(folder))


def test_tables_that_the_model_makes_itself_are_left_over_without_harm(whole: Path, tmp_path: Path) -> None:
    table = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    folder = broken(whole, tmp_path / "b", lambda t: t | table)
    assert logprobs(folder) == near(logprobs(whole))
    assert "inv_freq not read" in said(folder)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=259, n_embd=16, n_layer=1, n_head=2, n_positions=64, initializer_range=0.3)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tiny_tokenizer().save_pretrained(tmp_path / "gpt2")
    before = logprobs(tmp_path / "gpt2")
    masks = {
        "transformer.h.0.attn.bias": torch.ones(1, 1, 64, 64),
        "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
    }
    rewrite(tmp_path / "gpt2", lambda t: t | masks)
    assert logprobs(tmp_path / "gpt2") == before


def test_half_precision_is_read_and_said(whole: Path, tmp_path: Path) -> None:
    folder = broken(whole, tmp_path / "b", lambda t: {name: tensor.bfloat16() for name, tensor in t.items()})
    assert "converted from BF16 to float32" in said(folder)
    assert logprobs(folder) == pytest.approx(logprobs(whole), abs=0.2)
    assert "converted" not in said(whole)


def test_a_missing_shard_is_named_and_a_shard_without_its_tensors_too(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    LlamaForCausalLM.from_pretrained(whole).save_pretrained(folder, max_shard_size="40KB")
    tiny_tokenizer().save_pretrained(folder)
    assert logprobs(folder) == near(logprobs(whole))
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 2
    last = shards[-1].rename(tmp_path / "away")
    refused(folder, f"the file {shards[-1].name} that it names is missing")
    shutil.copy(shards[0], shards[-1])
    refused(folder, "missing: ")
    last.rename(shards[-1])
    assert logprobs(folder) == near(logprobs(whole))


@pytest.mark.parametrize("kind", ["nf4", "int8"])
@pytest.mark.filterwarnings("ignore:MatMul8bitLt")
def test_a_model_quantised_as_it_is_read_must_be_whole_too(tmp_path: Path, kind: str) -> None:
    folder = write_tiny_model(tmp_path / "m", width=64)
    models = LanguageModels("cpu")
    models.add(ModelSpec("small", "unlearned", str(folder), quantization=kind))  # type: ignore[arg-type]
    assert "14 linear layers are quantised" in "; ".join(models.loads("small")[-1].sentences)
    rewrite(folder, without("layers.1.mlp"))
    models = LanguageModels("cpu")
    with pytest.raises(CheckpointError, match=r"3 tensors missing: model\.layers\.1\.mlp\.down_proj\.weight"):
        models.add(ModelSpec("broken", "unlearned", str(folder), quantization=kind))  # type: ignore[arg-type]


def test_a_folder_that_was_saved_quantised_is_read_as_transformers_reads_it(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "m", width=64)
    small = AutoModelForCausalLM.from_pretrained(
        folder,
        quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        device_map={"": "cpu"},
        dtype=torch.float32,
    )
    small.save_pretrained(tmp_path / "small")
    tiny_tokenizer().save_pretrained(tmp_path / "small")
    assert "linear layers are quantised" in said(tmp_path / "small")
    expected = logprobs(folder, quantization="nf4")
    assert logprobs(tmp_path / "small") == pytest.approx(expected, abs=1e-4)


def test_a_file_of_changed_tensors_is_read_unwrapped_or_refused_by_name(whole: Path, tmp_path: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    tensor = load_file(whole / "model.safetensors")[name] + 0.3
    plain, wrapped, wrong = (tmp_path / f"{n}.safetensors" for n in ("plain", "wrapped", "wrong"))
    save_file({name: tensor}, plain)
    save_file({f"_orig_mod.module.{name}": tensor}, wrapped)
    save_file({name: tensor.clone(), "policy.x": tensor.clone()}, wrong)
    assert (
        logprobs(whole, weights=str(plain)) == near(logprobs(whole, weights=str(wrapped))) != logprobs(whole)
    )
    with pytest.raises(CheckpointError, match=r"1 tensor not in the model: policy\.x"):
        logprobs(whole, weights=str(wrong))
    save_file({name: tensor[:2].clone()}, wrong)
    with pytest.raises(
        CheckpointError, match=r"another shape: .*up_proj\.weight \(2 x 32 F32, the model 64 x 32\)"
    ):
        logprobs(whole, weights=str(wrong))


def test_changed_heads_of_a_tied_base_are_used_as_they_are_stored(tied: Path, tmp_path: Path) -> None:
    embedding = load_file(tied / "model.safetensors")["model.embed_tokens.weight"]
    head = {"lm_head.weight": embedding + 0.2}
    alone, both, same = (tmp_path / f"{name}.safetensors" for name in ("alone", "both", "same"))
    save_file(head, alone)
    save_file({**head, "model.embed_tokens.weight": embedding - 0.2}, both)
    save_file({**head, "model.embed_tokens.weight": embedding + 0.2}, same)
    folder = broken(tied, tmp_path / "b", lambda t: t | {"model.embed_tokens.weight": embedding + 0.2})
    apart = broken(tied, tmp_path / "c", lambda t: t | {**head, "model.embed_tokens.weight": embedding - 0.2})
    assert logprobs(tied, weights=str(alone)) == near(logprobs(tied, weights=str(same))) == logprobs(folder)
    assert logprobs(tied, weights=str(both)) == near(logprobs(apart)) != logprobs(folder)


def test_an_adapter_trained_on_a_compiled_model_is_read(whole: Path, tmp_path: Path) -> None:
    adapter = write_tiny_adapter(whole, tmp_path / "a")
    expected = logprobs(whole, adapter=str(adapter))
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file(
        {k.replace("base_model.model.", "base_model.model._orig_mod."): v for k, v in tensors.items()}, path
    )
    assert logprobs(whole, adapter=str(adapter)) == expected
    assert logprobs(whole) != expected
