"""What the models of a study are at the moment: each is looked at once, and again only where its files changed.

Looking at a model reads headers, settings and templates, and hashes files that were not hashed before. What it gave is
kept for the process together with the stamps of all files that were looked at: names, sizes, times, inodes. Comparing
those costs a few system calls. Files that changed within the last seconds may change again without a new stamp (see
`backends.files.remembered`), and what has to be fetched may come at any time, so neither is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from backends.checkpoints.identity import ModelIdentity, available, identity, inspect, resolve
from backends.checkpoints.sources import SourceKind, kind_of, parts_of
from backends.checkpoints.vocabularies import difference
from backends.errors import CheckpointError
from backends.files.places import cache_folder
from backends.files.remembered import is_settled, times_forgotten
from backends.study import Modality, ModelSpec, Study

Value = TypeVar("Value")
Signature = tuple[tuple[str, int, int, int, int, int], ...]
"""Path, device, inode, size, time of modification and time of change of every file, in order of the paths."""
_MOST = 4096
"""Models that are kept; the oldest make room."""


@dataclass(frozen=True, slots=True)
class Located:
    """A model's files, whatever study it stands in.

    Attributes:
        here: all its weights are on this machine, or in the hub's own cache.
        folder: of the model below adapters and changed weights, where it can be read; None where it is not here, or
            was not converted yet.
        identity: of its weights and tokenizer, from its files or as it is declared; None where it is not available.
        error: why not.
    """

    here: bool
    folder: Path | None
    identity: ModelIdentity | None
    error: CheckpointError | None


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """One model of a study: where it is, of what kind, what it is, and whether and why not it can be used.

    Attributes:
        spec: as the study describes it.
        kind: of its source.
        located: its files.
        problem: why it cannot be used, in one sentence; None where nothing is known against it.
    """

    spec: ModelSpec
    kind: SourceKind
    located: Located
    problem: CheckpointError | None

    @property
    def here(self) -> bool:
        """All its weights are on this machine."""
        return self.located.here

    @property
    def can_be_evaluated(self) -> bool:
        """Evidence of it is available here: from its weights, or from pictures made elsewhere."""
        return self.here or not self.kind.has_weights

    @property
    def identity(self) -> ModelIdentity:
        """Of its weights and tokenizer.

        Raises:
            CheckpointError: it is not available.
        """
        return identity_of(self.located)


class ResolvedModels(Mapping[str, ResolvedModel]):
    """The models of a study by name, each resolved when it is first asked for and then no more.

    Make one for a piece of work, so that all of it means the same models, and pass it on.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._resolved: dict[str, ResolvedModel] = {}

    def __getitem__(self, name: str) -> ResolvedModel:
        if name not in self._resolved:
            self._resolved[name] = self._look(self._study.model(name))
        return self._resolved[name]

    def __iter__(self) -> Iterator[str]:
        return (spec.name for spec in self._study.models)

    def __len__(self) -> int:
        return len(self._study.models)

    def again(self, name: str) -> ResolvedModel:
        """The model as its files are now, for work that begins long after the others'."""
        self._resolved.pop(name, None)
        return self[name]

    def problems(self, names: Iterable[str] | None = None) -> dict[str, CheckpointError]:
        """The named models (None: all) that cannot be used, and why."""
        chosen = {name: self[name].problem for name in (self if names is None else names)}
        return {name: error for name, error in chosen.items() if error is not None}

    def _look(self, spec: ModelSpec) -> ResolvedModel:
        beside = self._study.modality == "text" and spec.part != "original"
        return resolve_model(spec, self._study.modality, self[self._study.original.name] if beside else None)


def resolve_model(spec: ModelSpec, modality: Modality, original: ResolvedModel | None) -> ResolvedModel:
    """One model, looked at only where that was not done since its files changed.

    Args:
        spec: the model.
        modality: of its study.
        original: what a language model's answers are compared with token by token; None for the original itself.
    """
    located = located_model(spec)
    beside = None if original is None else original.located
    key = spec, modality
    kept = _problems.get(key)
    if (
        kept is None or kept[0] is not located or kept[1] is not beside
    ):  # other files than those it was found in
        kept = located, beside, _problem(spec, modality, located, original)
        _keep(_problems, key, kept)
    return ResolvedModel(spec, kind_of(spec.source), located, kept[2])


