"""Which number format a study's language models run in, and that the pool runs them in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from backends.interfaces import ScoreItem
from backends.pool import ModelPool
from backends.study import ModelSpec, Study
from backends.text.precision import dtype_for
from tests.tiny_text import write_tiny_adapter, write_tiny_model


def stored(folder: Path, dtype: torch.dtype, seed: int = 0) -> str:
    """A tiny model whose weights are stored in a format."""
    write_tiny_model(folder, seed=seed)
    AutoModelForCausalLM.from_pretrained(folder).to(dtype).save_pretrained(folder)
    return str(folder)


def study_of(*sources: str) -> Study:
    parts = ("original", "unlearned", "unlearned")
    specs = tuple(
        ModelSpec(f"Model {i}", part, source)  # type: ignore[arg-type]
        for i, (part, source) in enumerate(zip(parts, sources, strict=False))
    )
    return Study("Study", "text", specs, ())


def test_models_stored_in_half_precision_run_in_bfloat16_on_cuda_only(tmp_path: Path) -> None:
    study = study_of(stored(tmp_path / "a", torch.bfloat16), stored(tmp_path / "b", torch.float16))
    assert dtype_for(study, "cuda") == dtype_for(study, "cuda:1") == "bfloat16"
    assert dtype_for(study, "cpu") == dtype_for(study, "mps") == "float32"


def test_one_model_in_float32_keeps_all_models_of_a_study_in_it(tmp_path: Path) -> None:
    half, full = stored(tmp_path / "a", torch.bfloat16), stored(tmp_path / "b", torch.float32)
    assert dtype_for(study_of(half, full), "cuda") == "float32"
    assert dtype_for(study_of(half, "not/here"), "cuda") == "bfloat16", "what is not here is not run here"
    assert dtype_for(study_of("not/here"), "cuda") == "float32"


def test_an_adapter_runs_as_its_base(tmp_path: Path) -> None:
    base = stored(tmp_path / "base", torch.bfloat16)
    adapter = write_tiny_adapter(Path(base), tmp_path / "adapter")
    study = study_of(base, base)
    study = replace(study, models=(study.models[0], replace(study.models[1], adapter=str(adapter))))
    assert dtype_for(study, "cuda") == "bfloat16"


def test_the_environment_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(stored(tmp_path / "a", torch.bfloat16))
    monkeypatch.setenv("UNLEARNBOARD_DTYPE", "float32")
    assert dtype_for(study, "cuda") == "float32"


def test_the_pool_runs_models_in_the_asked_format_and_never_mixes_two(tmp_path: Path) -> None:
    spec = ModelSpec("Model", "original", stored(tmp_path / "a", torch.float32))
    pool = ModelPool("cpu")
    item = ScoreItem("Who wrote it?", "Ada Quill.")
    found = {}
    for dtype in ("float32", "bfloat16", "float32"):
        models = pool.text([spec], dtype)
        ((found[dtype]),) = [part.scores.logprobs for part in models.score("Model", [item], lambda: False)]
        (family,) = models._families.values()  # type: ignore[attr-defined]
        assert {str(p.dtype) for p in family.module.parameters()} == {f"torch.{dtype}"}
    assert not np.array_equal(found["float32"], found["bfloat16"])
    np.testing.assert_allclose(found["float32"], found["bfloat16"], atol=0.5)
