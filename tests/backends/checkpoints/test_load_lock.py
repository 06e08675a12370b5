"""Models loaded in several threads at once leave the libraries as they were: the next load is not refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from backends.checkpoints.language_weights import head_is_the_embedding, load_gguf, load_module
from backends.checkpoints.load_lock import one_load_at_a_time
from backends.errors import CheckpointError
from backends.image.checkpoints.embeddings import with_learned
from backends.image.checkpoints.erasers import add_erasers
from backends.image.checkpoints.fitting import load_whole
from backends.image.checkpoints.folders import load_pipeline
from backends.image.judges import judges
from backends.image.networks import inception, named
from backends.image.networks.perceptual import load_perceptual
from backends.study import JudgeSpec
from backends.text.adapter_copies import with_own_adapter
from backends.text.families import with_adapter
from backends.text.interpolation import attach_between, between, with_tensors
from backends.unlearning.text_runs import _trainable
from tests.tiny_image import write_tiny_stable_diffusion

LOADS = 12
"""Of each thread. Without the lock the first test failed in four runs of four, the second in three."""


@pytest.fixture
def tied(tmp_path: Path) -> Path:
    sizes = dict.fromkeys(("hidden_size", "intermediate_size", "vocab_size"), 8)
    config = LlamaConfig(
        **sizes, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1, tie_word_embeddings=True
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "tied")
    return tmp_path / "tied"


@pytest.fixture
def untouched() -> Iterator[None]:
    """Whatever a broken lock leaves behind ends with the test."""
    before = PreTrainedModel.tie_weights, torch.nn.Module.register_parameter
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)
    PreTrainedModel.tie_weights, torch.nn.Module.register_parameter = before
    torch.set_default_dtype(torch.float32)


def test_language_models_in_two_threads(tied: Path, untouched: None) -> None:
    load = partial(load_module, tied, torch.float32, {})
    _together(load, load)
    assert head_is_the_embedding(load()[0])


def test_a_language_model_beside_a_pipeline(tied: Path, tmp_path: Path, untouched: None) -> None:
    pipeline = write_tiny_stable_diffusion(tmp_path / "pipeline")
    load = partial(load_module, tied, torch.bfloat16, {})
    _together(load, partial(load_pipeline, pipeline, torch.float32))
    assert head_is_the_embedding(load()[0])
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    "load",
    [
        *(load_module, load_gguf, with_adapter, load_whole, load_pipeline, judges._load),
        *(inception._load, load_perceptual, _trainable),
        *(between, with_tensors, attach_between, with_own_adapter),  # tie heads, or make layers
        *(add_erasers, with_learned),
    ],
    ids=lambda load: f"{load.__module__}.{load.__name__}",
)
def test_what_makes_or_ties_layers_waits_for_a_load(load: Callable[..., Any]) -> None:
    ended = Event()

    def attempt() -> None:
        with suppress(TypeError):  # it gets no arguments, and so fails at once where it does not wait
            load()
        ended.set()

    @one_load_at_a_time
    def another_load() -> bool:
        Thread(target=attempt, daemon=True).start()
        return ended.wait(0.3)

    assert not another_load()
    assert ended.wait(60)


@pytest.mark.parametrize("kind", ["judge", "inception"])
def test_a_download_does_not_keep_others_from_loading(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Event()

    @one_load_at_a_time
    def another_load() -> None:
        loaded.set()

    def download(*_: object) -> Path:
        Thread(target=another_load, daemon=True).start()
        assert loaded.wait(60)
        return tmp_path  # with nothing in it

    if kind == "judge":
        monkeypatch.setattr(judges, "resolve", download)
        with pytest.raises(CheckpointError, match="judge cannot be read"):
            judges.load_judge(JudgeSpec("digit", "hf://owner/judge"), "cpu")
    else:
        monkeypatch.setattr(named, "resolve", download)
        with pytest.raises(CheckpointError):
            inception.load_inception("hf://owner/inception", "cpu")
    assert loaded.is_set()


def _together(*loads: Callable[[], Any]) -> None:
    start = Barrier(len(loads))

    def repeat(load: Callable[[], Any]) -> None:
        start.wait()
        for _ in range(LOADS):
            load()

    with ThreadPoolExecutor(len(loads)) as threads:
        for done in [threads.submit(repeat, load) for load in loads]:
            done.result()
