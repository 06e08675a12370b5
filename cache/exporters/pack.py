"""A study with everything that is known of it as one file, to be mailed: see `cache.store.pack_format`."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sqlalchemy import delete, select

from backends.checkpoints.hub import HUB, HUB_ID
from backends.checkpoints.identity import ModelIdentity
from backends.checkpoints.sources import kind_of
from backends.errors import CheckpointError, StoreError
from backends.files.disk import kept
from backends.image.networks.named import text_subject
from backends.probes.sources import is_on_hub, probe_file
from backends.study import NUDENET, PROTOCOL_NAMES, JudgeSpec, ModelSpec, Study
from backends.study.file import read_study
from backends.study.writing import write_study
from cache.analysis.scoreboard import scoreboard
from cache.store import Store, open_store, schema
from cache.store.costs import keep_costs
from cache.store.features import networks_of
from cache.store.image_files import ImageFiles
from cache.store.judge_checks import judgements_of_real
from cache.store.keys import CODE_VERSION, VALUE_KINDS
from cache.store.merge import Selection, merge
from cache.store.named_pictures import pictures_named
from cache.store.other import EVIDENCE
from cache.store.pack_format import FORMAT, JUDGES, NAMES, PROBES, SETTINGS, STUDY, WEIGHTS
from cache.store.reading import identity_to_read, judges_digest, text_contexts
from cache.store.real_sets import KEPT, folders_of, keep_real_subjects, real_subjects
from cache.store.rows import rows_of

Progress = Callable[[str, int, int], None]
TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Packed:
    """What a pack holds.

    Attributes:
        runs, evidence, pictures, imported: how many; of evidence, pieces.
        size: of the file in bytes.
        differing: numbers that the pack does not give as the cache does, as `model metric`.
    """

    runs: int
    evidence: int
    pictures: int
    imported: int
    size: int
    differing: tuple[str, ...]


def write_pack(
    study: Study, store: Store, target: Path, progress: Progress = lambda what, done, total: None
) -> Packed:
    """Write a study with its probe files, evidence, runs, numbers, imported results and pictures into one file.

    Weights are not in it: every model's fingerprint is, by which its evidence is found where there are no weights.
    Answers to prompts that are none of the study's probes stay here. What was written is opened again, and its numbers
    are compared with those of the cache.

    Args:
        study: read from a file.
        store: the cache.
        target: the file; replaced where it is there.
        progress: hears how far it is.

    Raises:
        StoreError: nothing of the study is in the cache, or the file cannot be written.
    """
    known = _identities(study)
    with kept("the pack", target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        room = tempfile.TemporaryDirectory(dir=target.parent, prefix=".pack-")
    with room as name:
        folder = Path(name)
        real = _write_study(study, store, known, folder)
        with closing(open_store(folder / EVIDENCE)) as packed:
            merged = merge(packed, store, progress=progress, only=_evidence(study, store, known))
            if not merged.tables["evidence"].new:
                raise StoreError(
                    f"nothing of {study.name!r} is evaluated, so there is nothing to pack",
                    how="Run `unlearnboard evaluate` first",
                )
            pictures = _pictures(packed)
            merge(packed, store, progress=progress, only=_vectors(study, store, pictures))
            keep_costs(study, packed, [spec.name for spec in study.models if spec.name in known])
            differing = _differing(study, store, folder, packed, real)
            with packed.writing(news=False) as connection:  # folders of this machine
                connection.execute(delete(schema.memos).where(schema.memos.c.key.startswith(KEPT)))
            packed.seal()
        _zip(folder, ImageFiles(store.path.parent / "images"), pictures, target, progress)
    counts = merged.tables
    return Packed(
        counts["runs"].new,
        counts["evidence"].new,
        len(pictures),
        counts["results"].new,
        target.stat().st_size,
        differing,
    )


def _identities(study: Study) -> dict[str, ModelIdentity]:
    """Name -> identity, of the models that have one."""
    result = {}
    for spec in study.models:
        try:
            result[spec.name] = identity_to_read(spec)
        except CheckpointError:
            continue  # nothing of it can be in the cache
    return result


# What of the cache is the study's


def _evidence(study: Study, store: Store, known: Mapping[str, ModelIdentity]) -> Selection:
    probes = {probe.digest() for each in study.probe_sets for probe in each.probes}
    contexts: dict[str, set[str] | None] = {}
    for protocol in PROTOCOL_NAMES if study.modality == "text" else ():
        asked = replace(study, protocol=protocol)
        for spec in study.models:
            if spec.name in known:
                found = text_contexts(store, identity_to_read(spec, asked), protocol, study.date)
                contexts |= dict.fromkeys((context.key for context in found), probes)
    fingerprints = {each.fingerprint for each in known.values()}
    judges = judges_digest(study.judges)
    for context in store.contexts():
        ours = context.fingerprint in fingerprints and context.code_version == CODE_VERSION[context.kind]
        if context.kind == "images":
            said_by = json.loads(context.settings).get("judges")
            taken = ours and judges in ("", said_by)
        else:
            # Of trajectories of before it was kept, the model is not known; the probes tell them.
            taken = context.kind in VALUE_KINDS and context.kind != "judges"
            taken = taken and (ours or (context.kind == "trajectories" and not context.fingerprint))
        if taken:
            contexts[context.key] = probes if context.kind in ("images", "trajectories") else None
    results = schema.results
    with store.reading() as connection:
        query = select(results.c.key, results.c.metrics).where(results.c.modality == study.modality)
        imported = {key: metrics for key, metrics in connection.execute(query)}
    metrics = set(imported.values())
    return Selection(
        contexts,
        {
            "runs": lambda row: bool(row["study"] == study.name),
            "result_metrics": lambda row: row["id"] in metrics,
            "results": lambda row: row["key"] in imported,
            "result_examples": lambda row: row["key"] in imported,
        },
    )


def _vectors(study: Study, store: Store, pictures: set[str]) -> Selection:
    """What networks make of the study's pictures, prompts and real pictures."""
    digests = {each.digest for each in networks_of(study, store)}
    said = {text_subject(probe.prompt) for each in study.probe_sets for probe in each.probes}
    said |= {subject for folder in folders_of(study) for subject in real_subjects(store, folder)}
    with store.reading() as connection:
        table = schema.networks
        numbers = set(connection.execute(select(table.c.id).where(table.c.digest.in_(digests))).scalars())
    return Selection(
        {},
        {
            "networks": lambda row: row["id"] in numbers,
            "features": lambda row: (
                row["network"] in numbers
                and (row["subject"] in said or pictures.issuperset(row["subject"].split(" ")))
            ),
        },
    )


