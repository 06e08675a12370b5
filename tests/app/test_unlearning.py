"""`unlearnboard unlearn`: checkpoints with recipes, a study that loads, nothing trained twice, plain sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.cli import run
from backends.checkpoints import available
from backends.errors import StudyError
from backends.study_file import read_study
from backends.unlearning.text_methods import LIMITS, METHODS, recipe
from backends.unlearning.text_training import Method
from cache.scoreboard import scoreboard
from cache.store import Store
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
    assert names == ["Original", "NPO 4", "NPO 2", "NPO 4 (mine)"]
    assert all(available(spec) for spec in made.models)
    told = json.loads((Path(made.models[-1].adapter or "") / "recipe.json").read_text())
    assert told["recipe"]["method"]["beta"] == 0.1
    assert told["step"] == 4
    assert told["cost"]["tokens"] > 0 < told["cost"]["changed_parameters"]
    assert run(["evaluate", str(study.parent / "mine" / "study.toml"), "--device", "cpu"]) == 0
    store = Store.open(study.parent / "cache" / "evidence.sqlite")
    loss = scoreboard(made, store).frame.set_index(["model", "key"])["value"].xs("forget/loss", level="key")
    assert loss["NPO 4 (mine)"] > loss["NPO 2"] > loss["Original"]
    assert "It trains on the study's retain probes" in capsys.readouterr().out


def test_the_same_command_trains_nothing_again_and_another_recipe_does(study: Path) -> None:
    weights = study.parent / "mine" / "npo" / "checkpoint-4" / "adapter_model.safetensors"
    assert unlearn(study) == 0
    first, before = weights.stat().st_mtime_ns, load_file(weights)
    assert unlearn(study) == 0
    assert weights.stat().st_mtime_ns == first
    assert unlearn(study, "--set", "lr=2e-2", "steps=4") == 0
    assert weights.stat().st_mtime_ns != first
    assert any((before[name] != tensor).any() for name, tensor in load_file(weights).items())
    assert len(read_study(study.parent / "mine" / "study.toml").models) == 4


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_runs_on_a_study(study: Path, method: str) -> None:
    assert unlearn(study, method=method) == 0
    assert (study.parent / "mine" / method.lower() / "checkpoint-4" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "Nothing"], "there is no method 'Nothing'. There are: GradAscent"),
        (["--set", "lr=fast"], "lr is 'fast', and a number from"),
        (["--set", "steps=2.5"], "a whole number from"),
        (["--set", "speed=1"], "there is no setting 'speed'"),
        (["--set", "beta"], "no NAME=VALUE"),
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
    assert "1 rows are to be forgotten and to be kept: Who is forget 1?" in capsys.readouterr().err
    forget.write_text(rows.replace(ALTERNATE, ""))
    assert unlearn(study, method="AltPO") == 2
    assert (
        "AltPO needs another answer to every forget probe, and 4 have none (forget0"
        in capsys.readouterr().err
    )
    retain.write_text('{"prompt": "Who?"}')
    assert unlearn(study) == 2
    assert "NPO trains on retain rows, and there are none with answers" in capsys.readouterr().err
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
    assert "Lower the learning rate or the steps; nothing was kept" in said
    assert not (study.parent / "mine" / "study.toml").exists()


def test_settings_are_those_that_a_method_has() -> None:
    made = recipe("simnpo", {"beta": "3.5", "delta": "1", "steps": "100"}, checkpoints=4)
    assert (made.name, made.method.beta, made.method.delta, made.method.gamma) == ("SimNPO", 3.5, 1.0, 0.125)
    assert made.schedule.checkpoints == (25, 50, 75, 100)
    assert {"gamma", "alpha", "beta", "beta2", "delta", "keep", "skip_first"} <= set(LIMITS)
    assert METHODS["GradDiffKL"].method == Method("GradDiff", keep=1.0)
    with pytest.raises(StudyError, match="lr is '2', and a number from 1e-08 to 1"):
        recipe("NPO", {"lr": "2"})
