"""A method from a person's own file: named on the command line, never found by searching."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from backends.errors import StudyError
from backends.unlearning.text_method import TextMethod
from backends.unlearning.text_methods import METHODS


def text_method(name: str) -> TextMethod:
    """One of our methods by name (case does not matter), or the `METHOD` of a Python file.

    The file is run: naming it is what allows that.

    Raises:
        StudyError: there is no such method or file, or the file has no usable METHOD.
    """
    if name.endswith(".py"):
        return _from_file(Path(name).expanduser())
    known = {each.lower(): each for each in METHODS}
    if name.lower() not in known:
        raise StudyError(
            f"there is no method {name!r}",
            where="--method",
            how=f"There are: {', '.join(METHODS)}; or name a Python file",
        )
    return METHODS[known[name.lower()]]


def _from_file(path: Path) -> TextMethod:
    if not path.is_file():
        raise StudyError("there is no such file", where=f"--method {path}")
    spec = importlib.util.spec_from_file_location(f"own_method_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise StudyError("this is no Python file", where=f"--method {path}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a person's own code raises
        raise StudyError(
            f"the file cannot be run ({type(error).__name__}: {str(error)[:200]})", where=f"--method {path}"
        ) from error
    found = getattr(module, "METHOD", None)
    if not isinstance(found, TextMethod):
        raise StudyError(
            "the file has no METHOD = TextMethod(...)",
            where=f"--method {path}",
            how='The README shows one, under "A method of your own"',
        )
    if found.name in METHODS or not found.name.isidentifier():
        raise StudyError(
            f"{found.name!r} cannot be its name",
            where=f"--method {path}",
            how="Take letters, digits and underscores, and none of our own names",
        )
    return found
