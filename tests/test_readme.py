"""The README is true: its commands run or parse, its examples are read, its files are there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from app.cli.adhoc_study import write_adhoc
from app.cli.main import COMMANDS, parse
from app.cli.show import EXAMPLES, choice
from backends.checkpoints.usable import inspect_study
from backends.probes.reading import read_probes
from backends.study.file import read_study
from tests.tiny_text import write_tiny_adapter, write_tiny_model

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), EXAMPLES]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line.strip() for text in DOCUMENTS for line in text.replace("\\\n", " ").splitlines()]
    return list(
        dict.fromkeys(line for line in lines if re.match(r"(\.venv/bin/|make |unlearnboard( |$))", line))
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the README's examples are true."""
    for base in ("base", "models/base"):
        write_tiny_model(tmp_path / base)
    for step in (60, 120):
        write_tiny_adapter(tmp_path / "base", tmp_path / "npo" / f"checkpoint-{step}", seed=step)
    (tmp_path / "forget.jsonl").write_text(blocks("json")[0])
    (tmp_path / "retain.jsonl").write_text(blocks("json")[0])
    (tmp_path / "retain.csv").write_text("question,answer\nWho?,Ada.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("unlearnboard")])
def test_every_command_of_unlearnboard_parses(line: str) -> None:
    arguments = shlex.split(line)[1:]
    if "--help" in arguments:
        with pytest.raises(SystemExit, match=r"^0$"):
            parse(arguments)
    else:
        named = arguments[0] if arguments and arguments[0] in COMMANDS else "show"
        assert parse(arguments).command == named


def test_there_are_commands_to_check() -> None:
    assert {
        "make dashboard",
        "make test",
        "unlearnboard study.toml",
        "unlearnboard evaluate study.toml",
    } <= set(commands())


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", "\n".join(DOCUMENTS))))
)
def test_every_make_target_is_there(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_first_look_works_with_the_named_folders(folder: Path) -> None:
    line = next(line for line in commands() if "--original" in line and "npo" in line)
    options = parse(shlex.split(line)[1:])
    study = read_study(write_adhoc(choice(options), folder / "studies"))
    assert [spec.name for spec in study.models] == ["Original", "npo 60", "npo 120"]
    inspect_study(study)


def test_the_study_file_is_read(folder: Path) -> None:
    (folder / "study.toml").write_text(blocks("toml")[0], encoding="utf-8")
    study = read_study(folder / "study.toml")
    assert [(spec.name, spec.part, spec.step) for spec in study.models] == [
        ("Original", "original", None),
        ("NPO 60", "unlearned", 60),
    ]
    assert [probe_set.role for probe_set in study.probe_sets] == ["forget", "retain"]
    inspect_study(study)


def test_the_method_of_ones_own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.cli.main import run

    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "fade.py").write_text(next(block for block in blocks("python") if "METHOD" in block))
    write_tiny_model(tmp_path / "base")
    text = 'name = "Tiny"\nmodality = "text"\n[[models]]\nname = "Original"\npart = "original"\nsource = "base"\n'
    for role in ("forget", "retain"):
        rows = [json.dumps({"prompt": f"Who is {role} {n}?", "answer": f"It is Ada {n}."}) for n in range(4)]
        (tmp_path / f"{role}.jsonl").write_text("\n".join(rows))
        text += f'[[probes]]\nfile = "{role}.jsonl"\nrole = "{role}"\n'
    (tmp_path / "study.toml").write_text(text)
    given = ["--method", str(tmp_path / "fade.py"), "--set", "steps=4", "lr=1e-2", "log_share=-1"]
    assert run(["unlearn", str(tmp_path / "study.toml"), *given, "--to", str(tmp_path / "mine")]) == 0
    assert read_study(tmp_path / "mine" / "study.toml").models[-1].name == "Fade 4"


def test_the_probe_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(blocks("json")[0])
    (probe,) = read_probes(tmp_path / "a.jsonl", "forget").probes
    assert probe.key_fact in probe.answer


def test_every_named_file_is_there() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert pictures == ["docs/screenshot.png"]
    tree = blocks("text")[0]
    named, top = list(pictures), ""
    for line in tree.splitlines():
        paths = re.findall(r"[\w/]+(?:\.py|/)(?=[\s;]|$)", line.split("   ")[0] if line[0] != " " else line)
        if line[0] != " ":
            top = paths[0]
            named.append(top)
        else:
            named += [top + path for path in paths]
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    bad = re.compile(
        r"/(?:root|home|Users)/\w|pypi\.org|pythonhosted|download\.pytorch|/opt/(?:wheels|pypi)|/tmp/w/"
    )
    found = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if (
            path.suffix not in {".py", ".toml", ".md", ".json", ".jsonl", ".js", ".css", ""}
            or not path.is_file()
        ):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path != Path(__file__) and (match := bad.search(text)):
            found.append(f"{name}: {match[0]}")
    assert not found


def test_the_json_example_is_one_row() -> None:
    assert json.loads(blocks("json")[0])["question"]
