"""What needs packages that `pip install unlearnboard` alone does not bring, and the command that brings them.

Recorded evidence is read and shown without them. This is the one place that knows which extra holds which package;
pyproject.toml lists the same, and a test compares the two. Imports none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal

from backends.errors import BoardError

Extra = Literal["text", "image", "export", "quantized", "lpips"]

PACKAGES: dict[Extra, tuple[str, ...]] = {
    "text": ("torch", "transformers", "peft", "accelerate", "gguf"),
    "image": ("torch", "diffusers", "transformers", "peft", "accelerate"),
    "export": ("kaleido",),
    "quantized": ("bitsandbytes",),
    "lpips": ("lpips", "torchvision"),
}
"""Extra to the packages that it brings, by the names that they are imported under."""
PURPOSES: dict[Extra, str] = {
    "text": "running language models",
    "image": "running image models",
    "export": "saving figures as PNG, SVG and PDF",
    "quantized": "loading models in 4 or 8 bits",
    "lpips": "LPIPS distances between pictures",
}
# A module that is missing before its extra is known: kaleido brings choreographer, both kinds of models need torch.
_BROUGHT_ALONG = {"choreographer": "kaleido", "tokenizers": "transformers"}


class MissingPackages(BoardError):
    """Packages of an extra are not installed; the sentence has the command."""


def install_command(extra: str) -> str:
    """What brings an extra, ready to paste into a shell."""
    return f"pip install 'unlearnboard[{extra}]'"


def missing(extra: Extra) -> list[str]:
    """The packages of an extra that are not installed."""
    return [name for name in PACKAGES[extra] if find_spec(name) is None]


def check_extra(extra: Extra) -> None:
    """Looks whether an extra's packages are installed, without importing them.

    Raises:
        MissingPackages: they are not.
    """
    absent = missing(extra)
    if absent:
        raise MissingPackages(_what(PURPOSES[extra], absent), how=f"Run `{install_command(extra)}`")


@contextmanager
def missing_packages_named() -> Iterator[None]:
    """Makes a failed import of an extra's package the sentence with its command; other failed imports are defects.

    Raises:
        MissingPackages: in place of that ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        package = _BROUGHT_ALONG.get(module, module)
        extras = [extra for extra, packages in PACKAGES.items() if package in packages]
        if not extras or find_spec(package) is not None:
            raise
        purpose = PURPOSES[extras[0]] if len(extras) == 1 else "running models"
        command = install_command(extras[0] if len(extras) == 1 else "all")
        raise MissingPackages(_what(purpose, [package]), how=f"Run `{command}`") from error


def _what(purpose: str, absent: list[str]) -> str:
    return f"{purpose} needs packages that are not installed ({', '.join(absent)})"
