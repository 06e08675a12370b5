"""4- and 8-bit models: other answers than the whole model's, another identity, adapters on top, and plain refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backends.checkpoints.identity import identity, inspect
from backends.errors import CheckpointError
from backends.interfaces import GenerationRequest, ScoreItem
from backends.study import Decoding, ModelSpec, Quantization
from backends.text.models import LanguageModels
from tests.tiny_text import write_tiny_adapter, write_tiny_model

ITEM = ScoreItem("Who wrote it?", "Ada Quill, on a moored barge.")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = write_tiny_model(tmp_path_factory.mktemp("quantized") / "base", width=64)
    return ModelSpec("whole", "original", str(folder))


def logprobs(models: LanguageModels, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    (scored,) = models.score(name, [ITEM], lambda: False)
    return scored.scores.logprobs


@pytest.mark.parametrize("kind", ["nf4", "int8"])
@pytest.mark.filterwarnings("ignore:MatMul8bitLt")
def test_a_quantised_model_stands_beside_the_whole_one(whole: ModelSpec, kind: Quantization) -> None:
    small = replace(whole, name=kind, part="unlearned", quantization=kind)
    inspect(small, "text")
    assert identity(small) != identity(whole)
    models = LanguageModels("cpu")
    models.add(whole)
    models.add(small)
    ours, theirs = logprobs(models, kind), logprobs(models, "whole")
    assert np.isfinite(ours).all()
    assert not np.array_equal(ours, theirs)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.7  # quantised, not another model
    request = GenerationRequest(kind, "Who wrote it?")
    (answer,) = [p.answer for p in models.generate([request], Decoding(4), lambda: False) if p.done]
    assert answer.n_tokens <= 4


def test_an_adapter_goes_on_a_quantised_base(whole: ModelSpec, tmp_path: Path) -> None:
    adapter = write_tiny_adapter(Path(whole.source), tmp_path / "adapter")
    base = replace(whole, name="nf4", quantization="nf4")
    adapted = replace(base, name="adapted", part="unlearned", adapter=str(adapter))
    models = LanguageModels("cpu")
    models.add(base)
    models.add(adapted)
    assert not np.array_equal(logprobs(models, "adapted"), logprobs(models, "nf4"))


def test_image_models_and_a_missing_library_are_refused(
    whole: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(whole, quantization="nf4")
    with pytest.raises(CheckpointError, match="only language models are loaded quantised"):
        inspect(small, "image")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="needs the package bitsandbytes"):
        inspect(small, "text")