def _pictures(store: Store) -> set[str]:
    """Pictures that the evidence of a store names."""
    places: dict[int, list[int]] = {}
    with store.reading() as connection:
        contexts = schema.contexts
        kinds = {row[0]: row[1] for row in connection.execute(select(contexts.c.id, contexts.c.kind))}
        for cell, row in connection.execute(select(schema.evidence.c.cell, schema.evidence.c.row)):
            places.setdefault(cell, []).append(row)
    return {
        digest
        for batch in rows_of(store, schema.cells)
        for row in filter(None, batch)
        for named in pictures_named(kinds[row["context"]], row["payload"], places.get(row["id"], []))
        for digest in named
    }


# The study file


def _write_study(
    study: Study, store: Store, known: Mapping[str, ModelIdentity], folder: Path
) -> dict[str, list[str]]:
    """Write study, probe files and what judges said of real pictures; returns what folders of real pictures held."""
    with kept("the pack", folder):
        models = tuple(_model(spec, number, known) for number, spec in enumerate(study.models, 1))
        judges = tuple(_judge(spec, number, store, folder) for number, spec in enumerate(study.judges, 1))
        sets = []
        for number, each in enumerate(study.probe_sets, 1):
            source = probe_file(each.path) if is_on_hub(each.path) else Path(each.path)
            place = f"{PROBES}/{number}/{source.name}"
            (folder / place).parent.mkdir(parents=True)
            shutil.copyfile(source, folder / place)
            sets.append(replace(each, path=place))
        features, denoising = study.features, study.denoising
        places = {real: f"real/{number}" for number, real in enumerate(folders_of(study), 1)}
        features = replace(
            features,
            clip=_network(features.clip, "clip"),
            inception=_network(features.inception, "inception"),
            real=tuple((role, places[real]) for role, real in features.real),
        )
        if denoising is not None:
            named = denoising.folders()
            forget, retain, holdout = (
                f"denoising/{role}" if role in named else "" for role in ("forget", "retain", "holdout")
            )
            denoising = replace(denoising, forget=forget, retain=retain, holdout=holdout)
        packed = replace(
            study,
            models=models,
            judges=judges,
            probe_sets=tuple(sets),
            features=features,
            denoising=denoising,
            path=None,
        )
        write_study(packed, folder / STUDY)
        real = {place: list(real_subjects(store, source)) for source, place in places.items()}
        settings = {"format": FORMAT, "real": real}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return real


