"""The wheel: the folders' files with their imports rewritten, and nothing outside `unlearnboard`."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path

import pytest

from setup import nested

LAYERS = {"app", "backends", "cache"}


def test_imports_of_the_layers_are_rewritten_and_lines_keep_their_numbers() -> None:
    source = (
        b"from backends.study import (\n    Study,\n)\n\n\n"
        b"def f() -> None:\n    from app import shell\n    from os import path\n"
    )
    expected = source.replace(b"from backends", b"from unlearnboard.backends").replace(
        b"from app", b"from unlearnboard.app"
    )
    assert nested(source, "x.py") == expected


def test_text_that_looks_like_an_import_stays() -> None:
    source = b'"""Notes.\n\nfrom backends.study import Study\n"""\nNAME = "cache.sqlite"\n'
    assert nested(source, "x.py") == source


def test_letters_before_an_import_on_its_line_do_not_move_it() -> None:
    source = "NAME = 'é'; from cache import store\n".encode()
    assert nested(source, "x.py") == "NAME = 'é'; from unlearnboard.cache import store\n".encode()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"import backends.study\n", "x.py:1: write `from ... import ...`"),
        (b"\nimport app.shell as shell\n", "x.py:2: write `from ... import ...`"),
        (b'PAGE = "app.shell"\n', "x.py:1: 'app.shell' would not be found"),
        (b"from  cache import store\n", "x.py:1: write `from cache import` with single blanks"),
    ],
)
def test_what_cannot_be_rewritten_is_refused(source: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        nested(source, "x.py")


def test_the_wheel_claims_one_name_and_imports_itself_by_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tops = {name.partition("/")[0] for name in names}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"unlearnboard"}
        modules = [name for name in names if name.endswith(".py")]
        assert "unlearnboard/backends/study/__init__.py" in modules
        for name in modules:
            for node in ast.walk(ast.parse(archive.read(name))):
                if isinstance(node, ast.ImportFrom):
                    assert str(node.module).partition(".")[0] not in LAYERS, name


def test_the_wheel_is_typed_and_brings_its_licenses(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "unlearnboard/py.typed" in names
    assert {Path(name).name for name in names if "/licenses/" in name} == {"LICENSE", "THIRD_PARTY.md"}
