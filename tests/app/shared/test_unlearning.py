"""`unlearnboard unlearn`: checkpoints with recipes, a study that loads, nothing trained twice, plain sentences."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.cli.main import run
from backends.checkpoints.identity import available
from backends.errors import StudyError
from backends.study.file import read_study
from backends.unlearning.recipes import Objective, recipe, settings_of
from backends.unlearning.run_files import RunProgress
from backends.unlearning.text_methods import METHODS
from cache.analysis.scoreboard import scoreboard
from cache.store import open_store
from tests.tiny_text import write_tiny_adapter, write_tiny_model

ALTERNATE = ', "perturbed_answer": ["It is Bo."]'
ROW = '{{"id": "{role}{n}", "prompt": "Who is {role} {n}?", "answer": "It is Ada {n}."' + ALTERNATE + "}}"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny original with an adapter, one older unlearned version, forget and retain probes."""
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    base = write_tiny_model(tmp_path / "base")
    write_tiny_adapter(base, tmp_path / "tuned", seed=3)
    write_tiny_adapter(base, tmp_path / "old", seed=4)
    for role in ("forget", "retain"):
        (tmp_path / f"{role}.jsonl").write_text("\n".join(ROW.format(role=role, n=n) for n in range(4)))
    text = (
        'name = "Tiny"\nmodality = "text"\n[decoding]\nmax_new_tokens = 4\n'
        '[[models]]\nname = "Original"\npart = "original"\nsource = "base"\nadapter = "tuned"\n'
        '[[models]]\nname = "NPO 4"\npart = "unlearned"\nsource = "base"\nadapter = "old"\nmethod = "NPO"\nstep = 4\n'
    )
    text += "".join(f'[[probes]]\nfile = "{role}.jsonl"\nrole = "{role}"\n' for role in ("forget", "retain"))
    (tmp_path / "study.toml").write_text(text)
    return tmp_path / "study.toml"


def unlearn(study: Path, *arguments: str, method: str = "NPO") -> int:
    usual = ["--set", "lr=1e-2", "steps=4", "batch=2", "retain_batch=2", "--checkpoints", "2"]
    place = ["--to", str(study.parent / "mine"), "--device", "cpu"]
    return run(["unlearn", str(study), "--method", method, *usual, *place, *arguments])


