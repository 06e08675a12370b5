"""What of a language model differs from the original, as merged weights would differ, whatever the adapter's kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from backends.study import ModelSpec
from backends.text.models import LanguageModels
from tests.backends.checkpoints.test_own_adapters import (
    KINDS,
    specs,
    write_adapter,
    write_base,
    write_tiny_lora,
)
from tests.tiny_text import write_tiny_model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path_factory.mktemp("cache")))


def loaded(*models: ModelSpec) -> LanguageModels:
    found = LanguageModels("cpu")
    for spec in models:
        found.add(spec)
    return found


@pytest.mark.parametrize("kind", ["LoRA", "DoRA", "IA3", "modules_to_save", "OFT", "bias all", "layer norms"])
def test_an_adapter_counts_as_what_it_changes(tmp_path: Path, kind: str) -> None:
    base = write_base(tmp_path / "base")
    plain = kind == "LoRA"
    adapter = write_tiny_lora(base, tmp_path / "a") if plain else write_adapter(base, tmp_path / "a", kind)
    report = loaded(*specs(base, adapter)).report("U", "O")
    before = dict(AutoModelForCausalLM.from_pretrained(base).named_parameters())
    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
    after = dict(model.merge_and_unload().named_parameters())
    differing = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert report.changed == len(differing) > 0
    assert report.changed_parameters == sum(before[name].numel() for name in differing)
    assert report.parameters == sum(tensor.numel() for tensor in before.values())
    assert {block.block for block in report.blocks} <= {
        "layers.0",
        "layers.1",
        "norm",
        "lm_head",
        "embed_tokens",
    }
    for block in report.blocks:
        mine = [name for name in before if f".{block.block}." in f".{name}"]
        moved = sum(float((after[name] - before[name]).double().square().sum()) for name in mine)
        size = sum(float(before[name].double().square().sum()) for name in mine)
        assert block.relative_l2 == pytest.approx((moved / size) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_report_is_made_of_every_kind_and_says_where_nothing_could_be_compared(
    tmp_path: Path, kind: str
) -> None:
    base = write_base(tmp_path / "base")
    models = loaded(*specs(base, write_adapter(base, tmp_path / "a", kind)))
    before = models.report("O", "O")
    report = models.report("U", "O")
    if report.parameters:
        assert report.changed > 0
    else:
        assert kind == "lora_bias", "PEFT merges no bias into a layer without one"
        assert report.notes[-1].startswith("not compared tensor by tensor: ")
    assert models.report("O", "O") == before, "comparing changes nothing"


def test_an_original_with_an_adapter_is_compared_with_it(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    first, second = write_tiny_lora(base, tmp_path / "a"), write_adapter(base, tmp_path / "b", "DoRA")
    same = write_tiny_lora(base, tmp_path / "c")
    original = ModelSpec("O", "original", str(base), adapter=str(first))
    models = loaded(
        original, specs(base, second)[1], ModelSpec("S", "unlearned", str(base), adapter=str(same))
    )
    assert models.report("U", "O").changed == 6
    assert models.report("S", "O").changed == 0
    assert models.report("O", "O").share == 0.0


def test_a_whole_model_is_compared_tensor_by_tensor_and_what_is_tied_counts_once(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", tied=True)
    other = write_base(tmp_path / "other", tied=True)
    tensors = load_file(other / "model.safetensors")
    tensors["model.embed_tokens.weight"] = 1.5 * tensors["model.embed_tokens.weight"]
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    report = loaded(ModelSpec("O", "original", str(base)), ModelSpec("U", "unlearned", str(other))).report(
        "U", "O"
    )
    assert report.parameters == sum(tensor.numel() for tensor in tensors.values())
    (embedding,) = report.blocks
    assert embedding.block == "embed_tokens"
    assert embedding.relative_l2 == pytest.approx(0.5)


def test_models_of_another_shape_or_quantised_are_not_compared_and_say_so(tmp_path: Path) -> None:
    base = write_tiny_model(tmp_path / "base", width=64)
    other = write_tiny_model(tmp_path / "other", width=32)
    original = ModelSpec("O", "original", str(base))
    small = ModelSpec("Q", "unlearned", str(base), quantization="nf4")
    models = loaded(original, small, ModelSpec("U", "unlearned", str(other)))
    assert "another architecture" in models.report("U", "O").differences[0]
    assert models.report("Q", "O").notes[-1] == "quantised weights are not compared tensor by tensor"
    assert models.report("Q", "O").parameters == models.report("U", "O").parameters == 0


def test_a_model_that_is_let_go_of_leaves_its_base_to_others(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    original, unlearned = specs(base, write_adapter(base, tmp_path / "a", "DoRA"))
    models = loaded(original)
    alone = models.bytes()
    models.add(unlearned)
    models.remove("U")
    assert (models.names, models.bytes()) == (["O"], alone)
    models.add(unlearned)
    assert models.report("U", "O").changed == 6
