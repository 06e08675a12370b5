"""The house has three floors, pages are drawn without torch, and the wheel holds what the folders hold."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from backends.extras import PACKAGES

ROOT = Path(__file__).parents[1]
FLOORS = ("backends", "cache", "app")
HEAVY = ("torch", "transformers", "diffusers", "peft", "sklearn")
SLOW = ("scipy", "nltk", "rouge_score")
"""What deriving numbers from evidence needs, and numbers that are kept do not: a second or more to read."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "pack" not in path.parts)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Top-level names of all that a module imports, inside of functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively; write the whole name"
            names.add(str(node.module).partition(".")[0])
    return names


def loaded_after(code: str) -> set[str]:
    """Top-level names of all modules in a fresh interpreter after it ran the code."""
    report = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_go_only_to_the_left(floor: str) -> None:
    above = set(FLOORS[FLOORS.index(floor) + 1 :]) | {"tests"}
    for path in modules(floor):
        assert not imported(path) & above, f"{name_of(path)} imports from a layer above it"


@pytest.mark.parametrize("floor", ["backends", "cache"])
def test_only_app_knows_streamlit(floor: str) -> None:
    for path in modules(floor):
        assert not imported(path) & {"streamlit", "plotly"}, name_of(path)


def test_backends_know_no_database() -> None:
    for path in modules("backends"):
        assert not imported(path) & {"sqlite3", "sqlalchemy"}, name_of(path)


def rooms_of(path: Path) -> set[str]:
    """Folders of app that a module imports from, inside of functions too: "shared", "pages.compare"."""
    names = {
        str(node.module)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("app.")
    }
    parts = [name.split(".")[1:] for name in names]
    return {".".join(each[:2]) if each[0] == "pages" else each[0] for each in parts}


PAGES = sorted(path.parent.name for path in (ROOT / "app" / "pages").glob("*/page.py"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_knows_no_other_page(page: str) -> None:
    for path in modules(f"app/pages/{page}"):
        others = {room for room in rooms_of(path) if room.startswith("pages.")} - {f"pages.{page}"}
        assert not others, f"{name_of(path)} imports from {others}"


def test_what_pages_share_knows_no_page_no_command_no_demo_and_no_export() -> None:
    for path in modules("app/shared"):
        assert rooms_of(path) <= {"shared", "charts", "looks"}, name_of(path)


def test_what_pages_reach_takes_no_torch() -> None:
    """Every page's module-level imports together, as the server makes them before the first page is drawn."""
    shown = {"pages", "shared", "charts", "components", "looks", "frame"}
    pages = [path for path in modules("app") if path.parts[len(ROOT.parts) + 1] in shown]
    wanted: set[str] = set()
    for path in pages:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                wanted.add(str(node.module))
            elif isinstance(node, ast.Import):
                wanted.update(alias.name for alias in node.names)
    assert "app.shared.settings" in wanted
    names = loaded_after("\n".join(f"import {name}" for name in sorted(wanted)))
    assert "streamlit" in names
    assert not names & {*HEAVY, *SLOW}


def test_reading_recorded_evidence_takes_no_torch_and_no_streamlit() -> None:
    names = loaded_after(
        "import cache.store, cache.analysis.scoreboard, cache.evaluate.evaluation, backends.pool, backends.study.file"
    )
    assert not names & {*HEAVY, "streamlit"}


def test_the_command_line_takes_no_torch() -> None:
    assert not loaded_after("import app.cli.main, app.cli.adhoc_study") & {
        *HEAVY,
        "streamlit",
    }


def test_the_wheel_lists_every_folder_with_code() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for floor in FLOORS for path in modules(floor)}
    own = PROJECT["tool"]["setuptools"]["package-dir"]["unlearnboard"]  # what `import unlearnboard` gives
    listed = {
        own if name == "unlearnboard" else name.removeprefix("unlearnboard.").replace(".", "/")
        for name in PROJECT["tool"]["setuptools"]["packages"]
    }
    assert listed == folders


def test_every_file_that_pages_read_is_in_the_wheel() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    patterns = {
        ROOT / folders.get(name, name.removeprefix("unlearnboard.").replace(".", "/")): globs
        for name, globs in data.items()
    }
    shipped = {path for folder, globs in patterns.items() for glob in globs for path in folder.glob(glob)}
    tracked = subprocess.run(
        ["git", "ls-files", "-z", *FLOORS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        path = ROOT / name
        if path.suffix != ".py" and path.is_file():
            assert path in shipped, f"{name} would be missing in the wheel"


def bare(requirement: str) -> str:
    """Name of a package, written as `import` has it."""
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("-", "_")


def test_constraints_pin_every_direct_dependency_of_every_extra() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    # A local label ("+cpu"), a hash or an address would hold for some machines only.
    assert all(re.fullmatch(r"[a-z0-9_.-]+==[a-z0-9.]+", line) for line in pinned)
    wanted = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        wanted += extra
    assert {bare(name) for name in wanted} - {"unlearnboard"} <= {bare(line) for line in pinned}


def test_what_is_missing_is_looked_for_in_the_extras_that_there_are() -> None:
    extras = dict(PROJECT["project"]["optional-dependencies"])
    assert extras.pop("all") == ["unlearnboard[text,image,export]"]
    del extras["test"]
    assert {extra: set(map(bare, packages)) for extra, packages in extras.items()} == {
        extra: set(packages) for extra, packages in PACKAGES.items()
    }
    heavy = {package for packages in PACKAGES.values() for package in packages}
    assert not heavy & {bare(name) for name in PROJECT["project"]["dependencies"]}


def test_modules_stay_short_enough_to_read() -> None:
    long = {
        name_of(path): n for path in all_modules() if (n := len(path.read_text("utf-8").splitlines())) > 500
    }
    assert not long


def all_modules() -> list[Path]:
    return [path for floor in FLOORS for path in modules(floor)]
