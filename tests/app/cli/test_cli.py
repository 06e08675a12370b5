"""The command line: what it accepts, what it says when something is wrong, and that an evaluation can be stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest

from app.__main__ import main
from app.cli import main as cli
from app.cli import show
from app.cli.adhoc_study import StudyArguments, adhoc_study, write_adhoc
from app.cli.show import without_streamlit_flags
from app.cli.terminal import ProgressLines, printable
from app.shared.settings import study_paths
from backends.errors import StudyError
from backends.metrics import METRICS
from backends.study.file import read_study
from backends.versions import own_version
from cache.evaluate.evaluation import Progress
from cache.store import open_store
from tests.filled_store import text_study, write_study
from tests.tiny_text import write_tiny_adapter, write_tiny_model

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model `base` and two adapters `npo/checkpoint-3`, `npo/checkpoint-6`."""
    folder = tmp_path_factory.mktemp("models")
    base = write_tiny_model(folder / "base")
    for step in (3, 6):
        write_tiny_adapter(base, folder / "npo" / f"checkpoint-{step}", seed=step)
    return folder


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UNLEARNBOARD_STUDIES", raising=False)


def probes(folder: Path, role: str, count: int = 2) -> Path:
    path = folder / f"{role}.jsonl"
    rows = [{"question": f"Who is {role} {n}?", "answer": f"A {role} {n}."} for n in range(count)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def error(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one sentence on the error stream after a call that must fail."""
    assert cli.run([str(argument) for argument in arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Checking")]
    assert len(lines) == 1
    assert lines[0].startswith("unlearnboard: ")
    return lines[0]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "app", *map(str, arguments)]


def test_models_says_what_each_image_model_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.tiny_image import write_tiny_pipeline, write_tiny_weights

    original = write_tiny_pipeline(tmp_path / "original")
    write_tiny_weights(tmp_path / "esd.safetensors", original)
    (tmp_path / "f.csv").write_text("prompt\ncat\n")
    study = tmp_path / "study.toml"
    study.write_text(
        'name = "Two"\nmodality = "image"\n'
        '[[models]]\nname = "Original"\npart = "original"\nsource = "original"\n'
        '[[models]]\nname = "ESD"\npart = "unlearned"\nsource = "original"\nweights = "esd.safetensors"\n'
        '[[probes]]\nfile = "f.csv"\nrole = "forget"\n'
    )
    cache = ["--cache", str(tmp_path / "cache")]
    assert cli.run(["models", str(study), *cache]) == 0
    said = capsys.readouterr().out
    assert "Original  loaded twice, it generated the same picture" in said
    assert re.search(
        r"ESD       part of the unet: \d+ tensors matched, \d+ differ, [\d.]+ % of the parameters", said
    )
    assert cli.run(["models", str(study), "--json", *cache]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["model"] for row in rows] == ["Original", "ESD"]
    assert rows[1]["report"]["changed"] > 0


@pytest.mark.parametrize("name", ["evaluate", "models", ""])
def test_rehash_reads_all_weights_again(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "cache" / "digests" / "of_another_model"
    kept.parent.mkdir(parents=True)
    arguments = [*([name] if name else []), str(tmp_path / "none.toml"), "--cache", str(tmp_path / "cache")]
    for rehash in (False, True):
        kept.write_text("digest")
        error(capsys, *arguments, *(["--rehash"] if rehash else []))
        assert kept.exists() is not rehash


def test_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for example in (
        "unlearnboard people/study.toml",
        "--original ./base --unlearned",
        "unlearnboard evaluate",
    ):
        assert example in text
    with pytest.raises(SystemExit):
        cli.run(["evaluate", "--help"])
    assert "Ctrl-C" in capsys.readouterr().out


@pytest.mark.parametrize("command", sorted(set(cli.COMMANDS) - {"show"}))
def test_every_listed_command_is_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: unlearnboard {command} ")


def test_a_misspelt_command_is_no_study_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["evalute", "study.toml"]) == 2
    assert "Did you mean `unlearnboard evaluate`?" in capsys.readouterr().err


def test_help_lists_every_command_with_what_it_does_and_the_options_of_opening(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["--help"], ["study.toml", "-h"]):
        with pytest.raises(SystemExit, match=r"^0$"):
            cli.run(arguments)
        lines = capsys.readouterr().out.splitlines()
        for name in cli.COMMANDS:
            assert [line for line in lines if re.match(rf"    {name} +[a-z]", line)], name
        for option in ("--original MODEL", "--port PORT", "--cache FOLDER", "--version"):
            assert [line for line in lines if line.startswith(f"  {option}")], option


def test_a_command_is_never_taken_for_a_study_file(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["study.toml", "models"], ["--port", "9", "models", "study.toml"]):
        assert "`unlearnboard models ...`" in error(capsys, *arguments)


def test_a_study_file_may_be_named_like_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").write_text('name = "no study"')
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path / 'models'}, line 1: the key" in error(capsys, "./models")
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.run(["models"])
    assert "unlearnboard models: error: the following arguments are required: STUDY.toml" in (
        capsys.readouterr().err
    )


def test_a_study_file_may_be_near_to_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").write_text('name = "no study"')
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path / 'model'}, line 1: the key" in error(capsys, "model")


def test_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(["--version"])
    assert capsys.readouterr().out.strip() == f"unlearnboard {own_version()}"
    assert f'version = "{own_version()}"' in (ROOT / "pyproject.toml").read_text()


def test_study_files_reach_the_dashboard_whatever_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [write_study(text_study(), tmp_path / name) for name in ("a:b", "c;d", 'e"f')]
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UNLEARNBOARD_STUDIES", "")
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr("runpy.run_module", lambda *_, **__: None)
    show.start(files, _free_port(), browser=False)
    assert study_paths() == files


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_ctrl_c_while_modules_are_read_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pressed:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "app.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "app.cli.main")
    monkeypatch.delattr("app.cli.main", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Pressed(), *sys.meta_path])
    assert main() == 130


def test_streamlit_flags_are_handed_on() -> None:
    ours, theirs = without_streamlit_flags(
        ["a.toml", "--server.address=::1", "--theme.base", "dark", "--port", "9"]
    )
    assert ours == ["a.toml", "--port", "9"]
    assert theirs == ["--server.address=::1", "--theme.base=dark"]


def test_a_study_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert f"{tmp_path / 'no.toml'}: there is no such study file. Check the path" in error(
        capsys, tmp_path / "no.toml"
    )


def test_an_error_from_a_hostile_file_stays_on_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "study.toml"
    path.write_text('name = "a"\nmodality = "text"\n"evil\\u001b[31m\\nkey" = 1\n')
    assert "\x1b" not in error(capsys, path)


def test_a_folder_without_a_model_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    sentence = error(capsys, "--original", tmp_path / "empty", "--unlearned", tmp_path / "empty")
    assert "this folder holds no model" in sentence


def test_a_missing_row_value_is_named_before_a_server_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, models: Path
) -> None:
    (tmp_path / "forget.jsonl").write_text('{"question": "a"}\n{"question": ""}\n')
    sentence = error(capsys, "--original", models / "base", "--forget", tmp_path / "forget.jsonl")
    assert "line 2: its prompt is empty" in sentence


def test_a_port_in_use_is_named_with_the_way_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_study(text_study(), tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = error(capsys, tmp_path / "study.toml", "--port", str(port))
    assert f"Port {port} cannot be used" in sentence and f"--port {port + 1}" in sentence


def test_the_last_port_in_use_has_no_next_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_study(text_study(), tmp_path)
    with socket.socket() as taken:
        with suppress(OSError):  # somebody else has it: as good
            taken.bind(("127.0.0.1", 65535))
            taken.listen()
        assert "such as --port 65534" in error(capsys, tmp_path / "study.toml", "--port", "65535")


def test_a_cache_that_is_no_folder_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_study(text_study(), tmp_path)
    (tmp_path / "file").write_text("")
    assert "file" in error(capsys, tmp_path / "study.toml", "--cache", tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--unlearned", "a"], "--unlearned needs --original"),
        (["a.toml", "--original", "b"], "give study files or --original, not both"),
        (["--port", "0"], "'0' is not a port"),
        (["--original", ""], "--original is empty"),
        (["--original", "a", "--unlearned", "b", ""], "--unlearned is empty"),
        (["--port", "many"], "'many' is not a port"),
        (["--orginal", "b"], "unrecognized arguments: --orginal"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(arguments)
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err


def choice(models: Path, tmp_path: Path, **changes: object) -> StudyArguments:
    settings: dict[str, object] = {
        "original": str(models / "base"),
        "unlearned": [str(models / "npo" / f"checkpoint-{step}") for step in (3, 6)],
        "retained": "",
        "probes": {"forget": [str(probes(tmp_path, "forget"))], "retain": [str(probes(tmp_path, "retain"))]},
        "judges": {},
        "concepts": {},
    }
    return StudyArguments(**(settings | changes))  # type: ignore[arg-type]


def test_folders_become_a_study(models: Path, tmp_path: Path) -> None:
    study = adhoc_study(choice(models, tmp_path, retained=str(models / "base")))
    assert [(spec.name, spec.part, spec.method, spec.step) for spec in study.models] == [
        ("Original", "original", "", None),
        ("Retained", "retained", "", None),
        ("npo 3", "unlearned", "npo", 3),
        ("npo 6", "unlearned", "npo", 6),
    ]
    assert study.modality == "text"
    assert study.model("npo 3").source == study.original.source == str(models / "base")
    assert study.model("npo 3").adapter == str(models / "npo" / "checkpoint-3")
    assert [(probe_set.role, len(probe_set.probes)) for probe_set in study.probe_sets] == [
        ("forget", 2),
        ("retain", 2),
    ]


def test_the_same_choice_is_written_to_the_same_file_and_read_back(models: Path, tmp_path: Path) -> None:
    first = write_adhoc(choice(models, tmp_path), tmp_path / "studies")
    again = write_adhoc(choice(models, tmp_path), tmp_path / "studies")
    other = write_adhoc(choice(models, tmp_path, unlearned=[]), tmp_path / "studies")
    assert first == again != other
    study = read_study(first)
    assert [spec.name for spec in study.models] == ["Original", "npo 3", "npo 6"]


def test_an_adapter_as_original_names_its_base(models: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "original"
    shutil.copytree(models / "npo" / "checkpoint-3", adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(
        json.dumps(config | {"base_model_name_or_path": str(models / "base")})
    )
    study = adhoc_study(choice(models, tmp_path, original=str(adapter)))
    assert (study.original.source, study.original.adapter) == (str(models / "base"), str(adapter))
    assert study.model("npo 6").source == str(models / "base")
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": ""}))
    with pytest.raises(StudyError, match="does not name its base model"):
        adhoc_study(choice(models, tmp_path, original=str(adapter)))


def test_models_of_one_name_are_told_apart(models: Path, tmp_path: Path) -> None:
    twice = [str(models / "base"), str(models / "base"), "hf://owner/original"]
    study = adhoc_study(choice(models, tmp_path, unlearned=twice))
    assert [spec.name for spec in study.models] == ["Original", "base", "base (2)", "original"]
    assert study.models[3].source == "hf://owner/original"


def test_judges_belong_to_images(models: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="--judge and --concept are for image models"):
        adhoc_study(choice(models, tmp_path, concepts={"style": "neon"}))


def test_progress_is_one_finished_line_each_where_nobody_watches() -> None:
    out = StringIO()
    lines = ProgressLines(out)
    for model in ("A\x1b[1m", "B"):
        for done in (0, 1, 2):
            lines.show(Progress(model, "forget", "scores", done, 2))
    lines.close()
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["A\ufffd[1m", "B"]
    assert "2/2" in out.getvalue() and "\r" not in out.getvalue()


def test_printable_text_has_no_control_characters() -> None:
    assert printable("a\nb\x1b[31m\u202ec é") == "a\ufffdb\ufffd[31m\ufffdc é"


def test_evaluate_names_a_model_that_is_not_there(
    capsys: pytest.CaptureFixture[str], models: Path, tmp_path: Path
) -> None:
    path = write_adhoc(choice(models, tmp_path), tmp_path)
    assert "no model 'npo 7'. Did you mean 'npo 6'?" in error(capsys, "evaluate", path, "--models", "npo 7")


def test_evaluate_says_when_there_are_only_recorded_answers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_study(text_study(), tmp_path)
    assert "no model of this study has its weights" in error(capsys, "evaluate", tmp_path / "study.toml")
    sentence = error(capsys, "evaluate", tmp_path / "study.toml", "--models", "Original")
    assert "the weights of Original are not on this machine" in sentence


def test_a_stopped_evaluation_keeps_what_was_done_and_goes_on(models: Path, tmp_path: Path) -> None:
    files = {"forget": [str(probes(tmp_path, "forget", 8))], "retain": [str(probes(tmp_path, "retain", 8))]}
    path = write_adhoc(choice(models, tmp_path, probes=files), tmp_path)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(
        command("evaluate", path),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    told = iter(running.stdout.readline, "")
    assert next(told) == "forget: 2 of 2 rows, JSON Lines; UTF-8\n"  # how the probes were read comes first
    assert any(line.startswith("Original") for line in told)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Finished work is kept" in said and "Traceback" not in said

    with_rest = subprocess.run(
        command("evaluate", path), cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert with_rest.returncode == 0, with_rest.stderr
    assert "3 of 3 models are evaluated" in with_rest.stdout
    runs = open_store(tmp_path / "cache" / "evidence.sqlite").runs(read_study(Path(path)).name)
    assert {(run.model, run.probe_set, run.status) for run in runs} == {
        (model, probe_set, "complete")
        for model in ("Original", "npo 3", "npo 6")
        for probe_set in ("forget", "retain")
    }


def test_metrics_are_listed_and_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["metrics"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(METRICS)
    assert cli.run(["metrics", "truth_ratio"]) == 0
    told = capsys.readouterr().out
    assert "TOFU (Maini et al. 2024)" in told and "0 to 1" in told
    assert cli.run(["metrics", "--json"]) == 0
    cards = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [card["key"] for card in cards] == list(METRICS)
    assert "Did you mean 'truth_ratio'?" in error(capsys, "metrics", "truth_ration")


def test_evaluate_prints_metrics_as_json_for_scripts(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = StudyArguments(
        str(models / "base"),
        [str(models / "npo" / "checkpoint-3")],
        "",
        {"forget": [str(probes(tmp_path, "forget"))]},
        {},
        {},
    )
    study = write_adhoc(choice, tmp_path)
    assert cli.run(["evaluate", str(study), "--json", "--metrics", "probability", "loss"]) == 0
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert {(row["model"], row["metric"]) for row in rows} == {
        (model, metric) for model in ("Original", "npo 3") for metric in ("probability", "loss")
    }
    assert all(row["value"] > 0 and row["n"] == 2 for row in rows)
    assert "npo 3" in printed.err
    long = tmp_path / "forget.jsonl"
    long.write_text(long.read_text() + "\n" + json.dumps({"question": "long " * 200, "answer": "Yes."}))
    assert cli.run(["evaluate", str(study), "--json", "--metrics", "loss"]) == 2
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2 and "left out" in printed.err
    assert "Add --json" in error(capsys, "evaluate", study, "--metrics", "loss")


def test_progress_tells_how_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    lines = ProgressLines(out := Terminal())
    lines.show(Progress("A", "forget", "scores", 40, 100))  # 40 were there before
    now[0] = 10.0
    lines.show(Progress("A", "forget", "scores", 60, 100))
    assert out.getvalue().endswith("60/100     10 s, about 20 s left")


def test_probe_sets_at_work_together_share_a_line_and_loading_has_its_own() -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    lines = ProgressLines(out := Terminal())
    lines.show(Progress("A", "forget", "answers", 0, 3))
    lines.show(Progress("A", "retain", "answers", 0, 5))
    lines.show(Progress("A", "forget", "answers", 0, 3, loading=True))
    lines.show(Progress("A", "forget", "answers", 0, 3))
    lines.show(Progress("A", "retain", "answers", 0, 5))
    for done in (1, 2, 3):
        lines.show(Progress("A", "forget", "answers", done, 3))
        lines.show(Progress("A", "retain", "answers", done, 5))
    lines.show(Progress("A", "retain", "answers", 5, 5))
    lines.close()
    told = [line.rpartition("\r")[2] for line in out.getvalue().split("\n")[:-1]]
    assert len(told) == 2
    assert "loading" in told[0] and "2 probe sets" in told[1] and "8/8" in told[1]


def test_a_probe_too_long_is_named_at_the_end_of_an_evaluation(
    capsys: pytest.CaptureFixture[str], models: Path, tmp_path: Path
) -> None:
    rows = [{"question": "Say " + "long " * 300, "answer": "Yes."}, {"question": "Who?", "answer": "Ann."}]
    (tmp_path / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    files = {"forget": [str(tmp_path / "long.jsonl")], "retain": [str(probes(tmp_path, "retain"))]}
    path = write_adhoc(choice(models, tmp_path, probes=files), tmp_path)
    left_out = read_study(path).probe_sets[0].probes[0].id
    sentence = error(capsys, "evaluate", path, "--models", "Original", "npo 3")
    assert (
        f"probe {left_out}: 1 probe left out with Original, npo 3; everything else is evaluated" in sentence
    )
    runs = open_store(tmp_path / "cache" / "evidence.sqlite").runs(read_study(path).name)
    assert {(run.model, run.probe_set, run.n_done) for run in runs} == {
        (model, name, count)
        for model in ("Original", "npo 3")
        for name, count in zip([s.name for s in read_study(path).probe_sets], (1, 2), strict=True)
    }


def test_probes_are_shown_as_they_will_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("q,a\nWho wrote it?,Ada\n,Ben\n")
    assert cli.run(["probes", str(path), "--columns", "q=prompt", "a=answer"]) == 2
    told = capsys.readouterr().out
    assert "1 of 2 rows can be used" in told and "q  ->  prompt" in told
    assert "prompt: Who wrote it?" in told and "row 2 (line 3): its prompt is empty" in told
    path.write_text("q,a\nWho wrote it?,Ada\n")
    assert cli.run(["probes", str(path), "--columns", "q=prompt", "a=answer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"] == {"q": "prompt", "a": "answer"}
    assert "is not YOURS=OURS" in error(capsys, "probes", path, "--columns", "q")
    assert "columns: q, a" in error(capsys, "probes", path)


def test_evaluate_under_another_protocol_says_so(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = StudyArguments(
        str(models / "base"), [], "", {"forget": [str(probes(tmp_path, "forget"))]}, {}, {}
    )
    study = write_adhoc(choice, tmp_path)
    values = {}
    for protocol in ("corrected", "open-unlearning"):
        arguments = ["evaluate", str(study), "--protocol", protocol, "--json", "--metrics", "loss"]
        assert cli.run(arguments) == 0
        (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert row["protocol"] == protocol
        values[protocol] = row["value"]
    assert values["corrected"] != values["open-unlearning"]
    assert cli.run(["evaluate", str(study), "--protocol", "muse"]) == 0
    assert "under the protocol muse" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path: Path) -> None:
    command = f"{sys.executable} -m app metrics | head -1; echo ${{PIPESTATUS[0]}}"
    for _ in range(3):
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        assert done.stdout.splitlines()[-1] in ("0", "141")


def test_rows_that_are_left_out_are_said_before_an_evaluation(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "forget.jsonl").write_text('{"prompt": "Who?", "answer": "Ada"}\n{"prompt": ""}\n')
    study = tmp_path / "study.toml"
    study.write_text(
        'name = "S"\nmodality = "text"\n[[models]]\nname = "O"\npart = "original"\n'
        f'source = "{models / "base"}"\n[[probes]]\nfile = "forget.jsonl"\nrole = "forget"\n'
        "skip_bad_rows = true\n"
    )
    assert cli.run(["evaluate", str(study)]) == 0
    told = capsys.readouterr()
    assert "forget: left out line 2: its prompt is empty" in told.err
    table = [" ".join(line.split()) for line in told.out.splitlines()]
    start = table.index("forget: 1 of 2 rows, JSON Lines; UTF-8")
    assert table[start + 1 : start + 3] == ["prompt -> prompt", "answer -> answer"]
    assert cli.run(["evaluate", str(study), "--json", "--metrics", "loss"]) == 0
    told = capsys.readouterr()
    assert "prompt  ->  prompt" in told.err and "->" not in told.out


def test_the_cards_are_valid_json_whatever_their_range(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert cli.run(["metrics", "--json"]) == 0
    rows = [json.loads(line, parse_constant=refuse) for line in capsys.readouterr().out.splitlines()]
    assert {"kid", "denoising_difference", "probability"} <= {row["key"] for row in rows}
    assert next(row for row in rows if row["key"] == "kid")["low"] is None
