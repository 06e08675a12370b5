"""Opening a packed study (`cache.store.pack_format`) that somebody mailed: it is trusted with nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from backends.checkpoints.picture_folders import PICTURES
from backends.checkpoints.tensors import file_digest
from backends.errors import StoreError
from backends.files import archive
from backends.files.disk import kept
from backends.files.plain import NotPlain, parse_json, read_plain
from backends.study.file import read_study
from cache.importers.imported_runs import choices, settle
from cache.store import Store
from cache.store.merge import MergeResult, merge
from cache.store.other import EVIDENCE, opened
from cache.store.pack_format import FORMAT, JUDGES, NAMES, PROBES, SETTINGS, STUDY
from cache.store.real_sets import keep_real_subjects

Progress = Callable[[str, int, int], None]
SOMEBODY = "Ask whoever sent it for another"


@dataclass(frozen=True, slots=True)
class Opened:
    """A pack whose content is in the cache.

    Attributes:
        study: its study file, which stays beside the cache.
        merged: what came.
    """

    study: Path
    merged: MergeResult


def unpacked_study(path: Path, store: Store) -> Path:
    """Where a pack's study file lies once it was opened into this cache, whether it was or not."""
    return store.path.parent.resolve() / "packs" / file_digest(path)[:16] / STUDY


def open_pack(path: Path, store: Store, progress: Progress = lambda what, done, total: None) -> Opened:
    """Take over what a pack holds, and put its study file and probe files beside the cache.

    Raises:
        StoreError: it is no pack, is damaged, of a newer version, or holds what does not belong into one.
        StudyError: its study file or a probe file cannot be read.
    """
    study = unpacked_study(path, store)
    packs = study.parent.parent
    with kept("what the pack holds", packs, path.stat().st_size):
        packs.mkdir(parents=True, exist_ok=True)
        room = tempfile.TemporaryDirectory(dir=packs, prefix=".new-")
    with room as name:
        folder = Path(name) / study.parent.name
        with kept("what the pack holds", packs, path.stat().st_size):
            folder.mkdir()
            real = _unpack(path, folder, progress)
        read_study(folder / STUDY)
        ours = choices(store)
        with opened(folder / EVIDENCE, packs) as other:
            merged = merge(store, other.store, folder / "images", progress)
            theirs = choices(other.store)
        settle(store, ours, theirs)
        for place, subjects in real.items():
            keep_real_subjects(store, str(study.parent / place), subjects)
        with kept("what the pack holds", packs):
            shutil.rmtree(folder / "images", ignore_errors=True)
            (folder / EVIDENCE).unlink()
            if not study.is_file():
                os.replace(folder, study.parent)
    return Opened(study, merged)


def _unpack(path: Path, folder: Path, progress: Progress) -> dict[str, list[str]]:
    """Unpack and look at everything that is not looked at later; returns what folders of real pictures held."""
    try:
        archive.unpack(path, folder, NAMES, lambda *count: progress("unpacked", *count))
        for needed in (STUDY, SETTINGS, EVIDENCE):
            if not (folder / needed).is_file():
                raise NotPlain(f"has no {needed}, so it is no packed study")
        settings = parse_json(read_plain(folder / SETTINGS).decode("utf-8"))
        real = _settings(settings)
        document = tomllib.loads(read_plain(folder / STUDY).decode("utf-8"))
        _stay_inside(document)
    except (NotPlain, ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, NotPlain) else f"is damaged ({str(error)[:120]})"
        raise StoreError(f"this pack {said}", where=str(path), how=SOMEBODY) from error
    return real


def _settings(settings: object) -> dict[str, list[str]]:
    if not isinstance(settings, dict) or not isinstance(settings.get("format"), int):
        raise NotPlain(f"has a {SETTINGS} that says nothing")
    if settings["format"] > FORMAT:
        raise NotPlain(
            f"was written by a newer UnlearnBoard (format {settings['format']}, this one reads {FORMAT})"
        )
    real = settings.get("real", {})
    if not isinstance(real, dict):
        raise NotPlain(f"has a {SETTINGS} that says nothing")
    for place, subjects in real.items():
        named = isinstance(subjects, list) and all(isinstance(subject, str) for subject in subjects)
        if not named or not _is_inside(place):
            raise NotPlain(f"has a {SETTINGS} that cannot be read")
    return real


def _stay_inside(document: dict[str, Any]) -> None:
    """Raises NotPlain where the study file names a file or folder that is not the pack's own."""
    for key, place in _places(document):
        if not _is_inside(place.removeprefix(PICTURES)):
            raise NotPlain(f"names what is outside of it ({ascii(place)[:80]}, key `{key}`)")
    for table in _tables(document, "probes"):
        if not str(table.get("file", "")).startswith(f"{PROBES}/") or "examples" in table:
            raise NotPlain("has probes that are not in it")
    for table in _tables(document, "judges"):
        if "real" in table and not str(table["real"]).startswith(f"{JUDGES}/"):
            raise NotPlain("has real pictures of a judge that are not in it")


def _places(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and value of everything in a study file that is a path."""
    for name, keys in (
        ("models", ("source", "adapter", "weights", "embeddings", "subfolder")),
        ("probes", ("file", "examples")),
        ("judges", ("path", "real")),
    ):
        for table in _tables(document, name):
            yield from ((key, place) for key in keys for place in _strings(table.get(key)))
    for name in ("denoising", "features"):
        yield from ((name, place) for place in _strings(document.get(name)))


def _tables(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    tables = document.get(name, [])
    return [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _is_inside(place: str) -> bool:
    path = PurePosixPath(place)
    return not (
        path.is_absolute() or ".." in path.parts or place.startswith("~") or "\\" in place or ":" in place[:2]
    )
