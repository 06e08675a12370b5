"""Where a model's parts can come from: one table of kinds, which everybody asks instead of looking at the text.

A new kind (a model served elsewhere) is a row of `KINDS` and a module with its functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backends.checkpoints import hub, packages, picture_folders
from backends.checkpoints.compressed import SUFFIX, is_here, unpacked
from backends.checkpoints.model_folders import check_folder, folder_digests, short_digest
from backends.checkpoints.tensors import TensorInfo
from backends.errors import CheckpointError
from backends.files.remembered import remembered
from backends.study import Modality, ModelSpec

Key = Literal["source", "adapter", "weights", "embeddings"]
"""Key of a study file that names a part of a model."""
WHOLE: tuple[Key, ...] = ("source", "adapter")
CHANGED: tuple[Key, ...] = ("weights", "embeddings")


@dataclass(frozen=True, slots=True)
class Digests:
    """Identity of what a source holds: digests of weights and settings, and of the tokenizer, "" without one."""

    parts: tuple[str, ...]
    tokenizer: str = ""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of source, and all that others may need to know of it.

    Attributes:
        name: for people and tests.
        written: how it stands in a study file.
        keys: that may name it.
        named_by: whether a text names a source of this kind; the first row of the table that says so counts.
        here: whether it is on this machine; source and revision.
        ready: where its files lie so that they can be read, None where they are not here or were not converted yet.
        place: the same, after it was fetched or converted where that is needed and allowed; CheckpointError where it
            is not available.
        watched: files and folders whose change may make another model of it; source and revision.
        digests: of a whole model; source, revision and subfolder; CheckpointError where it cannot be read.
        check: whether it can be loaded, without loading it: model and modality of the study; CheckpointError where not,
            else shapes of its tensors by name, where they are known.
        absolute: the source as a study keeps it, relative paths being taken from a folder.
        local: it names a path of this machine, which means nothing on another.
        modality: the only one of its models; None where the files say it.
        has_weights: False for recorded pictures, which no model is loaded for.
        needs_base: it changes a model that another source gives.
        can_be_fetched: it can come from elsewhere when it is needed.
        stored_packed: its numbers take fewer bits than the float32 that they are read into.
    """

    name: str
    written: str
    keys: tuple[Key, ...]
    named_by: Callable[[str], bool]
    here: Callable[[str, str], bool]
    ready: Callable[[str, str], Path | None]
    place: Callable[[str, str], Path]
    watched: Callable[[str, str], tuple[Path, ...]]
    digests: Callable[[str, str, str], Digests]
    check: Callable[[ModelSpec, Modality], Mapping[str, TensorInfo]]
    absolute: Callable[[str, Path], str]
    local: bool
    modality: Modality | None = None
    has_weights: bool = True
    needs_base: bool = False
    can_be_fetched: bool = False
    stored_packed: bool = False


def kind_of(source: str, key: Key = "source") -> SourceKind:
    """The kind of a source that stands under a key of a model."""
    return next(kind for kind in KINDS if key in kind.keys and kind.named_by(source))


def parts_of(spec: ModelSpec) -> list[tuple[Key, str]]:
    """All sources that a model is made of with the keys that name them, its own source first."""
    named: list[tuple[Key, str]] = [("source", spec.source)]
    named += [("adapter", part) for part in (spec.adapter, spec.origin_adapter) if part]
    named += [("weights", spec.weights)] if spec.weights else []
    named += [("source", spec.origin)] if spec.origin else []
    return [*named, *(("embeddings", file) for _, file in spec.embeddings)]


def located(source: str, folder: Path) -> str:
    """A source as a study keeps it: paths made absolute from a folder, everything else as it stands."""
    path = _absolute_path(source, folder)
    if Path(path).exists():
        return path
    # A repository's name may be a folder's where the program was started, which a study does not mean.
    return source if hub.HUB_ID.match(source) else kind_of(source).absolute(source, folder)


# Folders and files


def _path(source: str) -> Path:
    return Path(source).expanduser()


