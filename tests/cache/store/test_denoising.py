"""Denoising losses of real pictures: as a written-out loop has them, kept picture by picture, and what follows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import pixel_unshuffle

from backends.checkpoints.tensors import file_digest
from backends.errors import Cancelled, CheckpointError, ModelError, StudyError
from backends.image.checkpoints.folders import load_pipeline
from backends.image.denoising import denoising_losses
from backends.image.real_pictures import real_pictures
from backends.metrics.denoising import loss_difference, mean_losses
from backends.pool import ModelPool
from backends.study import Denoising, ModelSpec, Probe, ProbeSet, Sampling, Study
from backends.study.file import read_study
from backends.study.writing import write_study
from cache.analysis.denoising_rows import denoising_rows
from cache.analysis.scoreboard import scoreboard
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import evaluate, plan
from cache.store import open_store
from cache.store.denoising import denoising_of, gather_denoising, stamp
from tests.damage import damage
from tests.tiny_image import SIDE, write_tiny_pipeline, write_tiny_stable_diffusion, write_tiny_weights

STEPS = (5, 500, 950)


def write_pictures(folder: Path, count: int, seed: int) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(folder / f"{number}.png")
        rows.append(json.dumps({"file_name": f"{number}.png", "text": "cat neon"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("denoising")
    original = write_tiny_pipeline(root / "original")
    weights = write_tiny_weights(root / "esd.safetensors", original)
    models = (
        ModelSpec("Original", "original", str(original)),
        ModelSpec("ESD", "unlearned", str(original), weights=str(weights)),
    )
    denoising = Denoising(
        forget=str(write_pictures(root / "forget", 4, 0)),
        holdout=str(write_pictures(root / "holdout", 3, 1)),
        timesteps=STEPS,
    )
    probes = ProbeSet("f", "forget", (Probe("p", "forget", "cat"),))
    return Study("D", "image", models, (probes,), sampling=Sampling(2, seeds=(1,)), denoising=denoising)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_losses_are_those_of_a_written_out_loop(study: Study, kind: str) -> None:
    pipe = load_pipeline(Path(study.original.source), torch.float32)
    pipe.scheduler.register_to_config(prediction_type=kind)
    assert study.denoising is not None
    pictures = real_pictures(Path(study.denoising.forget))
    found = dict(denoising_losses(pipe, pictures, STEPS, lambda: False))
    for picture in pictures:
        pixels = torch.from_numpy(np.asarray(Image.open(picture.path).convert("RGB")).copy())[None]
        clean = pixel_unshuffle(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1, pipe.patch)
        generator = torch.Generator().manual_seed(int(file_digest(picture.path)[:12], 16))
        noise = torch.randn((len(STEPS), *clean.shape[1:]), generator=generator)
        for place, step in enumerate(STEPS):
            kept = pipe.scheduler.alphas_cumprod[step]
            noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise[place : place + 1]
            with torch.no_grad():
                said = pipe.unet(noisy, step, encoder_hidden_states=pipe.encode([picture.prompt])).sample
            target = clean[0] if kind == "sample" else noise[place]
            if kind == "v_prediction":
                target = kept.sqrt() * noise[place] - (1 - kept).sqrt() * clean[0]
            assert found[picture][place] == pytest.approx(float(((said[0] - target) ** 2).mean()), rel=1e-4)


def test_a_stable_diffusion_has_losses_too(study: Study, tmp_path: Path) -> None:
    pipe = load_pipeline(write_tiny_stable_diffusion(tmp_path / "sd"), torch.float32)
    assert study.denoising is not None
    (first, *_), (again, *_) = (
        list(
            denoising_losses(pipe, real_pictures(Path(study.denoising.forget))[:count], STEPS, lambda: False)
        )
        for count in (1, 2)
    )
    assert first == again and len(first[1]) == len(STEPS) and all(loss > 0 for loss in first[1])


def test_losses_are_kept_one_by_one_and_never_computed_again(study: Study, tmp_path: Path) -> None:
    store, pool, said = (
        open_store(tmp_path / "evidence.sqlite"),
        ModelPool("cpu"),
        list[tuple[str, int, int]](),
    )
    spec = study.model("ESD")

    def tell(role: str, done: int, total: int) -> None:
        said.append((role, done, total))

    with pytest.raises(Cancelled):
        gather_denoising(study, store, pool, spec, tell, lambda: len(said) > 2)
    kept = len(denoising_of(study, store, "ESD")["forget"])
    assert 0 < kept < 4
    said.clear()
    gather_denoising(study, store, pool, spec, tell, lambda: False)
    assert said[0] == ("forget", kept, 4)
    found = denoising_of(study, store, "ESD")
    assert {role: len(losses) for role, losses in found.items()} == {"forget": 4, "holdout": 3}
    said.clear()
    gather_denoising(study, store, pool, spec, tell, lambda: False)
    assert said == [("forget", 4, 4), ("holdout", 3, 3)]


def test_a_damaged_loss_counts_as_none_and_is_computed_again(study: Study, tmp_path: Path) -> None:
    store, pool = open_store(tmp_path / "evidence.sqlite"), ModelPool("cpu")
    spec = study.model("ESD")
    gather_denoising(study, store, pool, spec, lambda *_: None, lambda: False)
    whole, before = denoising_of(study, store, "ESD"), stamp(study, store)
    assert damage(store.path, "losses", cells=1) == 1
    again = open_store(store.path)
    assert sum(len(losses) for losses in denoising_of(study, again, "ESD").values()) == 6
    assert again.damaged() == 1
    assert stamp(study, again) != before
    gather_denoising(study, again, pool, spec, lambda *_: None, lambda: False)
    assert denoising_of(study, again, "ESD") == whole and again.damaged() == 0


def test_the_metrics_follow_from_the_losses(study: Study, tmp_path: Path) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    evaluate(EvaluationContext.of(study, store, ModelPool("cpu")))
    ours, base = denoising_of(study, store, "ESD"), denoising_of(study, store, "Original")
    rows = {row[2]: row for row in denoising_rows(study, store, "ESD")}
    change = [np.mean(ours["forget"][name]) - np.mean(base["forget"][name]) for name in ours["forget"]]
    assert rows["forget/denoising_difference"][3] == pytest.approx(np.mean(change))
    pairs = [
        (np.mean(a) < np.mean(b)) + 0.5 * (np.mean(a) == np.mean(b))
        for a in ours["forget"].values()
        for b in ours["holdout"].values()
    ]
    assert rows["forget/denoising_auc"][3] == pytest.approx(np.mean(pairs))
    frame = scoreboard(study, store).frame.set_index(["model", "key"])
    assert frame.loc[("ESD", "forget/denoising_auc"), "value"] == pytest.approx(np.mean(pairs))
    assert frame.loc[("Original", "forget/denoising_difference"), "value"] == 0


def test_by_hand() -> None:
    model, original = np.array([[2.0, 4.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [1.0, 1.0]])
    assert loss_difference(model, original).tolist() == [2.0, 0.0]
    assert mean_losses(model).tolist() == [3.0, 1.0]


def test_the_study_file_names_the_folders(study: Study, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text('{"prompt": "cat"}\n')
    on_disk = replace(study, probe_sets=(replace(study.probe_sets[0], path=str(tmp_path / "f.jsonl")),))
    write_study(on_disk, tmp_path / "study.toml")
    assert read_study(tmp_path / "study.toml").denoising == study.denoising
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "bad.toml").write_text(text.replace("[5, 500, 950]", "[5, 5]"))
    with pytest.raises(StudyError, match="a list of different whole numbers"):
        read_study(tmp_path / "bad.toml")


def test_folders_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"has no metadata\.jsonl or metadata\.csv"):
        real_pictures(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,text\nnot-there.png,cat\n")
    with pytest.raises(StudyError, match="row 1 needs a file_name that is there"):
        real_pictures(tmp_path)


def test_losses_that_cannot_be_had_are_named_and_everything_else_is_evaluated(
    study: Study, tmp_path: Path
) -> None:
    store = open_store(tmp_path / "evidence.sqlite")
    bad = write_pictures(tmp_path / "bad", 2, 5)
    (bad / "1.png").write_bytes(b"no picture")
    assert study.denoising is not None
    broken = replace(study, denoising=replace(study.denoising, forget=str(bad), holdout=""))
    with pytest.raises(ModelError) as e:
        evaluate(EvaluationContext.of(broken, store, ModelPool("cpu")))
    assert str(e.value).startswith(
        "Denoising losses left out of Original, ESD; everything else is evaluated: "
    )
    assert "1.png: this picture cannot be read" in str(e.value)
    assert plan(broken, store, "float32").missing == 0
    assert {run.status for run in store.runs(study.name)} == {"complete"}
    notes = [[note for note in run.notes if "losses left out" in note] for run in store.runs(study.name)]
    assert [len(each) for each in notes] == [1, 1] and "1.png" in notes[0][0]

    Image.new("RGB", (SIDE, SIDE)).save(bad / "1.png")
    evaluate(EvaluationContext.of(broken, store, ModelPool("cpu")))
    assert not [note for run in store.runs(study.name) for note in run.notes if "losses left out" in note]
    assert len(denoising_of(broken, store, "ESD")["forget"]) == 2


def test_one_model_without_losses_does_not_keep_another_from_having_them(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, pool = open_store(tmp_path / "evidence.sqlite"), ModelPool("cpu")
    real = pool.image_pipeline

    def choosy(spec: ModelSpec) -> object:
        if spec.part == "original":
            raise CheckpointError("half of it is missing", where="unet", how="Fetch it")
        return real(spec)

    monkeypatch.setattr(pool, "image_pipeline", choosy)
    odd = replace(study.probe_sets[0].probes[0], id="odd", prompt=" ")
    two = replace(
        study, probe_sets=(replace(study.probe_sets[0], probes=(*study.probe_sets[0].probes, odd)),)
    )
    with pytest.raises(ModelError) as e:
        evaluate(EvaluationContext.of(two, store, pool))
    assert str(e.value) == (
        "f, probe odd: 1 probe left out with Original, ESD and denoising losses left out of Original; "
        "everything else is evaluated: the prompt is empty; unet: half of it is missing. "
        "Write what the picture should show"
    )
    assert denoising_of(two, store, "Original") == {}
    assert {role: len(rows) for role, rows in denoising_of(two, store, "ESD").items()} == {
        "forget": 4,
        "holdout": 3,
    }
