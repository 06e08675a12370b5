"""The wheel of this checkout, and an environment in which nothing but the wheel was installed; made once."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.package.environments import Environment, copy_of_tracked, make

THEIRS = ("app", "backends", "cache")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    clone = copy_of_tracked(folder / "clone")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    done = subprocess.run([*command, "-w", folder, clone], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """`pip install unlearnboard` for somebody who has packages called as our folders are, installed and running."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        stated = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    needed = [text for text in stated if "extra" not in str(Requirement(text).marker)]
    environment = make(tmp_path_factory.mktemp("base"), needed, wheel)
    for place, whose in ((environment.packages, "installed"), (environment.work, "running")):
        for theirs in THEIRS:
            (place / theirs).mkdir()
            (place / theirs / "__init__.py").write_text(f"WHOSE = 'theirs, {whose}'\n", encoding="utf-8")
    return environment


@pytest.fixture(scope="session")
def base_cache(base: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the installed package; the demo's evidence is in it."""
    folder = tmp_path_factory.mktemp("cache")
    base.python("import unlearnboard; unlearnboard.load()", cache=folder)
    return folder
