"""A study made from command-line options, for a first look before a study file is written by hand.

What each model is follows from what is in its folder: a model, a PEFT adapter (put on the original's base) or one
safetensors file (tensors that replace the original's). Knows nothing about how options are parsed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backends.checkpoints.adapters import adapter_settings
from backends.checkpoints.hub import is_on_hub
from backends.checkpoints.identity import resolve
from backends.checkpoints.model_folders import detect_modality
from backends.checkpoints.sources import kind_of, located
from backends.checkpoints.tensors import PICKLES
from backends.errors import StudyError
from backends.image.judges.classes import with_classes
from backends.probes.reading import read_probes
from backends.study import (
    NUDENET,
    NUDENET_THRESHOLD,
    JudgeSpec,
    ModelSpec,
    Part,
    ProbeSet,
    Role,
    Study,
    spec_digest,
)
from backends.study.writing import write_study

FILES = (".safetensors", *PICKLES)
"""Files of unlearned weights of an image model."""

CHECKPOINT = re.compile(r"(?:checkpoint|step|epoch|iteration|iter)[-_ ]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StudyArguments:
    """What a person named on the command line.

    Attributes:
        original: folder or hub id.
        unlearned: folders, hub ids or safetensors files, in the order they are shown.
        retained: folder or hub id, or "".
        probes: role to files.
        judges: domain to folder (image studies).
        concepts: domain to the concept to forget (image studies).
        name: of the study, or "".
    """

    original: str
    unlearned: Sequence[str]
    retained: str
    probes: Mapping[Role, Sequence[str]]
    judges: Mapping[str, str]
    concepts: Mapping[str, str]
    name: str = ""


def write_adhoc(choice: StudyArguments, folder: Path) -> Path:
    """Writes the study into the folder, under a name that is the same for the same choice; returns its path."""
    study = adhoc_study(choice)
    key = json.dumps(
        [
            study.name,
            [spec_digest(spec) for spec in study.models],
            [[probe_set.role, probe_set.path] for probe_set in study.probe_sets],
            [[judge.domain, judge.path, *judge.classes] for judge in study.judges],
            dict(study.forget_concepts),
        ]
    )
    slug = re.sub(r"[^a-z0-9]+", "-", study.name.lower()).strip("-")[:40] or "study"
    path = folder / f"{slug}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.toml"
    write_study(study, path)
    return path


def adhoc_study(choice: StudyArguments) -> Study:
    """The study of the named models and probe files.

    Raises:
        StudyError: a probe file is not usable, or a name is missing.
        CheckpointError: the original is nowhere, or holds no model or adapter that can be read.
    """
    original = _original(choice.original)
    models = [original]
    if choice.retained:
        models.append(
            replace(_spec(choice.retained, "retained", original), name="Retained", method="", step=None)
        )
    models += _own_names([_spec(source, "unlearned", original) for source in choice.unlearned])
    folder = resolve(original.source)
    modality = kind_of(original.source).modality or detect_modality(folder)
    if modality == "text" and (choice.judges or choice.concepts):
        raise StudyError(
            "--judge and --concept are for image models, but the original is a language model",
            where=choice.original,
        )
    sets = _probe_sets(choice.probes, pictures=modality == "image")
    judges = with_classes([_judge(*each) for each in choice.judges.items()], sets, choice.concepts)
    return Study(
        name=choice.name or f"{_short_name(choice.original)}, {len(choice.unlearned)} unlearned",
        modality=modality,
        models=tuple(models),
        probe_sets=sets,
        judges=judges,
        forget_concepts=choice.concepts,
    )


def _judge(domain: str, path: str) -> JudgeSpec:
    if path == NUDENET:
        return JudgeSpec(domain, NUDENET, threshold=NUDENET_THRESHOLD)
    return JudgeSpec(domain, path if is_on_hub(path) else str(_absolute(path)))


def _original(source: str) -> ModelSpec:
    spec = ModelSpec(name="Original", part="original", source=_located(source))
    if not _is_adapter(spec.source):
        return spec
    base = adapter_settings(Path(spec.source)).get("base_model_name_or_path")
    if not base or not isinstance(base, str):
        raise StudyError(
            "this adapter does not name its base model",
            where=source,
            how="Write a study.toml that names the base in `source` and this folder in `adapter`",
        )
    return replace(spec, source=_located(base), adapter=spec.source)


def _spec(source: str, part: Part, original: ModelSpec) -> ModelSpec:
    path = Path(source)
    name, method, step = _short_name(source), "", None
    if match := CHECKPOINT.fullmatch(path.stem if path.suffix in FILES else path.name):
        method, step = path.absolute().parent.name, int(match[1])
        name = f"{method} {step}"
    located = _located(source)
    spec = ModelSpec(name=name, part=part, source=located, method=method, step=step)
    if _is_adapter(located):
        return replace(spec, source=original.source, adapter=located)
    if path.suffix in FILES or _is_part(Path(located), Path(original.source)):
        return replace(spec, source=original.source, weights=located)
    return spec


def _is_part(folder: Path, original: Path) -> bool:
    """A folder with one component of a diffusers pipeline, or with erasers, beside an original that is a pipeline."""
    pipelines = [(path / "model_index.json").is_file() for path in (folder, original)]
    return folder.is_dir() and pipelines == [False, True]


def _is_adapter(source: str) -> bool:
    folder = Path(source)
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def _located(source: str) -> str:
    """An absolute path, or a hub id or package file as it stands."""
    return located(source, Path())


def _absolute(source: str) -> Path:
    return Path(source).expanduser().absolute()


def _short_name(source: str) -> str:
    path = Path(source)
    return (path.stem if path.suffix in {*FILES, ".gguf"} else path.absolute().name) or source


def _own_names(specs: Sequence[ModelSpec]) -> list[ModelSpec]:
    """The specs, with a number behind a name that is taken."""
    taken = {"Original", "Retained"}
    result = []
    for spec in specs:
        name, number = spec.name, 2
        while name in taken:
            name, number = f"{spec.name} ({number})", number + 1
        taken.add(name)
        result.append(replace(spec, name=name))
    return result


def _probe_sets(files: Mapping[Role, Sequence[str]], *, pictures: bool) -> tuple[ProbeSet, ...]:
    sets: list[ProbeSet] = []
    for role, paths in files.items():
        for path in paths:
            found = read_probes(_absolute(path), role, pictures=pictures)
            if any(found.name == other.name for other in sets):
                found = replace(found, name=f"{found.name} ({role})")
            sets.append(found)
    return tuple(sets)
