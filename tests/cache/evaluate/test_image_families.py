"""Families beside Stable Diffusion 1 in a study: drawn, judged, scored, filmed, and their losses kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from backends.checkpoints.usable import inspect_study
from backends.image.checkpoints.folders import load_pipeline
from backends.pool import ModelPool
from backends.study import Denoising, JudgeSpec, ModelSpec, Probe, ProbeSet, Sampling, Study
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.store import open_store
from cache.store.denoising import denoising_of
from cache.store.denoising_trajectories import make_trajectory, stored_trajectory
from cache.store.reading import images_for
from tests.tiny_families import FAMILIES, write_tiny_pixart
from tests.tiny_image import write_tiny_judge
from tests.tiny_variants import VARIANTS

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

WRITERS = {**FAMILIES, **VARIANTS}
SAMPLING = Sampling(steps=4, guidance=3.0, size=16, seeds=(1, 2))


def pictures(folder: Path) -> str:
    folder.mkdir()
    pixels = np.random.default_rng(len(folder.name)).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "text": "a cat"}))
    return str(folder)


@pytest.mark.parametrize("family", [*FAMILIES, "sd3 without its T5", "lcm"])
def test_a_study_of_another_family_is_evaluated_whole(family: str, tmp_path: Path) -> None:
    folder = WRITERS[family](tmp_path / family)
    pipe = load_pipeline(folder, torch.float32)
    state = getattr(pipe, "unet" if hasattr(pipe, "unet") else "transformer").state_dict()
    moved = {name: tensor + 0.3 for name, tensor in state.items() if "attn" in name}
    save_file(moved, tmp_path / "esd.safetensors")
    cat = Probe("p", "forget", "a cat", concepts={"object": "cat"})
    study = Study(
        "Families",
        "image",
        (
            ModelSpec("Original", "original", str(folder)),
            ModelSpec("ESD", "unlearned", str(folder), weights=str(tmp_path / "esd.safetensors")),
        ),
        (ProbeSet("f", "forget", (cat,)),),
        judges=(JudgeSpec("object", str(write_tiny_judge(tmp_path / "judge"))),),
        forget_concepts={"object": "cat"},
        sampling=SAMPLING,
        denoising=Denoising(
            forget=pictures(tmp_path / "forget"), holdout=pictures(tmp_path / "out"), timesteps=(9,)
        ),
    )
    inspect_study(study)
    store, pool = open_store(tmp_path / "evidence.sqlite"), ModelPool("cpu")
    evaluate(EvaluationContext.of(study, store, pool))
    drawn = [images_for(study, store, name, [cat])["p"] for name in ("Original", "ESD")]
    assert [sorted(found) for found in drawn] == [[1, 2], [1, 2]]
    losses = [denoising_of(study, store, name) for name in ("Original", "ESD")]
    assert losses[0].keys() == {"forget", "holdout"} and losses[0] != losses[1]
    for name in ("Original", "ESD"):
        make_trajectory(study, store, pool, name, cat, SAMPLING)
        kept = stored_trajectory(study, store, name, cat, SAMPLING)
        assert kept is not None and kept.steps == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("family", "steps"), [("pixart", (1, 2, 3, 4)), ("deepfloyd", (1, 2, 3, 4)), ("amused", (4,))]
)
def test_a_film_is_kept_whatever_size_or_kind_the_pictures_on_the_way_have(
    family: str, steps: tuple[int, ...], tmp_path: Path
) -> None:
    """PixArt draws larger than asked, IF on pixels, and aMUSEd shows nothing before the end."""
    folder = (write_tiny_pixart if family == "pixart" else VARIANTS[family])(tmp_path / family)
    cat = Probe("p", "forget", "a cat")
    study = Study(
        "Films",
        "image",
        (ModelSpec("Original", "original", str(folder)),),
        (ProbeSet("f", "forget", (cat,)),),
        sampling=SAMPLING,
    )
    store = open_store(tmp_path / "evidence.sqlite")
    make_trajectory(study, store, ModelPool("cpu"), "Original", cat, SAMPLING)
    kept = stored_trajectory(study, store, "Original", cat, SAMPLING)
    assert kept is not None and kept.steps == steps
    assert {frame.shape for frame in kept.frames} == {(16, 16, 3)}