def _folder_here(source: str, _revision: str) -> bool:
    return is_here(_path(source))


def _ready_path(source: str, _revision: str) -> Path | None:
    return unpacked(_path(source)) if is_here(_path(source)) else None


def _folder_place(source: str, _revision: str) -> Path:
    path = _path(source)
    if path.exists():
        return unpacked(path)
    raise CheckpointError(
        "there is no such folder", where=source, how="Check the path, or name a hub id as owner/name"
    )


def _file_place(source: str, _revision: str) -> Path:
    return unpacked(Path(source))


def _watched_path(source: str, _revision: str) -> tuple[Path, ...]:
    path = _path(source)
    return path, path.with_name(path.name + SUFFIX)


def _of_folder(source: str, revision: str, subfolder: str) -> Digests:
    parts, tokenizer = folder_digests(kind_of(source).place(source, revision) / subfolder)
    return Digests(tuple(parts), tokenizer)


def _check_folder(spec: ModelSpec, modality: Modality) -> Mapping[str, TensorInfo]:
    folder = kind_of(spec.source).place(spec.source, spec.revision)
    return check_folder(folder / spec.subfolder, modality, spec.name)


def _absolute_path(source: str, folder: Path) -> str:
    return str((folder / Path(source).expanduser()).absolute())


# The hub


def _names_repository(source: str) -> bool:
    return hub.HUB_ID.match(source) is not None and not is_here(_path(source))


def _repository(source: str, revision: str) -> Path:
    return hub.from_hub(source.removeprefix(hub.HUB), revision)


def _ready_repository(source: str, revision: str) -> Path | None:
    return hub.in_hub_cache(source.removeprefix(hub.HUB), revision)


def _repository_here(source: str, revision: str) -> bool:
    return _ready_repository(source, revision) is not None


def _watched_repository(source: str, revision: str) -> tuple[Path, ...]:
    ready = _ready_repository(source, revision)
    refs = hub.references_of(source.removeprefix(hub.HUB))
    return (refs,) if ready is None else (refs, ready)


def _hub_file_place(source: str, _revision: str) -> Path:
    return hub.version_path(source)


def _ready_hub_file(source: str, _revision: str) -> Path | None:
    try:
        return hub.version_path(source, fetch=False)
    except CheckpointError:
        return None


def _hub_file_here(source: str, revision: str) -> bool:
    return _ready_hub_file(source, revision) is not None


def _watched_hub_file(source: str, revision: str) -> tuple[Path, ...]:
    ready = _ready_hub_file(source, revision)
    refs = hub.references_of(hub.repository_of(source))
    return (refs,) if ready is None else (refs, ready)


# Packages


def _names_package(source: str) -> bool:
    return source.startswith(packages.PACKAGE)


def _package_here(source: str, _revision: str) -> bool:
    return packages.package_file(source) is not None


def _ready_package(source: str, _revision: str) -> Path | None:
    return packages.converted_before(source)


def _converted(source: str, _revision: str) -> Path:
    return packages.converted(source)


def _watched_package(source: str, _revision: str) -> tuple[Path, ...]:
    file = packages.package_file(source)
    return () if file is None else (file, packages.conversion(file))


def _of_package(source: str, _revision: str, _subfolder: str) -> Digests:
    digest = packages.package_digest(source)
    return Digests((digest,), short_digest(["gguf", digest]))


def _check_package(spec: ModelSpec, _modality: Modality) -> Mapping[str, TensorInfo]:
    packages.needed_file(spec.source)
    return {}


# Pictures made elsewhere


def _names_pictures(source: str) -> bool:
    return source.startswith(picture_folders.PICTURES)


def _pictures_here(source: str, _revision: str) -> bool:
    return picture_folders.pictures_folder(source).is_dir()


def _ready_pictures(source: str, revision: str) -> Path | None:
    return picture_folders.pictures_folder(source) if _pictures_here(source, revision) else None


def _pictures(source: str, _revision: str) -> Path:
    return picture_folders.pictures_folder(source)


