"""Reading other tools' result files into runs. What is not understood is listed, nothing is guessed.

One module a tool; each has functions that recognise its files and functions that read them. This one walks and asks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from backends.errors import StoreError
from cache.importers import harness, open_unlearning, pictures, tables, tofu_legacy, uds
from cache.importers.found import Found, Unreadable
from cache.results import Imported, put_results, retained_results
from cache.store import Store

__all__ = ["Found", "Imported", "import_results", "read_results"]

Progress = Callable[[int, int], None]
_READERS: Sequence[tuple[Callable[[Path], bool], Callable[[Path], Found]]] = (
    (tofu_legacy.is_result, tofu_legacy.read_file),
    (uds.is_table, uds.read_table),
    (uds.is_summary, uds.read_summary),
    (harness.is_result, harness.read_file),
    (pictures.is_canvas, pictures.read_canvas),
    (pictures.is_report, pictures.read_report),
    (tables.is_table, tables.read_table),
)
"""What recognises a file, and what reads it, for files that are a run or more each."""
_BESIDE = ("trainer_state.json", "config.json", "metadata.json", "results.json")
"""Files that belong to another one, or to no result at all."""


def import_results(
    store: Store, paths: Sequence[Path], on_progress: Progress | None = None
) -> tuple[Found, Imported]:
    """Read everything under these paths and keep the runs; a second time changes nothing.

    Raises:
        StoreError: a path does not exist, or the store cannot be written.
    """
    found = read_results(paths, on_progress, store)
    return found, put_results(store, found.results)


def read_results(
    paths: Sequence[Path], on_progress: Progress | None = None, store: Store | None = None
) -> Found:
    """Runs of all files under these paths, and a line for each that could not be used.

    Args:
        paths: files and folders.
        on_progress: told how many files of how many were read.
        store: where retained runs of earlier imports are looked for.

    Raises:
        StoreError: a path does not exist.
    """
    for path in paths:
        if not path.exists():
            raise StoreError(
                "there is no such file or folder", where=str(path), how="Name what is to be imported"
            )
    files = [file for path in paths for file in _files(path)]
    found = Found()
    folders: dict[Path, list[Path]] = {}
    attacks: dict[Path, list[Path]] = {}
    single = {path for path in paths if path.is_file()}
    for count, file in enumerate(files):
        if on_progress is not None:
            on_progress(count, len(files))
        if open_unlearning.is_result(file):
            folders.setdefault(file.parent, []).append(file)
        elif pictures.is_attack(file):
            attacks.setdefault(file.parent.parent, []).append(file)
        else:
            reader = next((read for recognises, read in _READERS if recognises(file)), None)
            if reader is not None:
                _read(reader, file, found)
            elif file in single or (file.suffix == ".json" and file.name not in _BESIDE):
                found.left_out.append(f"{file}: is no result file of a known tool")
    for folder, held in folders.items():
        found.add(open_unlearning.read_folder(folder, held))
    for folder, held in attacks.items():
        found.add(pictures.read_attacks(folder, held))
    lacking = {each.collection for each in found.results}
    known = retained_results(store, lacking) if store is not None else {}
    completed = open_unlearning.with_retained(found.results, known)
    found.problems += completed.problems
    found.results = pictures.joined_canvas(completed.results)
    if on_progress is not None:
        on_progress(len(files), len(files))
    return found


def _read(reader: Callable[[Path], Found], file: Path, found: Found) -> None:
    try:
        found.add(reader(file))
    except Unreadable as error:
        found.problems.append(f"{file}: {error}")


def _files(path: Path) -> Iterator[Path]:
    """Files under a path, in order; hidden folders are not entered."""
    if path.is_file():
        yield path
        return
    for name, inner, names in os.walk(path):
        inner[:] = sorted(each for each in inner if not each.startswith("."))
        yield from (Path(name) / each for each in sorted(names))
