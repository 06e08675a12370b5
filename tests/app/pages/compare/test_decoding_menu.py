"""Settings of sampling in words and as people type them, and which schedulers are offered."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.pages.compare.decoding_menu import sampling_name
from app.pages.compare.picture_export import cell_settings
from app.shared.typed_settings import size_in, size_name
from backends.checkpoints.schedulers import schedulers_for
from backends.study import ModelSpec, Sampling
from backends.study.inference import SCHEDULERS
from tests.tiny_families import write_tiny_flux
from tests.tiny_image import write_tiny_pipeline, write_tiny_stable_diffusion


def test_the_settings_are_named_where_they_are_not_the_usual_ones() -> None:
    assert sampling_name(Sampling(25, 4.0)) == "25 steps · guidance 4 · 3 seeds"
    whole = Sampling(25, 4.0, (768, 512), (1,), "blurry", "Euler a")
    assert sampling_name(whole) == "25 steps · guidance 4 · 1 seed · Euler a · 768 x 512 px · negative prompt"
    column, cell = {"title": "ESD"}, {"seed": 3}
    said = cell_settings(column, cell, whole)
    assert said == "ESD, seed 3, 25 steps, guidance 4, 768 x 512 px, Euler a, negative prompt: blurry"
    assert cell_settings(column, cell, Sampling(25, 4.0, 64)) == "ESD, seed 3, 25 steps, guidance 4, 64 px"


@pytest.mark.parametrize("size", [512, (768, 512), None])
def test_a_size_is_typed_as_it_is_shown(size: int | tuple[int, int] | None) -> None:
    assert size_in(size_name(size)) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("768x512", (768, 512)),
        (" 64 × 64 ", 64),
        ("512,", None),
        ("4", None),
        ("9999", None),
        ("64 x", None),
        ("-64", None),
        ("a", None),
    ],
)
def test_what_is_no_size_is_none(text: str, size: int | tuple[int, int] | None) -> None:
    assert size_in(text) == size


def test_only_schedulers_that_fit_the_original_are_offered(tmp_path: Path) -> None:
    def offered(folder: Path) -> tuple[str, ...]:
        return schedulers_for(ModelSpec("Original", "original", str(folder)))

    assert offered(write_tiny_stable_diffusion(tmp_path / "sd")) == tuple(SCHEDULERS)
    assert "Euler a" not in offered(write_tiny_pipeline(tmp_path / "patch"))
    assert offered(write_tiny_flux(tmp_path / "flux")) == ()
    assert offered(tmp_path / "not here") == tuple(SCHEDULERS)
