"""The documents are true: their commands run, their examples are read, their links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from app.cli.adhoc_study import write_adhoc
from app.cli.main import COMMANDS, parse, run
from app.cli.show import choice
from app.export import reference
from backends.checkpoints.usable import inspect_study
from backends.probes.reading import read_probes
from backends.study.file import read_study
from cache.store import open_store
from tests.docs.documents import DOCUMENTS, PAGES, ROOT, STUDY_FILE, UNLEARNING, blocks, commands
from tests.foreign_files import write_saves
from tests.tiny_text import write_tiny_adapter, write_tiny_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the documents' examples are true."""
    for base in ("base", "models/base"):
        write_tiny_model(tmp_path / base, layers=8)  # as many as the example of RMU names
    for step in (60, 120):
        write_tiny_adapter(tmp_path / "base", tmp_path / "npo" / f"checkpoint-{step}", seed=step)
    (tmp_path / "forget.jsonl").write_text(blocks("json", STUDY_FILE)[0])
    (tmp_path / "retain.jsonl").write_text(blocks("json", STUDY_FILE)[0])
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


def test_every_command_that_ends_by_itself_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line after line as they stand in the documents, in one folder; opening the dashboard is for the browser tests."""
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(folder / "cache"))
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
    contract = blocks("toml", PAGES["docs/contract.md"])[0]
    (folder / "study.toml").write_text(blocks("toml", STUDY_FILE)[0] + contract, encoding="utf-8")
    write_saves(folder / "open-unlearning" / "saves")
    (folder / "results.csv").write_text("model,method,step,forget/probability\nmine,NPO,6,0.25\n")
    (folder / "OTHER").mkdir()
    open_store(folder / "OTHER" / "evidence.sqlite").close()
    run_by_hand = {"show", "prepare"}  # a server; the demo's model, which `make` prepares
    lines = [line for line in commands(list(PAGES.values())) if line.startswith("unlearnboard")]
    tried = [line for line in lines if parse_or_help(line) not in run_by_hand and "--help" not in line]
    assert {shlex.split(line)[1] for line in tried} >= {
        "models",
        "evaluate",
        "check",
        "export",
        "import",
        "unlearn",
        "cache",
    }
    for line in tried:
        # One probe decides nothing, and the study has no retained model: the contract cannot be kept.
        usual = 1 if parse_or_help(line) == "check" and "--help" not in line else 0
        assert run(shlex.split(line)[1:]) == usual, (line, capsys.readouterr().err)
    assert (folder / "paper").is_dir() and (folder / "mine" / "study.toml").is_file()


@pytest.mark.parametrize(
    "line", ["metrics", "metrics truth_ratio", "probes forget.jsonl", "models study.toml"]
)
def test_commands_in_the_text_run(
    folder: Path, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(folder / "cache"))
    (folder / "study.toml").write_text(blocks("toml", STUDY_FILE)[0], encoding="utf-8")
    assert run(line.split()) == 0
    assert capsys.readouterr().out


def test_the_pages_made_from_the_code_are_as_the_code_is() -> None:
    how = "run `python -m app.export.reference`"
    assert PAGES["docs/metrics.md"] == reference.metrics_page(), how
    assert PAGES["docs/study-file.md"] == reference.with_study_keys(PAGES["docs/study-file.md"]), how


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    headings = {
        page: {anchor(line) for line in text.splitlines() if line.startswith("#")}
        for page, text in PAGES.items()
    }
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", PAGES[name]):
        path, _, part = target.partition("#")
        reached = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert reached.exists(), f"{name} links to {target}"
        if part:
            assert part in headings[reached.relative_to(ROOT).as_posix()], f"{name} links to {target}"


def anchor(heading: str) -> str:
    """What GitHub makes of a heading's text."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def parse_or_help(line: str) -> str:
    arguments = shlex.split(line)[1:]
    return "--help" if "--help" in arguments else str(parse(arguments).command)


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
    (folder / "study.toml").write_text(blocks("toml", STUDY_FILE)[0], encoding="utf-8")
    study = read_study(folder / "study.toml")
    assert [(spec.name, spec.part, spec.step) for spec in study.models] == [
        ("Original", "original", None),
        ("NPO 60", "unlearned", 60),
    ]
    assert [probe_set.role for probe_set in study.probe_sets] == ["forget", "retain"]
    inspect_study(study)


def test_the_method_of_ones_own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARNBOARD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "fade.py").write_text(
        next(block for block in blocks("python", UNLEARNING) if "METHOD" in block)
    )
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
    (tmp_path / "a.jsonl").write_text(blocks("json", STUDY_FILE)[0])
    (probe,) = read_probes(tmp_path / "a.jsonl", "forget").probes
    assert probe.key_fact in probe.answer


def test_every_named_file_is_there() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGES["README.md"])
    assert pictures == ["docs/screenshot.png"]
    tree = blocks("text", PAGES["docs/architecture.md"])[0]
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
    assert json.loads(blocks("json", STUDY_FILE)[0])["question"]
