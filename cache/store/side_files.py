"""Files that stood beside the database until version 3 of the store, as evidence in it.

checks/1-ORIGINAL-MODEL-NUMERICS.json       what was found when a model was loaded
costs/MODEL.json                            what it cost to make
denoising/MODEL-TIMESTEPS-NUMERICS.jsonl    its losses on real pictures, one line per picture
films/DRAWING-PROBE-NUMERICS.png            a denoising trajectory
judges/ASKED.json                           what a judge said of real pictures
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import Connection, select

from backends.checkpoints.loader_report import check_from_json
from backends.files.plain import NotPlain, parse_json, read_plain
from backends.image.judges.accuracy import accuracy_from_json
from cache.store import codec, keys, schema, values
from cache.store.cells import CONTEXT_FIELDS, put_cell, put_context
from cache.store.image_files import ImageFiles
from cache.store.keys import CODE_VERSION, IMAGE_PROTOCOL, Context

FOLDERS = ("checks", "costs", "denoising", "films", "judges")


class _Unreadable(Exception):
    """This is no file of ours, or it is damaged. Raised and caught inside this module only."""


_NOT_OURS = (
    *(_Unreadable, NotPlain, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError),
    *(SyntaxError, Image.DecompressionBombError),  # of pictures
)


@dataclass(frozen=True, slots=True)
class _FileContent:
    """What a file says.

    Attributes:
        context: what it is evidence of.
        values: by digest.
        whole: whether all of it was understood; False for a file of which some lines are not.
    """

    context: Context
    values: Mapping[str, object]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class MigratedFiles:
    """Files that became evidence, and those that were not understood, or not all of them, and must not be lost."""

    read: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)


def side_files(folder: Path) -> list[Path]:
    """The files beside the database of an older store, in order."""
    found = (path for name in FOLDERS for path in (folder / name).glob("*") if path.is_file())
    return sorted(path for path in found if path.suffix != ".tmp")  # half a file of a killed process


def import_recorded(connection: Connection, folder: Path, images: ImageFiles) -> MigratedFiles:
    """Put into the store what the files in a folder say, within a transaction; what it has already stays as it is.

    Raises:
        StoreError: a picture cannot be written.
    """
    drawings = _drawings(connection)
    taken = MigratedFiles()
    for path in side_files(folder):
        try:
            told = _READERS[path.parent.name](path, images, drawings)
        except _NOT_OURS:
            taken.unreadable.append(path)
            continue
        _put(connection, told)
        (taken.read if told.whole else taken.unreadable).append(path)
    return taken


def _put(connection: Connection, told: _FileContent) -> None:
    owner = put_context(connection, told.context)
    index = schema.evidence
    known = set(connection.execute(select(index.c.digest).where(index.c.context == owner)).scalars())
    new = {digest: value for digest, value in told.values.items() if digest not in known}
    if new:
        put_cell(connection, owner, list(new), codec.encode_values(list(new.values())))


def _check(path: Path, _images: ImageFiles, _drawings: Mapping[str, str]) -> _FileContent:
    version, original, mine, numerics = _name(path, 4)
    value = parse_json(_text(path))
    check_from_json(value)
    context = replace(values.checks_context(original, mine, numerics), code_version=int(version))
    return _FileContent(context, {values.ONLY: value})


def _cost(path: Path, _images: ImageFiles, _drawings: Mapping[str, str]) -> _FileContent:
    (fingerprint,) = _name(path, 1)
    value = parse_json(_text(path))
    if not isinstance(value, dict) or not value:
        raise _Unreadable
    return _FileContent(values.costs_context(fingerprint), {values.ONLY: value})


def _losses(path: Path, _images: ImageFiles, _drawings: Mapping[str, str]) -> _FileContent:
    fingerprint, timesteps, numerics = _name(path, 3)
    lines = _text(path).splitlines()
    result: dict[str, object] = {}
    broken: list[int] = []
    for number, line in enumerate(lines):
        try:
            role, name, losses = json.loads(line)
            result[values.loss_digest(str(role), str(name))] = [
                str(role),
                str(name),
                [float(loss) for loss in losses],
            ]
        except (ValueError, TypeError):
            broken.append(number)
    if lines and not result:
        raise _Unreadable
    # Half a line at the end is what a kill left of it: that loss was never known.
    whole = not broken or broken == [len(lines) - 1]
    return _FileContent(values.losses_context(fingerprint, timesteps, numerics), result, whole)


def _film(path: Path, images: ImageFiles, drawings: Mapping[str, str]) -> _FileContent:
    drawing, probe, numerics = _name(path, 3)
    png = read_plain(path)
    with Image.open(BytesIO(png)) as image:
        steps = [int(step) for step in str(image.info["steps"]).split(",")]
        image.load()
        if image.width % len(steps):
            raise _Unreadable
    context = values.trajectories_context(drawings.get(drawing, ""), drawing, numerics)
    return _FileContent(context, {probe: {"steps": steps, "picture": images.write(png, thumbnail=False)}})


def _judge(path: Path, _images: ImageFiles, _drawings: Mapping[str, str]) -> _FileContent:
    (asked,) = _name(path, 1)
    value = parse_json(_text(path))
    if accuracy_from_json(value) is None:
        raise _Unreadable
    return _FileContent(values.judges_context("", asked), {values.ONLY: value})


_Reader = Callable[[Path, ImageFiles, Mapping[str, str]], _FileContent]
_READERS: Mapping[str, _Reader] = {
    "checks": _check,
    "costs": _cost,
    "denoising": _losses,
    "films": _film,
    "judges": _judge,
}
_SUFFIXES: Mapping[str, str] = {"denoising": ".jsonl", "films": ".png"}


def _name(path: Path, parts: int) -> list[str]:
    """The parts of a file's name; the last one, an arithmetic, may have hyphens."""
    found = path.stem.split("-", parts - 1)
    if path.suffix != _SUFFIXES.get(path.parent.name, ".json") or len(found) != parts or not all(found):
        raise _Unreadable
    return found


def _text(path: Path) -> str:
    return read_plain(path).decode()


def _drawings(connection: Connection) -> dict[str, str]:
    """Key in a film's name -> fingerprint of the model, where the store has pictures that were drawn the same way."""
    table = schema.contexts
    query = select(*(table.c[name] for name in CONTEXT_FIELDS)).where(table.c.kind == "images")
    result = {}
    for context in (Context(*row) for row in connection.execute(query)):
        settings: dict[str, Any] = json.loads(context.settings)
        drawn = keys.canonical(settings | {"judges": ""})
        bare = Context("images", context.fingerprint, "", IMAGE_PROTOCOL, drawn, "", CODE_VERSION["images"])
        result[bare.key] = context.fingerprint
    return result


def remove(paths: Sequence[Path]) -> Iterator[Path]:
    """Remove files and the folders that become empty; yields those that could not be removed."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            yield path
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            folder.rmdir()
        except OSError:
            continue  # something else is in it, or it is gone