def _watched_pictures(source: str, _revision: str) -> tuple[Path, ...]:
    return (picture_folders.pictures_folder(source),)


def _of_pictures(source: str, _revision: str, _subfolder: str) -> Digests:
    folder = picture_folders.pictures_folder(source)
    files = picture_folders.pictures_in(folder)
    return Digests((remembered("pictures", files, lambda: picture_folders.folder_digest(folder, files)),))


def _check_pictures(spec: ModelSpec, _modality: Modality) -> Mapping[str, TensorInfo]:
    picture_folders.pictures_in(picture_folders.pictures_folder(spec.source))
    return {}


def _absolute_pictures(source: str, folder: Path) -> str:
    return picture_folders.PICTURES + _absolute_path(str(picture_folders.pictures_folder(source)), folder)


# Parts that change a base: what they hold is digested and checked on it, see `identity`. ---------------


def _no_digests(source: str, _revision: str, _subfolder: str) -> Digests:
    raise CheckpointError("this changes a model, and is none by itself", where=source)


def _no_check(spec: ModelSpec, _modality: Modality) -> Mapping[str, TensorInfo]:
    raise CheckpointError("this changes a model, and is none by itself", where=spec.name)


def _as_it_stands(source: str, _folder: Path) -> str:
    return source


PICTURES = SourceKind(
    name="pictures made elsewhere",
    written="pictures:FOLDER",
    keys=("source",),
    named_by=_names_pictures,
    here=_pictures_here,
    ready=_ready_pictures,
    place=_pictures,
    watched=_watched_pictures,
    digests=_of_pictures,
    check=_check_pictures,
    absolute=_absolute_pictures,
    local=True,
    modality="image",
    has_weights=False,
)
PACKAGE = SourceKind(
    name="GGUF file in a Python package",
    written="package:NAME/FILE.gguf",
    keys=("source",),
    named_by=_names_package,
    here=_package_here,
    ready=_ready_package,
    place=_converted,
    watched=_watched_package,
    digests=_of_package,
    check=_check_package,
    absolute=_as_it_stands,
    local=False,
    modality="text",
    stored_packed=True,
)
REPOSITORY = SourceKind(
    name="repository on the hub",
    written="hf://OWNER/NAME or OWNER/NAME",
    keys=WHOLE,
    named_by=_names_repository,
    here=_repository_here,
    ready=_ready_repository,
    place=_repository,
    watched=_watched_repository,
    digests=_of_folder,
    check=_check_folder,
    absolute=_as_it_stands,
    local=False,
    can_be_fetched=True,
)
FOLDER = SourceKind(
    name="folder",
    written="PATH",
    keys=WHOLE,
    named_by=lambda _: True,
    here=_folder_here,
    ready=_ready_path,
    place=_folder_place,
    watched=_watched_path,
    digests=_of_folder,
    check=_check_folder,
    absolute=_absolute_path,
    local=True,
)
HUB_FILE = SourceKind(
    name="changed weights on the hub",
    written="hf://OWNER/NAME/PATH",
    keys=CHANGED,
    named_by=hub.is_on_hub,
    here=_hub_file_here,
    ready=_ready_hub_file,
    place=_hub_file_place,
    watched=_watched_hub_file,
    digests=_no_digests,
    check=_no_check,
    absolute=_as_it_stands,
    local=False,
    needs_base=True,
    can_be_fetched=True,
)
FILE = SourceKind(
    name="file or folder with changed weights",
    written="PATH",
    keys=CHANGED,
    named_by=lambda _: True,
    here=_folder_here,
    ready=_ready_path,
    place=_file_place,
    watched=_watched_path,
    digests=_no_digests,
    check=_no_check,
    absolute=_absolute_path,
    local=True,
    needs_base=True,
)

KINDS = (PICTURES, PACKAGE, REPOSITORY, FOLDER, HUB_FILE, FILE)
"""All kinds, in the order in which a text is tried against them: what names itself before what is any path."""