def test_checkpoints_are_adapters_with_recipes_in_a_study_that_can_be_evaluated(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unlearn(study) == 0
    made = read_study(study.parent / "mine" / "study.toml")
    names = [spec.name for spec in made.models]
    assert names == ["Original", "NPO 4", "NPO (2) 2", "NPO (2) 4"]
    assert all(available(spec) for spec in made.models)
    told = json.loads((Path(made.models[-1].adapter or "") / "recipe.json").read_text())
    assert told["recipe"]["method"]["beta"] == 0.1
    assert told["step"] == 4
    assert told["cost"]["tokens"] > 0 < told["cost"]["changed_parameters"]
    assert run(["evaluate", str(study.parent / "mine" / "study.toml"), "--device", "cpu"]) == 0
    store = open_store(study.parent / "cache" / "evidence.sqlite")
    values = scoreboard(made, store).frame.set_index(["model", "key"])["value"]
    loss = values.xs("forget/loss", level="key")
    assert values["NPO (2) 4", "all/training_tokens"] == pytest.approx(
        2 * values["NPO (2) 2", "all/training_tokens"]
    )
    assert values["NPO (2) 4", "all/training_seconds"] >= values["NPO (2) 2", "all/training_seconds"] > 0
    trained = told["cost"]["changed_parameters"] / 1e6
    assert values["NPO (2) 4", "all/training_changed_parameters"] == pytest.approx(trained)
    assert ("NPO 4", "all/training_seconds") not in values
    (Path(made.models[-1].adapter or "") / "recipe.json").unlink()  # what it cost is in the cache as well
    again = scoreboard(made, open_store(store.path)).frame.set_index(["model", "key"])["value"]
    assert again["NPO (2) 4", "all/training_tokens"] == values["NPO (2) 4", "all/training_tokens"]
    assert loss["NPO (2) 4"] > loss["NPO (2) 2"] > loss["Original"]
    assert "It trains on the study's retain probes" in capsys.readouterr().out


def test_the_same_command_trains_nothing_again_and_another_recipe_does(study: Path) -> None:
    weights = study.parent / "mine" / "npo-2" / "checkpoint-4" / "adapter_model.safetensors"
    assert unlearn(study) == 0
    first, before = weights.stat().st_mtime_ns, load_file(weights)
    assert unlearn(study) == 0
    assert weights.stat().st_mtime_ns == first
    assert unlearn(study, "--set", "lr=2e-2", "steps=4") == 0
    assert weights.stat().st_mtime_ns == first
    other = load_file(study.parent / "mine" / "npo-3" / "checkpoint-4" / "adapter_model.safetensors")
    assert any((before[name] != tensor).any() for name, tensor in other.items())
    names = [spec.name for spec in read_study(study.parent / "mine" / "study.toml").models]
    assert names == ["Original", "NPO 4", "NPO (2) 2", "NPO (2) 4", "NPO (3) 2", "NPO (3) 4"]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_runs_on_a_study(study: Path, method: str) -> None:
    layer = ["--set", "layer=1", "steps=4", "lr=1e-2"] if method == "RMU" else []
    assert unlearn(study, *layer, method=method) == 0
    folder = "npo-2" if method == "NPO" else method.lower()  # the study has an NPO of its own
    assert (study.parent / "mine" / folder / "checkpoint-4" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "Nothing"], "there is no method 'Nothing' for language models. Available: GradAscent"),
        (["--set", "lr=fast"], "lr is 'fast', and a number from"),
        (["--set", "steps=2.5"], "a whole number from"),
        (["--set", "speed=1"], "there is no setting 'speed'"),
        (["--set", "beta"], "not NAME=VALUE"),
        (["--checkpoints", "0"], "from 1 to 100 checkpoints"),
    ],
)
def test_wrong_settings_are_said_in_one_sentence(
    study: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unlearn(study, *arguments) == 2
    assert words in capsys.readouterr().err
    assert not (study.parent / "mine").exists()


def test_rows_that_do_not_fit_are_named(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget, retain = study.parent / "forget.jsonl", study.parent / "retain.jsonl"
    rows = forget.read_text()
    both = study.parent / "both.jsonl"
    both.write_text(rows.splitlines()[1])
    assert unlearn(study, "--retain", str(both)) == 2
    assert "1 rows are in both the forget and the retain set: Who is forget 1?" in capsys.readouterr().err
    forget.write_text(rows.replace(ALTERNATE, ""))
    assert unlearn(study, method="AltPO") == 2
    assert (
        "AltPO needs an alternate answer for every forget probe, and 4 have none (forget0"
        in capsys.readouterr().err
    )
    retain.write_text('{"prompt": "Who?"}')
    assert unlearn(study) == 2
    assert "NPO trains on retain rows, but none have answers" in capsys.readouterr().err
    assert unlearn(study, method="CEU") == 0
    forget.write_text('{"prompt": "Who?"}')
    assert unlearn(study, method="CEU") == 2
    assert "no forget probes with answers" in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_the_run_and_is_said(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = study.parent / "tuned" / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor * torch.nan for name, tensor in tensors.items()}, weights, {"format": "pt"})
    assert unlearn(study) == 2
    said = capsys.readouterr().err
    assert "NPO: the loss is nan at step 1" in said
    assert "Lower the learning rate or the steps; no checkpoint was saved" in said
    assert not (study.parent / "mine" / "study.toml").exists()


def test_settings_are_those_that_a_method_has() -> None:
    made = recipe(METHODS["SimNPO"], {"beta": "3.5", "delta": "1", "steps": "100"}, checkpoints=4)
    assert made.objective == Objective("SimNPO", 0.125, 1.0, own={"beta": 3.5, "delta": 1.0})
    assert made.schedule.checkpoints == (25, 50, 75, 100)
    assert recipe(METHODS["GradDiffKL"], {}).objective == Objective("GradDiffKL", keep=1.0)
    with pytest.raises(StudyError, match="lr is '2', and a number from 1e-08 to 1"):
        recipe(METHODS["NPO"], {"lr": "2"})
    with pytest.raises(StudyError, match=r"there is no setting 'beta'\. Available: lr, steps"):
        recipe(METHODS["GradAscent"], {"beta": "2"})


@pytest.mark.parametrize("name", sorted(METHODS))
def test_usual_settings_are_the_recipes(name: str) -> None:
    made = recipe(METHODS[name], {}).objective.settings(METHODS[name])
    for key, setting in settings_of(METHODS[name]).items():
        assert setting.low <= setting.usual <= setting.high
        assert setting.help.endswith(".")
        assert made.get(key, setting.usual) == setting.usual


def reached(told: list[int], end: int) -> bool:
    return max(told, default=0) >= end


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*.safetensors")))


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(study: Path) -> None:
    from app.shared.unlearning import UnlearningRequest, prepare
    from backends.errors import Cancelled

    settings = {"lr": "1e-2", "steps": "6", "batch": "2", "retain_batch": "2", "alpha": "1", "dual_rate": "1"}
    for method in ("NPO", "PDU"):
        given = settings if method == "PDU" else {k: v for k, v in settings.items() if k != "dual_rate"}
        whole = prepare(read_study(study), UnlearningRequest(method, given, 2, study.parent / "whole"))
        whole.run("cpu", lambda told: None, lambda: False)
        parts = prepare(read_study(study), UnlearningRequest(method, given, 2, study.parent / "parts"))
        told: list[int] = []

        def show(step: RunProgress, told: list[int] = told) -> None:
            told.append(step.step)

        for end in (2, 4, 5):
            with pytest.raises(Cancelled):
                parts.run("cpu", show, partial(reached, told, end))
        parts.run("cpu", show, lambda: False)
        assert told == [0, 1, 2, 3, 4, 5, 6]
        for step in (3, 6):
            ours, theirs = (weights_of(each.files.path / f"checkpoint-{step}") for each in (parts, whole))
            assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        assert not (parts.files.path / "state.safetensors").exists()


def test_all_weights_can_be_trained_and_only_what_changed_is_kept(study: Path) -> None:
    text = (
        study.read_text().replace('adapter = "tuned"\n', "").replace('adapter = "old"\n', 'weights = "x"\n')
    )
    study.write_text(
        text.split("[[models]]")[0]
        + "[[models]]"
        + text.split("[[models]]")[1]
        + "[[probes]]"
        + text.split("[[probes]]", 1)[1]
    )
    layer = ["--set", "layer=0", "steps=4", "lr=1e-2", "rank=0"]
    assert unlearn(study, *layer, method="RMU") == 0
    kept = weights_of(study.parent / "mine" / "rmu" / "checkpoint-4")
    assert kept
    assert all("layers.1." not in name and "lm_head" not in name for name in kept)
    made = read_study(study.parent / "mine" / "study.toml")
    assert run(["evaluate", str(study.parent / "mine" / "study.toml"), "--device", "cpu"]) == 0
    store = open_store(study.parent / "cache" / "evidence.sqlite")
    loss = scoreboard(made, store).frame.set_index(["model", "key"])["value"].xs("forget/loss", level="key")
    assert loss["RMU 4"] != loss["RMU 2"] != loss["Original"]


@pytest.mark.parametrize("rank", ["16", "0"])
def test_task_arithmetic_is_the_original_minus_what_training_added(study: Path, rank: str) -> None:
    from backends.pool import ModelPool

    settings = ["--set", "lr=1e-2", "steps=4", "batch=2", f"rank={rank}"]
    assert unlearn(study, *settings, "scale=0.5", method="TaskArithmetic") == 0
    assert unlearn(study, *settings, "scale=0", method="TaskArithmetic") == 0
    assert unlearn(study, *settings, "alpha=0", method="IdkNLL") == 0
    made = read_study(study.parent / "mine" / "study.toml")
    found = {}
    for name in ("Original", "TaskArithmetic 4", "TaskArithmetic (2) 4"):
        models = ModelPool("cpu").text([made.model(name)])
        from backends.interfaces import ScoreItem

        items = [ScoreItem("Who is forget 1?", "It is Ada 1.")]
        (scored,) = list(models.score(name, items, lambda: False))
        found[name] = float(scored.scores.logprobs.mean())
    assert found["TaskArithmetic (2) 4"] == pytest.approx(found["Original"], abs=1e-5)
    assert found["TaskArithmetic 4"] < found["Original"]


OWN = """
from backends.unlearning.text_losses import cross_entropy
from backends.unlearning.text_method import LossInputs, Setting, Settings, TextMethod

def loss(seen: LossInputs, use: Settings):
    return -use["force"] * cross_entropy(seen.nll, seen.n)

METHOD = TextMethod("Mine", "Ascent with a factor.", "nobody 2026", loss, own={"force": Setting(0, 10, "How hard.", 2)})
"""


def test_a_method_of_ones_own_is_one_file(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = study.parent / "mine.py"
    own.write_text(OWN)
    assert unlearn(study, "--set", "force=3", "steps=4", "lr=1e-2", method=str(own)) == 0
    recipe_file = study.parent / "mine" / "mine" / "checkpoint-4" / "recipe.json"
    assert json.loads(recipe_file.read_text())["recipe"]["method"]["own"] == [["force", 3.0]]
    assert "Mine: Ascent with a factor. (nobody 2026)" in capsys.readouterr().out
    own.write_text(OWN + "# changed")
    assert unlearn(study, "--set", "force=3", "steps=4", "lr=1e-2", method=str(own)) == 0
    assert (study.parent / "mine" / "mine-2").is_dir()
    for text, words in [
        ("x = 1", "has no METHOD"),
        ("1 / 0", "cannot be run (ZeroDivisionError"),
        (OWN.replace('"Mine"', '"NPO"'), "'NPO' is not a valid name"),
        (OWN.replace("own=", 'needs=("mask",), own='), "METHOD needs 'mask', which does not exist"),
    ]:
        own.write_text(text)
        assert unlearn(study, method=str(own)) == 2
        assert words in capsys.readouterr().err


def test_a_loss_that_uses_what_it_did_not_ask_for_is_told_so(study: Path) -> None:
    own = study.parent / "mine.py"
    own.write_text(OWN.replace("seen.nll, seen.n", "seen.reference_nll, seen.n"))
    with pytest.raises(ValueError, match="uses 'reference', which is not in the method's `needs`"):
        unlearn(study, method=str(own))


def test_a_loss_that_reads_a_setting_it_does_not_list_is_told_so(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = study.parent / "mine.py"
    own.write_text(OWN.replace('use["force"]', 'use["beta"]'))
    assert unlearn(study, method=str(own)) == 2
    assert "reads a setting 'beta' that it does not list. List it in `own`" in capsys.readouterr().err


def test_a_grid_is_a_run_for_every_combination(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unlearn(study, "--grid", "beta=0.1,0.5", "alpha=0,1") == 0
    made = read_study(study.parent / "mine" / "study.toml")
    methods = {spec.method for spec in made.models}
    assert {"NPO beta=0.1 alpha=0", "NPO beta=0.5 alpha=1"} < methods
    assert len(made.models) == 2 + 4 * 2
    assert unlearn(study, "--grid", "beta") == 2
    assert "not NAME=VALUE,VALUE" in capsys.readouterr().err


def test_the_run_ends_when_utility_is_too_low(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        unlearn(
            study, "--set", "lr=0.3", "steps=8", "stop_below=0.95", "--checkpoints", "4", method="GradAscent"
        )
        == 0
    )
    folder = study.parent / "mine" / "gradascent"
    told = json.loads((folder / "run.json").read_text())
    assert told["ended"].startswith("utility is ")
    assert f"GradAscent stopped early: {told['ended']}" in capsys.readouterr().out
    assert len(told["steps"]) < 4
    assert (
        unlearn(
            study, "--set", "lr=0.3", "steps=8", "stop_below=0.95", "--checkpoints", "4", method="GradAscent"
        )
        == 0
    )
    assert json.loads((folder / "run.json").read_text()) == told


def test_a_full_disk_keeps_what_was_saved(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from backends.unlearning import run_files

    write = run_files._write

    def full(path: Path, value: object) -> None:
        if "checkpoint-4" in str(path):
            raise OSError(28, "No space left on device")
        write(path, value)

    monkeypatch.setattr(run_files, "_write", full)
    assert unlearn(study) == 2
    said = capsys.readouterr().err
    assert (
        "the checkpoint cannot be saved (the disk is full" in said or "cannot be saved (No space" in said
    ), said
    assert "the same command resumes" in said
    folder = study.parent / "mine" / "npo-2"
    assert (folder / "checkpoint-2" / "recipe.json").is_file()
    assert not list(folder.glob("*.part"))
    monkeypatch.undo()
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(study.parent / "cache"))
    first = (folder / "checkpoint-2" / "recipe.json").stat().st_mtime_ns
    assert unlearn(study) == 0
    assert (folder / "checkpoint-2" / "recipe.json").stat().st_mtime_ns == first
