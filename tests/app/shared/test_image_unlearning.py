"""`unlearnboard unlearn` on image models: every method on both kinds of pipeline, resuming, plain sentences."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from app.cli.main import run
from app.shared.unlearning import UnlearningRequest, prepare
from backends.errors import Cancelled
from backends.pool import ModelPool
from backends.study.file import read_study
from backends.unlearning.image_methods import METHODS
from backends.unlearning.run_files import RunProgress
from backends.unlearning.run_log import read_log
from tests.tiny_families import write_tiny_flux, write_tiny_sd3, write_tiny_sdxl
from tests.tiny_image import write_tiny_pipeline, write_tiny_stable_diffusion

SMALL = ["--set", "batch=2", "pictures=1"]


def write_study(folder: Path, *, stable: bool = False, pictures: bool = False) -> Path:
    (write_tiny_stable_diffusion if stable else write_tiny_pipeline)(folder / "model")
    rows = {"forget": [("cat", "neon"), ("rocket", "neon")], "retain": [("cat", "flat"), ("rocket", "flat")]}
    text = 'name = "Tiny"\nmodality = "image"\n[sampling]\nsteps = 2\nseeds = [1]\n[forget]\nstyle = "neon"\n'
    text += '[[models]]\nname = "Original"\npart = "original"\nsource = "model"\n'
    for role, pairs in rows.items():
        lines = [
            {"prompt": f"a {thing} in {style} style", "object": thing, "style": style}
            for thing, style in pairs
        ]
        (folder / f"{role}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        text += f'[[probes]]\nfile = "{role}.jsonl"\nrole = "{role}"\n'
        if pictures:
            (folder / "real" / role).mkdir(parents=True)
            named = [{"file_name": f"{n}.png", "text": line["prompt"]} for n, line in enumerate(lines)]
            (folder / "real" / role / "metadata.jsonl").write_text("\n".join(map(json.dumps, named)))
            for n in range(2):
                Image.new("RGB", (24, 24), (90 * n, 30, 200)).save(folder / "real" / role / f"{n}.png")
    if pictures:
        text += '[denoising]\nforget = "real/forget"\nretain = "real/retain"\n'
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"


def unlearn(study: Path, method: str, *arguments: str, steps: int = 2) -> int:
    place = ["--to", str(study.parent / "mine"), "--device", "cpu", "--checkpoints", "2"]
    small = [] if method == "UCE" else [*SMALL, f"steps={steps}"]
    return run(["unlearn", str(study), "--method", method, *small, *arguments, *place])


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_makes_versions_that_load_and_differ(tmp_path: Path, method: str, stable: bool) -> None:
    study = write_study(tmp_path, stable=stable)
    assert unlearn(study, method) == 0
    made = read_study(tmp_path / "mine" / "study.toml")
    assert [spec.method for spec in made.models] == ["", method, method]
    component = METHODS[method].component
    changed = load_file(made.models[2].weights or "")
    assert changed
    assert all(name.startswith(f"{component}.") for name in changed)
    models = ModelPool("cpu").image(made.models)
    report = models.report(made.models[2].name, "Original")
    assert report.changed > 0
    cost = json.loads((Path(made.models[2].weights or "").parent / "recipe.json").read_text())["cost"]
    assert cost["changed_parameters"] == sum(tensor.numel() for tensor in changed.values())


def test_real_pictures_are_taken_where_the_study_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(tmp_path, pictures=True)
    assert unlearn(study, "ESD") == 0
    said = capsys.readouterr().out
    assert "pictures are the study's real ones" in said
    assert "“a cat in neon style” is to become “a cat in flat style”" in said


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path, pictures=True))
    asked = {"batch": "2", "steps": "4"}
    whole = prepare(study, UnlearningRequest("SalUn", asked, 2, tmp_path / "whole"))
    whole.run("cpu", lambda told: None, lambda: False)
    parts = prepare(study, UnlearningRequest("SalUn", asked, 2, tmp_path / "parts"))
    told: list[int] = []

    def show(step: RunProgress) -> None:
        told.append(step.step)

    with pytest.raises(Cancelled):
        parts.run("cpu", show, lambda: max(told, default=0) >= 3)
    parts.run("cpu", show, lambda: False)
    assert told == [0, 1, 2, 3, 4]
    ours, theirs = (
        load_file(each.files.path / "checkpoint-4" / "changed.safetensors") for each in (parts, whole)
    )
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert [line["step"] for line in read_log(parts.files.path)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("NPO", [], "there is no method 'NPO' for images. Available: ESD"),
        ("ESD", ["--set", "eta=-1"], "eta is '-1', and a number from 0"),
        ("ESD", ["--retain", "x.jsonl"], "image models keep the pictures of [denoising] retain"),
        ("UCE", ["--set", "steps=200"], "a closed-form method goes at most 100 per cent of the way"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(
    tmp_path: Path, method: str, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(tmp_path)
    assert run(["unlearn", str(study), "--method", method, *arguments, "--to", str(tmp_path / "mine")]) == 2
    assert words in capsys.readouterr().err


def test_prompts_in_both_sets_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path)
    both = (tmp_path / "retain.jsonl").read_text() + (tmp_path / "forget.jsonl").read_text()
    (tmp_path / "retain.jsonl").write_text(both)
    assert unlearn(study, "ESD") == 2
    assert (
        "2 prompts are in both the forget and the retain set: a cat in neon style" in capsys.readouterr().err
    )


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from backends.unlearning.image_training import ImageTraining

    step = ImageTraining.step
    monkeypatch.setattr(ImageTraining, "step", lambda self: float("nan") if self.done == 3 else step(self))
    study = write_study(tmp_path, pictures=True)
    assert unlearn(study, "GradAscent", steps=6) == 2
    said = capsys.readouterr().err
    assert "GradAscent: the loss is nan at step 4" in said
    assert "checkpoints up to step 3" in said
    assert [spec.name for spec in read_study(tmp_path / "mine" / "study.toml").models] == [
        "Original",
        "GradAscent 3",
    ]


def test_a_step_whose_loss_is_no_number_changes_nothing(tmp_path: Path) -> None:
    from backends.image.checkpoints.folders import load_pipeline
    from backends.unlearning.image_concepts import gather
    from backends.unlearning.image_settings import settings_of
    from backends.unlearning.image_training import ImageTraining

    study = read_study(write_study(tmp_path, pictures=True))
    pipe = load_pipeline(tmp_path / "model", torch.float32)
    use = {key: setting.usual for key, setting in settings_of(METHODS["ESD"]).items()}
    concepts = gather(pipe, study, METHODS["ESD"], use, "flat", lambda: False)
    concepts.forget.fill_(float("nan"))
    training = ImageTraining(METHODS["ESD"], use, pipe.unet, None, pipe.scheduler, concepts)
    before = {name: weight.detach().clone() for name, weight in training.parameters.items()}
    assert training.step() != training.step()
    assert training.done == 0
    assert all(torch.equal(weight, before[name]) for name, weight in training.parameters.items())


OWN = """
from backends.unlearning.image_losses import predict
from backends.unlearning.image_method import ImageMethod

