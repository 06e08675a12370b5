"""Pictures made elsewhere are found by their names, judged and kept; nothing is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backends.checkpoints.identity import available, identity, inspect
from backends.checkpoints.picture_folders import pictures_in, placed
from backends.errors import CheckpointError, ModelError
from backends.image.png import encode
from backends.pool import ModelPool
from backends.study import JudgeSpec, Probe, ProbeSet, Sampling, Study
from backends.study.file import read_study
from cache.analysis.scoreboard import scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate
from cache.store import open_store
from cache.store.reading import images_for
from tests.tiny_image import write_tiny_judge

PROBES = (
    Probe("a", "forget", "A cat image in Van Gogh style.", concepts={"object": "cat", "style": "Van_Gogh"}),
    Probe("b", "forget", "A dog image in Van Gogh style.", concepts={"object": "dog", "style": "Van_Gogh"}),
)


def paint(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((24, 24, 3), colour, np.uint8)).save(path)


@pytest.mark.parametrize(
    "names",
    [
        {
            "Van_Gogh_cat_seed188.jpg": ("a", 188),
            "van gogh_dog_seed288.png": ("b", 288),
            "Seed_Images_x.png": None,
        },
        {"a_seed188.png": ("a", 188), "b/288.png": ("b", 288), "c_seed188.png": None},
        {"A cat image in Van Gogh style._seed188.png": ("a", 188), "sub/a_288.webp": ("a", 288)},
    ],
)
def test_files_are_found_by_the_names_of_the_field(
    tmp_path: Path, names: dict[str, tuple[str, int] | None]
) -> None:
    for name in names:
        paint(tmp_path / name, 9)
    found, rest = placed(tmp_path, pictures_in(tmp_path), PROBES, Sampling(seeds=(188, 288)))
    expected = {place: tmp_path / name for name, place in names.items() if place is not None}
    assert dict(found) == expected
    assert rest == [tmp_path / name for name, place in names.items() if place is None]


def test_numbers_are_taken_in_the_order_of_the_probes_where_there_is_one_seed(tmp_path: Path) -> None:
    for name in ("0.jpg", "1.jpg", "2.jpg"):
        paint(tmp_path / "target" / name, 9)
    found, rest = placed(tmp_path, pictures_in(tmp_path), PROBES, Sampling(seeds=(1,)))
    assert {place: path.name for place, path in found.items()} == {("a", 1): "0.jpg", ("b", 1): "1.jpg"}
    assert [path.name for path in rest] == ["2.jpg"]
    assert not placed(tmp_path, pictures_in(tmp_path), PROBES, Sampling(seeds=(1, 2)))[0]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    for part, colour in (("original", 200), ("theirs", 60)):
        for style, shown, seed in (("van_gogh", "cat", 1), ("van_gogh", "dog", 1), ("van_gogh", "cat", 2)):
            paint(tmp_path / part / f"{style}_{shown}_seed{seed}.png", colour + seed)
    paint(tmp_path / "theirs" / "other.png", 3)
    lines = [
        'name = "Elsewhere"\nmodality = "image"\n[sampling]\nseeds = [1, 2]\n[forget]\nstyle = "Van_Gogh"',
        '[[models]]\nname = "Original"\npart = "original"\nsource = "pictures:original"',
        '[[models]]\nname = "Theirs"\npart = "unlearned"\nsource = "pictures:theirs"\nmethod = "ESD"',
        '[[judges]]\ndomain = "object"\npath = "judge"',
        '[[probes]]\nfile = "f.csv"\nrole = "forget"',
    ]
    rows = ["id,prompt,object,style", *(f"{p.id},{p.prompt},{p.concepts['object']},Van_Gogh" for p in PROBES)]
    (tmp_path / "f.csv").write_text("\n".join(rows) + "\n")
    write_tiny_judge(tmp_path / "judge")
    (tmp_path / "study.toml").write_text("\n".join(lines) + "\n")
    return read_study(tmp_path / "study.toml")


def test_a_folder_of_pictures_is_a_model_without_weights(study: Study, tmp_path: Path) -> None:
    store, pool = open_store(tmp_path / "cache" / "evidence.sqlite"), ModelPool("cpu")
    for spec in study.models:
        inspect(spec, "image")
        assert not available(spec)
    with pytest.raises(ModelError, match="no picture of this prompt with seed 2"):
        evaluate(EvaluationContext.of(study, store, pool))
    assert pool.loaded() == []
    found = images_for(study, store, "Theirs", PROBES)
    assert {(probe, seed) for probe, seeds in found.items() for seed in seeds} == {
        ("a", 1),
        ("a", 2),
        ("b", 1),
    }
    with Image.open(store.image_path(found["a"][2].image)) as kept:
        assert np.asarray(kept).max() == 62
        assert kept.info["file"] == "van_gogh_cat_seed2.png"
    assert "object" in found["a"][1].judgements
    run = next(run for run in store.runs("Elsewhere") if run.model == "Theirs")
    assert any(
        "1 files match no prompt and seed of the study, such as other.png" in note for note in run.notes
    )
    frame = scoreboard(study, store).frame.set_index(["model", "key"])
    assert frame.loc[("Theirs", "forget/pixel_distance"), "value"] == pytest.approx(140 / 255)
    assert ("Theirs", "forget/seconds_per_image") not in frame.index  # nobody knows how long it took


def test_other_pictures_are_another_model(study: Study, tmp_path: Path) -> None:
    spec = study.model("Theirs")
    before = identity(spec)
    assert identity(spec) == before
    paint(tmp_path / "theirs" / "van_gogh_cat_seed1.png", 9)
    assert identity(spec) != before


def test_a_folder_without_pictures_is_refused(study: Study, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = replace(study.model("Theirs"), source=f"pictures:{tmp_path / 'empty'}")
    with pytest.raises(CheckpointError, match="holds no pictures"):
        inspect(empty, "image")
    with pytest.raises(CheckpointError, match="language models generate text"):
        inspect(study.model("Theirs"), "text")
    paint(tmp_path / "empty" / "a_seed1.png", 5)
    (tmp_path / "empty" / "a_seed1.png").write_bytes(encode(np.zeros((4, 4, 3), np.uint8), {})[:40])
    store = open_store(tmp_path / "cache2" / "evidence.sqlite")
    alone = Study(
        "Broken",
        "image",
        (replace(empty, part="original"),),
        (ProbeSet("f", "forget", PROBES[:1]),),
        sampling=Sampling(seeds=(1,)),
        judges=(JudgeSpec("object", str(tmp_path / "judge")),),
    )
    with pytest.raises(ModelError, match="this picture cannot be read"):
        evaluate(EvaluationContext.of(alone, store, ModelPool("cpu")))
