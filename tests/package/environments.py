"""Virtual environments that hold exactly what an installation of UnlearnBoard brings, made without a network.

The packages are those of the environment that runs the tests, reached by links: a package is there if, and only if, the
wheel requires it, directly or not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment: its folder, and a folder to work in that is on nobody's path."""

    folder: Path
    work: Path

    @property
    def bin(self) -> Path:
        """Where its commands are."""
        return self.folder / "bin"

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        paths = {"base": str(self.folder), "platbase": str(self.folder)}
        return Path(sysconfig.get_path("purelib", "venv", paths))

    def run(self, *command: str | Path, cache: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment in its work folder, with that cache and nothing of the tests' Python."""
        program, *arguments = map(str, command)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {"UNLEARNBOARD_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
        return subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=self.work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def python(self, code: str, *arguments: str, cache: Path) -> str:
        """What the code prints in this environment; it must end well."""
        done = self.run("python", "-c", code, *arguments, cache=cache)
        assert done.returncode == 0, done.stderr
        return done.stdout


def copy_of_tracked(folder: Path) -> Path:
    """The files of this repository that git knows, without what was built: a clean clone."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def make(folder: Path, requirements: Iterable[str], *install: str | Path) -> Environment:
    """An environment with these requirements linked in and this installed by pip, without dependencies.

    Args:
        folder: to make it in.
        requirements: as a wheel states them ("numpy>=2.0").
        install: arguments of `pip install`.
    """
    environment = Environment(folder / "venv", folder / "work")
    environment.work.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.folder], check=True)
    for needed in closure(requirements):
        link(needed, environment.packages)
    pip = [sys.executable, "-m", "pip", "--python", str(environment.bin / "python"), "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--no-compile"]
    done = subprocess.run([*pip, *offline, *map(str, install)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return environment


def closure(requirements: Iterable[str]) -> list[Distribution]:
    """The distributions that these requirements bring, those they require included."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        needed = distribution(wanted.name)
        found[wanted.name.lower()] = needed
        for extra in ("", *wanted.extras):
            if (wanted.name, extra) in seen:
                continue
            seen.add((wanted.name, extra))
            for each in map(Requirement, needed.requires or ()):
                if each.marker is None or each.marker.evaluate({"extra": extra}):
                    waiting.append(each)
    return list(found.values())


def link(package: Distribution, packages: Path) -> None:
    """Links to what a distribution has in site-packages."""
    assert package.files is not None
    for name in {path.parts[0] for path in package.files} - {"..", "__pycache__"}:
        target = packages / name
        if not target.exists():
            target.symlink_to(Path(str(package.locate_file(name))))
