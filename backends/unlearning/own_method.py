"""A method by its name, or from a file of the user: named on the command line, never searched for."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, get_args

from backends.errors import StudyError
from backends.unlearning import image_method as image_method_module
from backends.unlearning import image_methods, text_methods
from backends.unlearning import text_method as text_method_module
from backends.unlearning.image_method import ImageMethod
from backends.unlearning.text_method import TextMethod

M = TypeVar("M", TextMethod, ImageMethod)


def text_method(name: str) -> TextMethod:
    """One of our methods for language models by name (case does not matter), or the `METHOD` of a Python file.

    The file is run: naming it is what allows that.

    Raises:
        StudyError: there is no such method or file, or the file has no usable METHOD.
    """
    return _found(name, text_methods.METHODS, TextMethod)


def image_method(name: str) -> ImageMethod:
    """The same for image models.

    Raises:
        StudyError: there is no such method or file, or the file has no usable METHOD.
    """
    return _found(name, image_methods.METHODS, ImageMethod)


def _found(name: str, ours: Mapping[str, M], kind: type[M]) -> M:
    if name.endswith(".py"):
        return _from_file(Path(name).expanduser(), ours, kind)
    known = {each.lower(): each for each in ours}
    if name.lower() not in known:
        what = "images" if kind is ImageMethod else "language models"
        raise StudyError(
            f"there is no method {name!r} for {what}",
            where="--method",
            how=f"Available: {', '.join(ours)}; or name a Python file",
        )
    return ours[known[name.lower()]]


def _from_file(path: Path, ours: Mapping[str, M], kind: type[M]) -> M:
    if not path.is_file():
        raise StudyError("there is no such file", where=f"--method {path}")
    spec = importlib.util.spec_from_file_location(f"own_method_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise StudyError("this is not a Python file", where=f"--method {path}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a person's own code raises
        raise StudyError(
            f"the file cannot be run ({type(error).__name__}: {str(error)[:200]})", where=f"--method {path}"
        ) from error
    found = getattr(module, "METHOD", None)
    if not isinstance(found, kind):
        raise StudyError(
            f"the file has no METHOD = {kind.__name__}(...)",
            where=f"--method {path}",
            how='docs/unlearning.md shows one, under "A method of your own"',
        )
    known = get_args(image_method_module.Need if kind is ImageMethod else text_method_module.Need)
    if unknown := [need for need in found.needs if need not in known]:
        raise StudyError(
            f"METHOD needs {unknown[0]!r}, which does not exist",
            where=f"--method {path}",
            how=f"Known needs are {', '.join(map(repr, known))}",
        )
    taken = found.name in ours and not _is_ours(path, kind)
    if taken or not found.name.isidentifier():
        raise StudyError(
            f"{found.name!r} is not a valid name",
            where=f"--method {path}",
            how="Use letters, digits and underscores, and not the name of a built-in method",
        )
    return found


def _is_ours(path: Path, kind: type[TextMethod] | type[ImageMethod]) -> bool:
    """Whether a file is one of our methods' files, or an unchanged copy."""
    folder = Path(str((image_methods if kind is ImageMethod else text_methods).__file__)).parent
    content = path.read_bytes()
    return any(each.read_bytes() == content for each in folder.glob("*.py"))
