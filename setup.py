"""Builds the wheel: what the folders call `backends.study` is `unlearnboard.backends.study` in it.

In a clone the three layers are top-level packages, so that editors, type checkers and tests find them without an
installation. Installed, they would take the names `app`, `backends` and `cache` from everybody else's packages. So the
wheel holds the same files with the imports of the layers rewritten; everything else is in pyproject.toml.
"""

from __future__ import annotations

import ast
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = "unlearnboard"
LAYERS = ("app", "backends", "cache")


class BuildNested(build_py):
    """Copies modules as setuptools does, and rewrites the copies. An editable installation copies nothing."""

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        """Copy one module into the build folder, with its imports rewritten."""
        copied, is_new = super().build_module(module, module_file, package)
        path = Path(copied)
        path.write_bytes(nested(path.read_bytes(), module_file))
        return copied, is_new


def nested(source: bytes, name: str) -> bytes:
    """A module's text with `unlearnboard.` before every layer that it imports from; lines keep their numbers.

    Raises:
        ValueError: an import that this cannot rewrite: `import backends.study` binds the name `backends`, and a string
            such as "backends.study" may be a module's name.
    """
    lines = source.split(b"\n")
    places: list[tuple[int, int, str]] = []
    for node in ast.walk(ast.parse(source, name)):
        where = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import) and any(_is_layer(alias.name) for alias in node.names):
            raise ValueError(f"{where}: write `from ... import ...`, the wheel rewrites nothing else")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _names_a_module(node.value):
            raise ValueError(f"{where}: {node.value!r} would not be found in the wheel; import it")
        if isinstance(node, ast.ImportFrom) and _is_layer(node.module or ""):
            places.append((node.lineno - 1, node.col_offset, str(node.module)))
    for row, column, module in sorted(places, reverse=True):
        line, start = lines[row], column + len(b"from ")
        if not line[column:].startswith(f"from {module} ".encode()):
            raise ValueError(f"{name}:{row + 1}: write `from {module} import` with single blanks")
        lines[row] = line[:start] + PACKAGE.encode() + b"." + line[start:]
    return b"\n".join(lines)


def _is_layer(module: str) -> bool:
    return module.partition(".")[0] in LAYERS


def _names_a_module(text: str) -> bool:
    first, *rest = text.split(".")
    if first not in LAYERS or not rest or not all(part.isidentifier() for part in rest):
        return False
    path = ROOT.joinpath(first, *rest)
    return path.is_dir() or path.with_suffix(".py").is_file()


if __name__ == "__main__":  # tests read this file, too
    setup(cmdclass={"build_py": BuildNested})
