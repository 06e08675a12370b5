"""Which PEFT adapters load beside others on one base, and the sentence that each unfit one gets."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from app.cli.adhoc_study import StudyArguments, adhoc_study
from backends.checkpoints.identity import identity, inspect
from backends.device import pick_device
from backends.errors import CheckpointError, ModelError, StudyError
from backends.interfaces import ScoreItem
from backends.study import ModelSpec
from backends.text.models import LanguageModels
from tests.tiny_text import tiny_tokenizer, write_tiny_adapter, write_tiny_model

Tensors = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def sound(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_adapter(base, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def adapter(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "adapter"))


def spec(base: Path, adapter: Path, name: str = "Model") -> ModelSpec:
    return ModelSpec(name, "unlearned", str(base), adapter=str(adapter))


def change_settings(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def change_tensors(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)


def refused(base: Path, adapter: Path, sentence: str) -> None:
    """Refused when the study is read, and again when the model is loaded: files change in between."""
    with pytest.raises(CheckpointError, match=sentence):
        inspect(spec(base, adapter), "text")
    with pytest.raises(CheckpointError, match=sentence):
        LanguageModels("cpu").add(spec(base, adapter))


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.sprung,))


def test_a_pickle_beside_decoys_is_never_loaded(base: Path, adapter: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Trap(sprung)))
    whole = (adapter / "adapter_model.safetensors").rename(adapter / "decoy.safetensors")
    (adapter / "deeper").mkdir()
    shutil.copy(whole, adapter / "deeper" / "adapter_model.safetensors")
    refused(base, adapter, r"pickles \(adapter_model\.bin\), .* refused")
    with pytest.raises(CheckpointError, match="pickles"):
        identity(spec(base, adapter))
    whole.rename(adapter / "adapter_model.safetensors")
    LanguageModels("cpu").add(spec(base, adapter))
    assert not sprung.exists()


def test_only_the_file_that_is_loaded_counts_for_the_fingerprint(base: Path, adapter: Path) -> None:
    before = identity(spec(base, adapter))
    shutil.copytree(adapter, adapter / "checkpoint-5")
    assert identity(spec(base, adapter)) == before


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "type PREFIX_TUNING is not supported"),
        ({"peft_type": 3}, "without peft_type"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "replicated layers"),
        ({"init_lora_weights": "pissa_niter_4"}, "a changed base"),
    ],
)
def test_kinds_that_cannot_be_loaded_exactly_are_refused(
    base: Path, adapter: Path, settings: dict[str, Any], sentence: str
) -> None:
    change_settings(adapter, **settings)
    refused(base, adapter, f"{sentence}.*merge_and_unload")


@pytest.mark.parametrize("text", ["[]", "{", '"text"', "[" * 5000])
def test_settings_that_are_no_object_are_refused(base: Path, adapter: Path, text: str) -> None:
    (adapter / "adapter_config.json").write_text(text)
    refused(base, adapter, "adapter_config.json: (cannot be read as JSON|a JSON object was expected)")
    with pytest.raises(CheckpointError, match="adapter_config"):
        adhoc_study(StudyArguments(str(adapter), (), "", {}, {}, {}))


def test_a_base_that_is_no_name_is_refused_on_the_command_line(adapter: Path) -> None:
    change_settings(adapter, base_model_name_or_path=["a", "b"])
    with pytest.raises(StudyError, match="does not name its base model"):
        adhoc_study(StudyArguments(str(adapter), (), "", {}, {}, {}))


@pytest.mark.parametrize(
    "settings", [{"r": "four"}, {"target_modules": 7}, {"lora_alpha": None}, {"rank_pattern": [1]}]
)
def test_settings_of_the_wrong_type_get_a_sentence(
    base: Path, adapter: Path, settings: dict[str, Any]
) -> None:
    change_settings(adapter, **settings)
    with pytest.raises(CheckpointError, match="adapter"):
        LanguageModels("cpu").add(spec(base, adapter))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda _: {}, "holds no tensors"),
        (lambda t: {k: v for k, v in t.items() if k != max(t)}, "is missing"),
        (lambda t: {**t, "extra.weight": torch.ones(2, 2)}, "extra.weight is no part of a LoRA adapter"),
        (lambda t: {k: v[:0] if "lora_A" in k else v[:, :0] for k, v in t.items()}, "is empty"),
        (lambda t: {k.replace("layers.1", "layers.9"): v for k, v in t.items()}, "no such layer"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    base: Path, adapter: Path, change: Callable[[Tensors], Tensors], sentence: str
) -> None:
    change_tensors(adapter, change)
    with pytest.raises(CheckpointError, match=sentence):
        inspect(spec(base, adapter), "text")
    with pytest.raises(CheckpointError):
        LanguageModels("cpu").add(spec(base, adapter))


def test_tensors_that_peft_would_leave_out_or_make_up_are_refused(base: Path, adapter: Path) -> None:
    change_settings(adapter, target_modules=["q_proj", "v_proj"])
    with pytest.raises(CheckpointError, match=r"4 tensors not in the model: .*down_proj"):
        LanguageModels("cpu").add(spec(base, adapter))
    change_settings(adapter, target_modules=["q_proj", "v_proj", "down_proj", "up_proj"])
    with pytest.raises(CheckpointError, match=r"4 tensors missing: .*up_proj"):
        LanguageModels("cpu").add(spec(base, adapter))
    change_settings(adapter, target_modules=["nothing_like_it"])
    with pytest.raises(CheckpointError, match="PEFT cannot put this adapter on the base"):
        LanguageModels("cpu").add(spec(base, adapter))


def test_an_adapter_that_fails_leaves_no_trace_in_the_base(base: Path, adapter: Path) -> None:
    item = ScoreItem("Who?", "Ada Quill")
    models = LanguageModels("cpu")
    models.add(ModelSpec("Base", "original", str(base)))
    (before,) = models.score("Base", [item], lambda: False)
    change_settings(adapter, target_modules=["q_proj", "v_proj"])
    with pytest.raises(CheckpointError):
        models.add(spec(base, adapter))
    models.add(ModelSpec("Base", "original", str(base)))
    (after,) = models.score("Base", [item], lambda: False)
    assert after.scores.logprobs.tolist() == before.scores.logprobs.tolist()


def test_adapters_with_ranks_of_their_own_answer_as_peft_does(base: Path, tmp_path: Path) -> None:
    module = LanguageModels("cpu")
    module.add(ModelSpec("Base", "original", str(base)))
    family = next(iter(module._families.values())).module
    torch.manual_seed(4)
    wide = LoraConfig(
        r=2,
        rank_pattern={"v_proj": 3},
        alpha_pattern={"q_proj": 32},
        use_rslora=True,
        target_modules="all-linear",
        init_lora_weights=False,
    )
    adapted: Any = get_peft_model(family, wide)
    adapted.save_pretrained(tmp_path / "wide")
    loaded = LanguageModels("cpu")
    inspect(spec(base, tmp_path / "wide"), "text")
    loaded.add(spec(base, tmp_path / "wide"))
    item = ScoreItem("Who?", "Ada Quill")
    (found,) = loaded.score("Model", [item], lambda: False)
    tokens = torch.tensor([[*_prompt_ids(loaded), *found.scores.token_ids.tolist()]])
    with torch.inference_mode():
        logprobs = adapted(tokens).logits.log_softmax(-1)[0]
    n = len(found.scores.token_ids)
    expected = [float(logprobs[-n - 1 + i, tokens[0, -n + i]]) for i in range(n)]
    assert found.scores.logprobs.tolist() == pytest.approx(expected, abs=1e-4)


def _prompt_ids(models: LanguageModels) -> list[int]:
    return next(iter(models._families.values())).tokenizer.prompt_ids("Who?")


def test_the_transposed_layers_of_gpt2_take_an_adapter(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    shape = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=64)
    model = GPT2LMHeadModel(shape)
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    adapted: Any = get_peft_model(model, LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    adapted.save_pretrained(tmp_path / "adapter")
    inspect(spec(tmp_path / "base", tmp_path / "adapter"), "text")
    LanguageModels("cpu").add(spec(tmp_path / "base", tmp_path / "adapter"))


def test_parts_of_the_other_kind_of_model_are_refused(base: Path, adapter: Path) -> None:
    weights = ModelSpec("Model", "unlearned", str(base), weights=str(base / "model.bin"))
    with pytest.raises(CheckpointError, match=r"read from a \.safetensors file only"):
        inspect(weights, "text")
    both = replace(weights, weights=str(base / "model.safetensors"), adapter=str(adapter))
    with pytest.raises(CheckpointError, match="`weights` needs a plain base"):
        inspect(both, "text")
    with pytest.raises(CheckpointError, match="PEFT adapters are for language models"):
        inspect(spec(base, adapter), "image")


def test_a_broken_chat_template_is_named(base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "b"))
    tiny_tokenizer("{{ messages[0]['content'] }").save_pretrained(folder)
    models = LanguageModels("cpu")
    models.add(ModelSpec("Model", "original", str(folder)))
    with pytest.raises(CheckpointError, match="chat template cannot be rendered"):
        next(iter(models.score("Model", [ScoreItem("Who?", "Ada")], lambda: False)))


def test_a_device_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="the device cuda is not available here, only"):
        pick_device("cuda")
    assert pick_device("cpu") == "cpu"
