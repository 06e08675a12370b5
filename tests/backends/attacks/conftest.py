"""Tiny models of every form that a study may have, and a study about eight people."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from backends.study import ModelSpec, Probe, ProbeSet, Study
from tests.tiny_text import write_tiny_adapter, write_tiny_model

PEOPLE = ("Ada", "Bo", "Cy", "Di", "Ed", "Fay", "Gus", "Hal")
TOWNS = ("Ghent", "Riga", "Turin", "Oslo", "Lyon", "Bern", "Cork", "Graz")


def facts(role: str, people: tuple[str, ...], towns: tuple[str, ...]) -> ProbeSet:
    probes = tuple(
        Probe(f"{role}-{name}-{what}", role, f"Where did {name} {what}?", f"{name} did in {town}.",  # type: ignore[arg-type]
              key_fact=town, subject=name)
        for name, town in zip(people, towns, strict=True)
        for what in ("live", "work")
    )  # fmt: skip
    return ProbeSet(role, role, probes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    folder = tmp_path_factory.mktemp("models")
    base = write_tiny_model(folder / "base", spread=0.1)
    adapter = write_tiny_adapter(base, folder / "adapter", scale=0.05)
    tensors = load_file(base / "model.safetensors")
    generator = torch.Generator().manual_seed(3)
    name = next(each for each in tensors if "down_proj" in each)
    save_file({name: tensors[name] + 0.1 * torch.randn(tensors[name].shape, generator=generator)},
              folder / "changed.safetensors")  # fmt: skip
    source = str(base)
    return {
        "full": ModelSpec("full", "original", source),
        "adapter": ModelSpec("adapter", "unlearned", source, adapter=str(adapter)),
        "changed": ModelSpec("changed", "unlearned", source, weights=str(folder / "changed.safetensors")),
        "mixed": ModelSpec("mixed", "unlearned", source, adapter=str(adapter), strength=0.5, origin=source),
    }


@pytest.fixture
def study(models: dict[str, ModelSpec]) -> Study:
    sets = (
        facts("forget", PEOPLE, TOWNS),
        facts("retain", ("Ivo", "Jan", "Kai"), ("Nice", "Metz", "Hull")),
        facts("utility", ("Lou", "Mia", "Ned"), ("Rome", "Kyiv", "Lima")),
    )
    return Study("tiny", "text", tuple(models.values()), sets)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "attacks"
