"""Which versions of packages are at work, for provenance."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAME = "unlearnboard"
_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def own_version() -> str:
    """UnlearnBoard's: that of the checkout this runs from, or of the installed package."""
    if _PROJECT.is_file():
        project = tomllib.loads(_PROJECT.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == NAME:
            return str(project["version"])
    return version(NAME)


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Package to version, "not installed" where it is not."""
    result: dict[str, str] = {}
    for package in packages:
        try:
            result[package] = own_version() if package == NAME else version(package)
        except PackageNotFoundError:
            result[package] = "not installed"
    return result