def located_model(spec: ModelSpec) -> Located:
    """A model's files, looked at only where that was not done since they changed."""
    key = spec, *_circumstances(spec)
    paths = _watched(spec)
    signature = signature_of(paths)
    kept = _located.get(key)
    if kept is not None and kept[0] == signature:
        return kept[1]
    located = _look_at_files(spec)
    # What looking itself made, such as a conversion, is looked at the next time.
    if _can_be_kept(spec, signature) and signature_of(paths) == signature:
        _keep(_located, key, (signature, located))
    return located


def identity_of(located: Located) -> ModelIdentity:
    """Of a model's weights and tokenizer; raises CheckpointError where it is not available."""
    if located.identity is None:
        assert located.error is not None
        raise located.error.with_traceback(None)  # it is kept, and must not grow with every time it is told
    return located.identity


def signature_of(paths: Iterable[Path]) -> Signature:
    """Stamps of files, and of all files inside of folders; of what is not there only that."""
    return tuple(stamp for path in paths for stamp in _stamps(path))


_located: dict[object, tuple[Signature, Located]] = {}
_problems: dict[object, tuple[Located, Located | None, CheckpointError | None]] = {}


def _keep(memory: dict[object, Value], key: object, value: Value) -> None:
    memory.pop(key, None)
    memory[key] = value
    while len(memory) > _MOST:
        memory.pop(next(iter(memory)), None)


def _circumstances(spec: ModelSpec) -> tuple[object, ...]:
    """What decides beside the model's own files."""
    quantizes = bool(spec.quantization) and find_spec("bitsandbytes") is not None
    return str(cache_folder()), times_forgotten(), quantizes


def _watched(spec: ModelSpec) -> list[Path]:
    paths: list[Path] = []
    for number, (key, part) in enumerate(parts_of(spec)):
        paths += kind_of(part, key).watched(part, spec.revision if number == 0 else "")
    return paths


def _stamps(path: Path) -> Iterator[tuple[str, int, int, int, int, int]]:
    if not path.is_dir():
        yield _stamp(str(path))
        return
    for folder, inside, files in os.walk(path):
        inside.sort()
        yield folder, 0, 0, 0, 0, 0  # one that became empty is another
        for name in sorted(files):
            yield _stamp(f"{folder}{os.sep}{name}")


def _stamp(path: str) -> tuple[str, int, int, int, int, int]:
    try:
        s = os.stat(path)
    except OSError:
        return path, -1, 0, 0, 0, 0
    return path, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns


def _can_be_kept(spec: ModelSpec, signature: Signature) -> bool:
    fetched = [(part, kind) for key, part in parts_of(spec) if (kind := kind_of(part, key)).can_be_fetched]
    if any(not kind.here(part, spec.revision if part == spec.source else "") for part, kind in fetched):
        return False
    return all(is_settled(modified, changed) for *_, modified, changed in signature)


def _look_at_files(spec: ModelSpec) -> Located:
    kind = kind_of(spec.source)
    here = available(spec)
    try:
        own, error = identity(spec), None
    except CheckpointError as why:
        own, error = None, why
    try:
        ready = kind.ready(spec.source, spec.revision) if here else None
    except CheckpointError:
        ready = None  # `error` says why
    return Located(here, None if ready is None else ready / spec.subfolder, own, error)


def _problem(
    spec: ModelSpec, modality: Modality, located: Located, original: ResolvedModel | None
) -> CheckpointError | None:
    """Why a model cannot be used.

    It can where its files are whole, of the study's kind, and, for language models, where its tokenizer cuts texts as
    the original's does: answers are compared token by token.
    """
    try:
        inspect(spec, modality)
        identity_of(located)
    except CheckpointError as error:
        return error
    if original is None or original.located.identity is None:
        return None  # the original's own problem
    try:
        why = _tokenizer_difference(original, spec, located)
    except CheckpointError as error:
        return error
    if not why:
        return None
    return CheckpointError(
        f"its tokenizer or chat template differs from that of {original.spec.name} ({why}), so answers cannot be "
        "compared token by token",
        where=spec.name,
        how="Save the original's tokenizer into its folder, or compare the two in separate studies",
    )


def _tokenizer_difference(original: ResolvedModel, spec: ModelSpec, located: Located) -> str:
    """Why answers cannot be compared with the original's token by token; "" where they can.

    Of a model whose files are not here nothing is said: only what was recorded of it elsewhere can be shown.
    """
    if identity_of(located).tokenizer == original.identity.tokenizer or not located.here:
        return ""
    if not original.here:
        return "the original is not on this machine, and its fingerprint is that of another model"
    ours, theirs = (
        resolve(each.source, revision=each.revision) / each.subfolder for each in (original.spec, spec)
    )
    return difference(ours, theirs).why
