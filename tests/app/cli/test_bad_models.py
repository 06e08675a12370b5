"""One bad model never stops the others: evaluating, listing, opening a dashboard, comparing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli import main as cli
from backends.checkpoints.usable import problems
from backends.study import ModelSpec, Study
from backends.study.file import read_study
from cache.evaluate.context import EvaluationContext
from cache.evaluate.evaluation import numerics_of, plan
from cache.store import open_store
from cache.store.model_checks import model_check
from tests.tiny_image import write_tiny_pipeline, write_tiny_weights
from tests.tiny_text import write_tiny_adapter, write_tiny_model


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UNLEARNBOARD_STUDIES", raising=False)


def model(name: str, part: str, **keys: str) -> str:
    lines = [f'name = "{name}"', f'part = "{part}"', *(f'{key} = "{value}"' for key, value in keys.items())]
    return "[[models]]\n" + "\n".join(lines) + "\n"


@pytest.fixture
def image_study(tmp_path: Path) -> Path:
    """Nine models; the fourth holds NaN, the sixth is cut off, the eighth is not there."""
    import torch
    from safetensors.torch import load_file, save_file

    original = write_tiny_pipeline(tmp_path / "original")
    text = 'name = "Nine"\nmodality = "image"\n[sampling]\nsteps = 2\nseeds = [1]\n'
    text += model("Original", "original", source="original")
    for number in range(1, 9):
        file = write_tiny_weights(tmp_path / f"v{number}.safetensors", original, by=number / 10)
        if number == 3:
            state = load_file(file)
            first = next(iter(state))
            save_file(state | {first: torch.full_like(state[first], torch.nan)}, file)
        elif number == 5:
            file.write_bytes(file.read_bytes()[:-100])
        elif number == 7:
            file.unlink()
        text += model(f"V{number}", "unlearned", source="original", weights=file.name)
    (tmp_path / "f.csv").write_text("prompt\na cat\n")
    text += '[[probes]]\nfile = "f.csv"\nrole = "forget"\n'
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


@pytest.fixture
def text_study(tmp_path: Path) -> Path:
    """An original and two adapters, the first of which is cut off."""
    base = write_tiny_model(tmp_path / "base")
    for name in ("bad", "good"):
        write_tiny_adapter(base, tmp_path / name, seed=len(name))
    file = tmp_path / "bad" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    rows = [{"question": "Who is Ann?", "answer": "A baker."}]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, rows)))
    text = 'name = "Three"\nmodality = "text"\n[decoding]\nmax_new_tokens = 3\n'
    text += model("Original", "original", source="base")
    text += "".join(model(n.title(), "unlearned", source="base", adapter=n) for n in ("bad", "good"))
    text += '[[probes]]\nfile = "f.jsonl"\nrole = "forget"\n'
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def complete(study: Study, tmp_path: Path) -> set[str]:
    runs = open_store(tmp_path / "cache" / "evidence.sqlite").runs(study.name)
    return {run.model for run in runs if run.status == "complete"}


def test_of_nine_image_models_six_are_evaluated_and_three_are_listed_at_the_end(
    image_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["evaluate", str(image_study)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert complete(read_study(image_study), tmp_path) == {"Original", "V1", "V2", "V4", "V6", "V8"}
    head, *each = said[-4:]
    assert head == "unlearnboard: 3 models could not be evaluated; everything else is evaluated: V3, V5, V7."
    assert "v3.safetensors" in each[0] and "NaN" in each[0]
    assert each[1].startswith("  V5: ") and "v5.safetensors: the file is truncated" in each[1]
    assert each[2].startswith("  V7: ") and "No such file" in each[2]
    assert cli.run(["evaluate", str(image_study), "--models", "V1", "V2"]) == 0


def test_models_tells_of_every_model_that_loads(
    image_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["models", str(image_study), "--json"]) == 2
    printed = capsys.readouterr()
    named = [json.loads(line)["model"] for line in printed.out.splitlines()]
    assert named == ["Original", "V1", "V2", "V4", "V6", "V8"]
    for name in ("V3", "V5", "V7"):
        assert sum(name.lower() in line.lower() for line in printed.err.splitlines()) == 1
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    assert model_check(read_study(image_study), store, "V8") is not None


def test_a_language_model_that_cannot_be_read_is_listed_and_the_next_is_evaluated(
    text_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["evaluate", str(text_study)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(
        "unlearnboard: 1 model could not be evaluated; everything else is evaluated: Bad: "
    )
    assert "truncated" in last
    assert complete(read_study(text_study), tmp_path) == {"Original", "Good"}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """Opens the dashboard up to the start of the server."""
    from tests.app.cli.test_cli import _free_port

    monkeypatch.setattr("runpy.run_module", lambda *_, **__: None)
    return lambda path: cli.run([str(path), "--port", str(_free_port()), "--no-browser"])


def test_a_dashboard_opens_with_a_bad_model_and_says_which(
    text_study: Path, opened: Callable[[Path], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert opened(text_study) == 0
    assert "Cannot be used: Bad: " in capsys.readouterr().err


def test_a_dashboard_does_not_open_without_its_original(
    text_study: Path, tmp_path: Path, opened: Callable[[Path], int], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(tmp_path / "base")
    assert opened(text_study) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_the_plan_says_of_a_bad_model_why_and_counts_the_others(text_study: Path, tmp_path: Path) -> None:
    from backends.pool import ModelPool

    study = read_study(text_study)
    assert list(problems(study)) == ["Bad"]
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    known = plan(study, store, numerics_of(ModelPool("cpu"), study))
    assert list(known.problems) == ["Bad"] and known.problems["Bad"].startswith("Bad: ")
    assert {item.model for item in known.items if item.missing} >= {"Original", "Good"}


def test_all_other_language_models_answer_and_the_bad_one_says_why(text_study: Path, tmp_path: Path) -> None:
    from app.pages.compare.cards import board
    from app.pages.compare.comparison import text_columns
    from backends.pool import ModelPool
    from cache.evaluate.compare import compare_text

    study = read_study(text_study)
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    probe = study.probe_sets[0].probes[0]
    names = [spec.name for spec in study.models]
    told: dict[str, str] = {}
    compare_text(
        EvaluationContext.of(study, store, ModelPool("cpu")),
        names,
        probe,
        study.decoding,
        on_problem=lambda name, error: told.update({name: str(error)}),
    )
    assert list(told) == ["Bad"]
    columns = text_columns(study, store, probe, names, study.decoding, problems=told)
    assert [bool(column.answers) and column.scores is not None for column in columns] == [True, False, True]
    card = board(study, probe, columns, "answers", dark=False)["cards"][1]
    assert "truncated" in card["message"] and card["tone"] == "error"


def test_a_language_model_that_breaks_while_it_loads_lets_the_others_answer(
    text_study: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    from backends.pool import ModelPool
    from cache.evaluate.compare import compare_text
    from tests.tiny_text import write_tiny_adapter

    write_tiny_adapter(tmp_path / "base", tmp_path / "bad", seed=3)
    file = tmp_path / "bad" / "adapter_model.safetensors"
    state = load_file(file)
    save_file({name: tensor * float("nan") for name, tensor in state.items()}, file, {"format": "pt"})
    study = read_study(text_study)
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    probe = study.probe_sets[0].probes[0]
    told: dict[str, str] = {}
    compare_text(
        EvaluationContext.of(study, store, ModelPool("cpu")),
        ["Original", "Bad", "Good"],
        probe,
        study.decoding,
        on_problem=lambda name, error: told.update({name: str(error)}),
    )
    from cache.store.reading import evidence_for

    assert list(told) == ["Bad"]
    for name in ("Original", "Good"):
        found = evidence_for(study, store, name, [probe])[probe.id]
        assert found.answers and found.scores


def test_all_other_image_models_draw_and_the_bad_ones_say_why(image_study: Path, tmp_path: Path) -> None:
    from app.pages.compare.comparison import image_columns
    from backends.pool import ModelPool
    from cache.evaluate.compare import compare_images

    study = read_study(image_study)
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    probe = study.probe_sets[0].probes[0]
    names = ["Original", "V2", "V3", "V5", "V8"]
    told: dict[str, str] = {}
    compare_images(
        EvaluationContext.of(study, store, ModelPool("cpu")),
        names,
        probe,
        study.sampling,
        on_problem=lambda name, error: told.update({name: str(error)}),
    )
    assert sorted(told) == ["V3", "V5"]
    columns = image_columns(study, store, probe, names, study.sampling, told)
    assert [list(column.pictures) for column in columns] == [[1], [1], [], [], [1]]
    assert "NaN" in columns[2].problem and "truncated" in columns[3].problem


def test_where_no_model_can_answer_the_reason_is_raised(text_study: Path, tmp_path: Path) -> None:
    from backends.errors import CheckpointError
    from backends.pool import ModelPool
    from cache.evaluate.compare import compare_text

    study = read_study(text_study)
    store = open_store(tmp_path / "cache" / "evidence.sqlite")
    with pytest.raises(CheckpointError, match="truncated"):
        compare_text(
            EvaluationContext.of(study, store, ModelPool("cpu")),
            ["Bad"],
            study.probe_sets[0].probes[0],
            study.decoding,
        )


def test_a_study_with_a_bad_model_is_exported_and_says_who_has_no_numbers(
    text_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["evaluate", str(text_study)]) == 2
    capsys.readouterr()
    assert cli.run(["export", str(text_study), "--to", str(tmp_path / "paper"), "--no-figures"]) == 0
    assert "Good" in (tmp_path / "paper" / "report.html").read_text()
    assert "No numbers, because not evaluated: Bad" in capsys.readouterr().err


def test_a_model_too_large_for_the_memory_lets_the_others_be_evaluated(
    text_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from backends.text.models import LanguageModels

    load = LanguageModels.add

    def add(self: LanguageModels, spec: ModelSpec) -> None:
        if spec.name == "Bad":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GB")
        load(self, spec)

    monkeypatch.setattr(LanguageModels, "add", add)
    write_tiny_adapter(tmp_path / "base", tmp_path / "bad", seed=3)
    assert cli.run(["evaluate", str(text_study)]) == 2
    assert "Bad: there is not enough memory on cpu to load it" in capsys.readouterr().err
    assert complete(read_study(text_study), tmp_path) == {"Original", "Good"}
