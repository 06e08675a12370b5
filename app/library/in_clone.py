"""In a clone: `unlearnboard.backends.study` is `backends.study`, the same module under a second name.

An editable installation leaves the layers where they are, top-level packages that import each other by these names. To
load them once more under `unlearnboard` would make every class twice. The wheel does not use this.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

PREFIX = "unlearnboard."
LAYERS = ("app", "backends", "cache")


def name_the_layers() -> None:
    """Makes the layers importable in this process, by their own names and as parts of `unlearnboard`."""
    root = str(Path(__file__).resolve().parents[2])
    if root not in sys.path:
        sys.path.insert(0, root)
    if not any(isinstance(finder, SecondNames) for finder in sys.meta_path):
        # First: setuptools' finder for editable installations would load the files once more.
        sys.meta_path.insert(0, SecondNames())


class SecondNames(MetaPathFinder, Loader):
    """Finds `unlearnboard.X` as the module `X` of a layer."""

    def __init__(self) -> None:
        self._own: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec of this loader for modules of the layers, None for all others."""
        name = fullname.removeprefix(PREFIX)
        if name == fullname or name.partition(".")[0] not in LAYERS or importlib.util.find_spec(name) is None:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself, imported by its own name."""
        module = importlib.import_module(spec.name.removeprefix(PREFIX))
        self._own[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run; the import system has given the module a second spec, and it keeps its own."""
        assert module.__spec__ is not None
        module.__spec__ = self._own.pop(module.__spec__.name)
