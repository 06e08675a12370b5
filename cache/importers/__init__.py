"""Reading other tools' result files into runs. What is not recognised is listed; nothing is guessed.

One module a tool; each has functions that recognise its files and functions that read them. This one walks and asks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from backends.errors import StoreError
from backends.files.plain import without_compression
from cache.importers import (
    harness,
    open_unlearning,
    pictures,
    references,
    rwku,
    tables,
    tofu_legacy,
    tofu_stat,
    uds,
)
from cache.importers.findings import ImportFindings, Remark, UnreadableFile, grouped
from cache.importers.imported_runs import collection_notes, put_runs
from cache.store import Store
from cache.store.results import ImportChanges

__all__ = ["ImportChanges", "ImportFindings", "Remark", "grouped", "import_results", "read_results"]

Progress = Callable[[int, int], None]
Folder = Callable[[Path, Sequence[Path]], ImportFindings]
_FOLDERS: Sequence[tuple[Callable[[Path], bool], Callable[[Path], Path], Folder]] = (
    (open_unlearning.is_result, lambda file: file.parent, open_unlearning.read_folder),
    (tofu_legacy.is_result, lambda file: file.parent, tofu_legacy.read_folder),
    (pictures.is_attack, lambda file: file.parent.parent, pictures.read_attacks),
    (rwku.is_result, lambda file: file.parent, rwku.read_folder),
)
"""What recognises a file, which folder is the run that it belongs to, and what reads that folder's files."""
_FILES: Sequence[tuple[Callable[[Path], bool], Callable[[Path], ImportFindings]]] = (
    (tofu_stat.is_stat, tofu_stat.read_stat),
    (uds.is_table, uds.read_table),
    (uds.is_summary, uds.read_summary),
    (harness.is_result, harness.read_file),
    (pictures.is_canvas, pictures.read_canvas),
    (pictures.is_report, pictures.read_report),
    (tables.is_table, tables.read_table),
)
"""What recognises a file, and what reads it, for files that are a run or more each."""
_BESIDE = ("trainer_state.json", "config.json", "metadata.json", "results.json", "generation_config.json",
           "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "adapter_config.json")  # fmt: skip
"""Files that belong to another one, or to no result at all."""
_DATA = (".json", ".csv", ".tsv", ".pth")


def import_results(
    store: Store,
    paths: Sequence[Path],
    on_progress: Progress | None = None,
    relabelled: Callable[[ImportFindings], ImportFindings] | None = None,
) -> tuple[ImportFindings, ImportChanges]:
    """Read everything under these paths and keep the runs; a second time changes nothing.

    Args:
        store: keeps them.
        paths: files and folders.
        on_progress: called with how many files of how many were read.
        relabelled: changes what was found before it is kept, for uploads that have no place of their own.

    Returns:
        What was found, with notes on each collection among its notes, and what that changed.

    Raises:
        StoreError: a path does not exist, or the store cannot be written.
    """
    findings = _read_all(paths, on_progress)
    if relabelled is not None:
        findings = relabelled(findings)
    changed = put_runs(store, findings.results)
    for name in sorted({each.collection for each in findings.results}):
        findings.notes += [Remark(name, note) for note in collection_notes(store, name)]
    return findings, changed


def read_results(paths: Sequence[Path], on_progress: Progress | None = None) -> ImportFindings:
    """Runs of all files under these paths, compared with the retained runs among them, and what could not be used.

    Args:
        paths: files and folders.
        on_progress: called with how many files of how many were read.

    Raises:
        StoreError: a path does not exist.
    """
    findings = _read_all(paths, on_progress)
    by_collection: dict[str, list[int]] = {}
    for place, each in enumerate(findings.results):
        by_collection.setdefault(each.collection, []).append(place)
    for places in by_collection.values():
        done = references.completed([findings.results[place] for place in places])
        for place, each in zip(places, done, strict=True):
            findings.results[place] = each
    return findings


def _read_all(paths: Sequence[Path], on_progress: Progress | None) -> ImportFindings:
    for path in paths:
        if not os.path.lexists(path):
            raise StoreError(
                "there is no such file or folder", where=str(path), how="Name what is to be imported"
            )
    findings = ImportFindings()
    files = list(dict.fromkeys(file for path in paths for file in _files(path, findings)))
    folders: dict[tuple[int, Path], list[Path]] = {}
    single = set(paths)
    for count, file in enumerate(files):
        if on_progress is not None:
            on_progress(count, len(files))
        name = without_compression(file)
        group = next((place for place, (is_its, _, _) in enumerate(_FOLDERS) if is_its(name)), None)
        if group is not None:
            folders.setdefault((group, _FOLDERS[group][1](file)), []).append(file)
            continue
        try:
            reader = next((read for is_its, read in _FILES if is_its(file)), None)
            if reader is not None:
                findings.add(reader(file))
            elif file in single or (name.suffix == ".json" and name.name not in _BESIDE):
                findings.leave_out(file, "is not a result file of a supported tool")
        except UnreadableFile as error:
            findings.problem(file, str(error))
    for (group, folder), held in folders.items():
        findings.add(_FOLDERS[group][2](folder, held))
    findings.results = tofu_stat.joined(pictures.joined_canvas(findings.results))
    if on_progress is not None:
        on_progress(len(files), len(files))
    return findings


def _files(path: Path, findings: ImportFindings) -> Iterator[Path]:
    """Plain files under a path, in order; hidden folders are not entered, links to folders are followed once."""
    if not path.is_dir():
        if _is_plain(path, findings, named=True):
            yield path
        return
    seen: set[tuple[int, int]] = set()

    def closed(error: OSError) -> None:
        findings.problem(error.filename, f"cannot be entered ({error.strerror})")

    for name, inner, names in os.walk(path, followlinks=True, onerror=closed):
        inner[:] = sorted(
            each for each in inner if not each.startswith(".") and _first(Path(name) / each, seen)
        )
        for each in sorted(names):
            file = Path(name) / each
            if _is_plain(file, findings, named=False):
                yield file


def _first(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether the folder was not entered before: a link may lead back to where it stands."""
    try:
        state = folder.stat()
    except OSError:
        return False
    place = (state.st_dev, state.st_ino)
    new = place not in seen
    seen.add(place)
    return new


def _is_plain(file: Path, findings: ImportFindings, *, named: bool) -> bool:
    """Whether the file may be opened at all: no pipe, no device; said where it has the name of a result file."""
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError):
        if named or (file.suffix in _DATA and file.name not in _BESIDE):
            findings.problem(file, "cannot be read, or is a broken link")
        return False
    wanted = without_compression(file).suffix in _DATA and file.name not in _BESIDE
    if not stat.S_ISREG(mode) and (named or wanted):
        findings.problem(file, "is not a regular file but a pipe, a device or a socket")
    return stat.S_ISREG(mode)