def loss(edited, original, batch, use):
    return predict(edited, batch.noisy, batch.timesteps, batch.states).square().mean()

METHOD = ImageMethod("Blank", "Predicts nothing.", "nobody 2026", loss, trains=("attn2",))
"""


def test_a_method_of_ones_own_is_one_file(tmp_path: Path) -> None:
    study = write_study(tmp_path, pictures=True)
    (tmp_path / "blank.py").write_text(OWN)
    assert unlearn(study, str(tmp_path / "blank.py")) == 0
    assert read_study(tmp_path / "mine" / "study.toml").models[-1].name == "Blank 2"


def test_a_loss_that_reads_a_setting_it_does_not_list_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(tmp_path, pictures=True)
    (tmp_path / "blank.py").write_text(OWN.replace("return ", 'return use["eta"] * '))
    assert unlearn(study, str(tmp_path / "blank.py")) == 2
    assert "reads a setting 'eta' that it does not list. List it in `own`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (
            write_tiny_sdxl,
            "a StableDiffusionXLPipeline cannot be unlearned here, since it has several text encoders",
        ),
        (write_tiny_sd3, "a StableDiffusion3Pipeline cannot be unlearned here, since it has no UNet"),
        (write_tiny_flux, "a FluxPipeline cannot be unlearned here, since it has no UNet"),
    ],
)
def test_other_families_are_refused_before_anything_is_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write: Callable[[Path], Path],
    said: str,
) -> None:
    study = write_study(tmp_path)
    shutil.rmtree(tmp_path / "model")
    write(tmp_path / "model")
    monkeypatch.setattr(
        "backends.unlearning.image_runs.load_pipeline", lambda *_: pytest.fail("it was loaded")
    )
    assert unlearn(study, "ESD") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