def _model(spec: ModelSpec, number: int, known: Mapping[str, ModelIdentity]) -> ModelSpec:
    """The model without a path of this machine."""
    nowhere = f"{WEIGHTS}/{number}"
    return replace(
        spec,
        source=spec.source
        if not kind_of(spec.source).local
        else f"{nowhere}/{_plain(Path(spec.source).name)}",
        adapter=_elsewhere(spec.adapter, f"{nowhere}/adapter"),
        weights=_elsewhere(spec.weights, f"{nowhere}/weights"),
        fingerprint=known[spec.name].declared() if spec.name in known else "",
        embeddings=tuple((t, _elsewhere(f, f"{nowhere}/embeddings") or "") for t, f in spec.embeddings),
    )


def _elsewhere(path: str | None, nowhere: str) -> str | None:
    return path if path is None or path.startswith(HUB) else f"{nowhere}/{_plain(Path(path).name)}"


def _network(source: str, kind: str) -> str:
    """A network's name stays, by which it is found where its files are not."""
    return source if not source or HUB_ID.match(source) else f"./networks/{kind}/{Path(source).name}"


def _judge(spec: JudgeSpec, number: int, store: Store, folder: Path) -> JudgeSpec:
    path = (
        spec.path
        if spec.path == NUDENET or spec.path.startswith(HUB)
        else f"./{JUDGES}-not-packed/{_plain(spec.domain)}"
    )
    if not spec.real:
        return replace(spec, path=path)
    file = Path(spec.real)
    said = file.read_bytes() if file.is_file() else json.dumps(judgements_of_real(store, spec)).encode()
    place = f"{JUDGES}/{number}-{_plain(spec.domain)}.json"
    (folder / JUDGES).mkdir(exist_ok=True)
    (folder / place).write_bytes(said)
    return replace(spec, path=path, real=place)


def _plain(name: str) -> str:
    """A name for what is not in the pack, or is known by another name."""
    return re.sub(r"[^\w.=+-]", "_", name, flags=re.ASCII).lstrip(".")[-100:] or "_"


# Checking and writing


def _differing(
    study: Study, store: Store, folder: Path, packed: Store, real: Mapping[str, list[str]]
) -> tuple[str, ...]:
    """Numbers of the cache that the pack does not give, or gives otherwise; derives the pack's on the way."""
    for place, subjects in real.items():
        keep_real_subjects(packed, str((folder.resolve() / place).absolute()), subjects)
    linked = folder / "images"
    linked.symlink_to((store.path.parent / "images").absolute(), target_is_directory=True)
    try:
        written = read_study(folder / STUDY)
        if _probes(written) != _probes(study):
            raise StoreError(
                "the probes would not be read from the pack as they were from their files",
                where=str(study.path),
                how="Were the files changed meanwhile? Open the study again",
            )
        theirs = scoreboard(written, packed).frame.set_index(["model", "key"])
    finally:
        linked.unlink()
    ours = scoreboard(study, store).frame.set_index(["model", "key"])
    columns = ["value", "low", "high"]
    beside = theirs[columns].reindex(ours.index).to_numpy(float)
    same = np.isclose(ours[columns].to_numpy(float), beside, rtol=0, atol=TOLERANCE, equal_nan=True).all(
        axis=1
    )
    return tuple(f"{model} {key}" for model, key in ours.index[~same])


def _probes(study: Study) -> list[tuple[str, str, list[tuple[str, str]]]]:
    return [
        (each.name, each.role, [(probe.id, probe.digest()) for probe in each.probes])
        for each in study.probe_sets
    ]


def _zip(folder: Path, images: ImageFiles, pictures: set[str], target: Path, progress: Progress) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        if not NAMES.fullmatch(path.relative_to(folder).as_posix()):
            raise StoreError("no pack can hold a file of this name", where=path.name, how="Rename it")
    part = folder / "pack.zip"
    needed = sum(path.stat().st_size for path in files)
    with kept("the pack", target.parent, needed):
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder).as_posix())
            for done, digest in enumerate(sorted(pictures), 1):
                name = f"images/{digest[:2]}/{digest}.png"
                archive.write(images.path(digest), name, zipfile.ZIP_STORED)
                progress("pictures", done, len(pictures))
        os.replace(part, target)
