"""Reading `study.toml`: strict, so that a misspelt key is named with its line instead of being ignored.

Relative paths in a study file are relative to its folder. Whether a named model can be used is checked elsewhere
(`backends.checkpoints`); this module only knows the file.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any, cast, get_args

from backends.checkpoints.hub import is_on_hub as is_hub_path
from backends.errors import StudyError
from backends.image.judges.classes import with_classes
from backends.probes.reading import read_probes
from backends.probes.sources import is_on_hub, probe_file
from backends.probes.worked_examples import format_with_examples
from backends.study.attack_choice import ALL_ATTACKS
from backends.study.attack_keys import check_attacked, read_attacks
from backends.study.contract_keys import check_slices, read_contract
from backends.study.inference_keys import ALPHA, read_embeddings, read_inference, read_scheduler, read_size
from backends.study.request import Request
from backends.study.strength import DIALLED
from backends.study.study import (
    KEPT_ROLES,
    LPIPS_NETS,
    NUDENET,
    NUDENET_THRESHOLD,
    PROTOCOL_NAMES,
    QUANTIZATIONS,
    RAW_TEXT,
    ROLES,
    Decoding,
    Denoising,
    Features,
    JudgeSpec,
    Modality,
    ModelSpec,
    Part,
    ProbeSet,
    ProtocolName,
    Quantization,
    Reading,
    Sampling,
    Study,
)
from backends.study.table import LARGEST, Range, Table, shown
from backends.study.thresholds import LEAK_SAMPLES, SHARES, Thresholds
from backends.study.touch import check_modality, completed, parsed

PARTS: tuple[str, ...] = get_args(Part)
MODALITIES: tuple[str, ...] = get_args(Modality)
TOP = (
    "name",
    "modality",
    "description",
    "protocol",
    "gradients",
    "holdout_answers",
    "date",
    "decoding",
    "sampling",
    "models",
    "probes",
    "judges",
    "forget",
    "denoising",
    "features",
    "verdict",
    "contract",
    "attacks",
    "report",
)
MODEL = tuple(field.name for field in fields(ModelSpec) if field.name not in DIALLED)
DECODING = tuple(field.name for field in fields(Decoding))
JUDGE = tuple(field.name for field in fields(JudgeSpec))
FEATURES = tuple(field.name for field in fields(Features))
READING = tuple(field.name for field in fields(Reading))
SAMPLING = tuple(field.name for field in fields(Sampling))
THRESHOLDS = tuple(field.name for field in fields(Thresholds))
REQUEST = tuple(field.name for field in fields(Request))
RANGES = {
    "step": Range(int, 0, LARGEST),
    "seed": Range(int, 0, LARGEST),
    "max_new_tokens": Range(int, 1, 4096),
    "temperature": Range(float, 0, 10),
    "top_p": Range(float, 0, 1, above=True),
    "steps": Range(int, 1, 1000),
    "guidance": Range(float, 0, 100),
    "threshold": Range(float, 0, 1),
    "alpha": ALPHA,
    "membership": Range(float, 0, 100),
    **dict.fromkeys(SHARES, Range(float, 0, 1)),
}
"""Which numbers the keys of a study file take."""
LONG_NUMBER = re.compile(r"[0-9_]{4000,}")


def read_study(path: Path) -> Study:
    """The study that a file describes, its probe files read.

    Raises:
        StudyError: names the file, the line and the key; or the probe file and the row.
    """
    path = path.expanduser().resolve()
    text = _read_text(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"this is not valid TOML: {error}", where=str(path)) from error
    except RecursionError:
        raise StudyError("the TOML is nested too deeply", where=str(path), how="Flatten it") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        long = LONG_NUMBER.search(text)
        where = f"{path}, line {text.count(chr(10), 0, long.start()) + 1}" if long else str(path)
        raise StudyError("this number has thousands of digits", where=where, how="Shorten it") from None
    top = Table(document, (), text, path)
    top.only(TOP, "study")
    modality = cast(Modality, top.choice("modality", MODALITIES))
    study = Study(
        name=top.need("name"),
        modality=modality,
        description=top.get("description", str, ""),
        models=_models(top, modality),
        probe_sets=_probe_sets(top, pictures=modality == "image"),
        decoding=_decoding(top),
        sampling=_sampling(top),
        judges=_judges(top),
        forget_concepts=_concepts(top),
        path=path,
        protocol=cast(
            ProtocolName, top.choice("protocol", PROTOCOL_NAMES) if "protocol" in document else "corrected"
        ),
        gradients=top.get("gradients", bool, False),
        holdout_answers=top.get("holdout_answers", bool, False),
        denoising=_denoising(top) if "denoising" in document else None,
        features=_features(top) if "features" in document else Features(),
        date=_date(top) if "date" in document else "",
        verdict=_thresholds(top),
        contract=read_contract(top, modality) if "contract" in document else (),
        request=_request(top),
        attacks=read_attacks(top, modality) if "attacks" in document else ALL_ATTACKS,
    )
    _check_licences(study, top)
    check_attacked(study, top)
    check_slices(study, top)
    _check_whole(study, top)
    study = replace(study, models=_touched(study))
    return replace(study, judges=with_classes(study.judges, study.probe_sets, study.forget_concepts))


def _date(top: Table) -> str:
    """The date that chat templates are told, as text: TOML's own dates are dates, too."""
    value = top.values["date"]
    try:
        day = date.fromisoformat(value if isinstance(value, str) else str(value))
    except ValueError:
        raise StudyError(
            f"a date was expected, not {shown(value)}",
            where=top.where("date"),
            how='Write it as "2024-07-26"',
        ) from None
    return day.isoformat()


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise StudyError(
            "this is a folder, a study file was expected", where=str(path), how="Name its study.toml"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise StudyError("there is no such study file", where=str(path), how="Check the path") from None
    except UnicodeDecodeError as error:
        raise StudyError(
            f"byte {error.start} is not UTF-8", where=str(path), how="Save the study file as UTF-8"
        ) from error
    except OSError as error:
        raise StudyError(f"the file cannot be read ({error.strerror})", where=str(path)) from error


def _touch(table: Table, modality: Modality) -> str:
    touch = parsed(table.need("touch"), table.where("touch"))
    check_modality(touch, modality, table.where("touch"))
    return touch.text


def _touched(study: Study) -> tuple[ModelSpec, ...]:
    """The models, those that are touched with what that needs: the original's place, the forget prompts."""
    prompts = [probe for each in study.probe_sets if each.role == "forget" for probe in each.probes]
    return tuple(completed(spec, study.original, prompts) if spec.touch else spec for spec in study.models)


def _models(top: Table, modality: Modality) -> tuple[ModelSpec, ...]:
    models = []
    for table in top.tables("models"):
        table.only(MODEL, "model")
        models.append(
            ModelSpec(
                name=table.need("name"),
                part=cast(Part, table.choice("part", PARTS)),
                source=table.source("source"),
                adapter=table.source("adapter") if "adapter" in table.values else None,
                weights=_place(table, "weights") if "weights" in table.values else None,
                subfolder=table.get("subfolder", str, ""),
                revision=table.get("revision", str, ""),
                method=table.get("method", str, ""),
                step=table.number("step", RANGES["step"], None),
                seed=table.number("seed", RANGES["seed"], None),
                fingerprint=table.get("fingerprint", str, ""),
                note=table.get("note", str, ""),
                quantization=cast(
                    Quantization,
                    table.choice("quantization", QUANTIZATIONS[1:]) if "quantization" in table.values else "",
                ),
                ema=table.get("ema", bool, False),
                forget=tuple(_concepts(table).items()),
                inference=read_inference(table),
                embeddings=read_embeddings(table),
                touch=_touch(table, modality) if "touch" in table.values else "",
            )
        )
        _unique([model.name for model in models], table, "name")
    return tuple(models)


def _place(table: Table, key: str) -> str:
    """A path made absolute, or what is on the hub (`hf://`) as it stands."""
    value = table.need(key)
    return value if is_hub_path(value) else table.local(key)


def _probe_sets(top: Table, *, pictures: bool) -> tuple[ProbeSet, ...]:
    sets = []
    for table in top.tables("probes"):
        table.only(("file", "role", "name", "examples", *READING), "probe set")
        role = cast(Any, table.choice("role", ROLES))
        found = read_probes(
            probe_file(_on_hub_or_local(table, "file")), role, _reading(table), pictures=pictures
        )
        name = table.need("name") if "name" in table.values else found.name
        sets.append(replace(found, name=name))
        _unique([probe_set.name for probe_set in sets], table, "name" if "name" in table.values else "file")
    return _own_ids(sets)


def _on_hub_or_local(table: Table, key: str) -> str:
    value = table.need(key)
    return value if is_on_hub(value) else table.local(key)


def _reading(table: Table) -> Reading:
    columns = table.table("columns")
    form = table.get("format", str, "")
    if "format" in table.values and RAW_TEXT not in form:
        raise StudyError(
            f"a prompt format must hold {RAW_TEXT}, where the prompt goes",
            where=table.where("format"),
            how='Write it as "Question: {prompt}\\nAnswer:"',
        )
    if "examples" in table.values:
        form = format_with_examples(probe_file(_on_hub_or_local(table, "examples")), form)
    return Reading(
        {name: columns.get(name, str, "") for name in columns.values},
        form,
        table.get("skip_bad_rows", bool, False),
        table.get("own_seeds", bool, True),
        table.get("encoding", str, ""),
        table.get("split", str, ""),
    )


def _own_ids(sets: Sequence[ProbeSet]) -> tuple[ProbeSet, ...]:
    """The sets, with `SET/ID` as ids where an earlier set has the same ones: files often count from 0 each."""
    taken: set[str] = set()
    result = []
    for probe_set in sets:
        probes = probe_set.probes
        if not taken.isdisjoint(probe.id for probe in probes):
            probes = tuple(replace(probe, id=f"{probe_set.name}/{probe.id}") for probe in probes)
        taken.update(probe.id for probe in probes)
        result.append(replace(probe_set, probes=probes))
    return tuple(result)


def _decoding(top: Table) -> Decoding:
    table, default = top.table("decoding"), Decoding()
    table.only(DECODING, "decoding")
    return Decoding(
        max_new_tokens=table.number("max_new_tokens", RANGES["max_new_tokens"], default.max_new_tokens),
        temperature=table.number("temperature", RANGES["temperature"], default.temperature),
        top_p=table.number("top_p", RANGES["top_p"], default.top_p),
        seeds=table.seeds(default.seeds),
    )


def _sampling(top: Table) -> Sampling:
    table, default = top.table("sampling"), Sampling()
    table.only(SAMPLING, "sampling")
    return Sampling(
        steps=table.number("steps", RANGES["steps"], default.steps),
        guidance=table.number("guidance", RANGES["guidance"], default.guidance),
        size=read_size(table),
        seeds=table.seeds(default.seeds),
        negative_prompt=table.get("negative_prompt", str, default.negative_prompt),
        scheduler=read_scheduler(table),
    )


def _judges(top: Table) -> tuple[JudgeSpec, ...]:
    judges = []
    for table in top.tables("judges"):
        table.only(JUDGE, "judge")
        default = JudgeSpec("", "", threshold=NUDENET_THRESHOLD if _is_nudenet(table) else 0.0)
        labels = table.table("labels")
        judges.append(
            JudgeSpec(
                domain=table.need("domain"),
                path=NUDENET if _is_nudenet(table) else _place(table, "path"),
                classes=_names(table, "classes"),
                labels=tuple((theirs, labels.need(theirs)) for theirs in labels.values),
                threshold=table.number("threshold", RANGES["threshold"], default.threshold),
                template=table.get("template", str, default.template),
                real=table.local("real") if "real" in table.values else "",
            )
        )
        _unique([judge.domain for judge in judges], table, "domain")
    return tuple(judges)


def _is_nudenet(judge: Table) -> bool:
    return bool(judge.values.get("path") == NUDENET)


def _denoising(top: Table) -> Denoising:
    table = top.table("denoising")
    table.only(("forget", "retain", "holdout", "timesteps"), "denoising")
    steps = table.values.get("timesteps", list(Denoising().timesteps))
    good = (
        isinstance(steps, list) and steps and all(type(step) is int and 0 <= step < 10_000 for step in steps)
    )
    if not good or len(set(steps)) < len(steps):
        raise StudyError(
            f"a list of different whole numbers was expected, not {shown(steps)}",
            where=table.where("timesteps"),
        )
    folders = {role: table.local(role) for role in ("forget", "retain", "holdout") if role in table.values}
    if not folders:
        raise StudyError(
            "no folder of pictures is given",
            where=table.where(),
            how='Add forget = "folder", holdout = "folder"',
        )
    return Denoising(**folders, timesteps=tuple(steps))


def _features(top: Table) -> Features:
    table = top.table("features")
    table.only(FEATURES, "table of features")
    if not table.values:
        raise StudyError(
            "no network is given",
            where=table.where(),
            how='Add clip = "folder or owner/name", or remove the table',
        )
    clip = table.source("clip") if "clip" in table.values else ""
    inception = table.source("inception") if "inception" in table.values else ""
    real = _real_pictures(table)
    if real and not (clip or inception):
        raise StudyError(
            "real pictures need a network, and none is given",
            where=table.where("real"),
            how='Add inception = "weights.pth" or clip = "folder or owner/name"',
        )
    lpips = table.choice("lpips", LPIPS_NETS) if "lpips" in table.values else ""
    return Features(clip, inception, lpips, real)


def _real_pictures(table: Table) -> tuple[tuple[str, str], ...]:
    """Role -> folder: one folder for all roles that should stay, or a table of them."""
    if isinstance(table.values.get("real"), str):
        return tuple((role, table.local("real")) for role in KEPT_ROLES)
    named = table.table("real")
    named.only(KEPT_ROLES, "table of real pictures")
    return tuple((role, named.local(role)) for role in KEPT_ROLES if role in named.values)


def _thresholds(top: Table) -> Thresholds:
    table = top.table("verdict")
    table.only(THRESHOLDS, "verdict")
    samples = table.get("samples", int, Thresholds().samples)
    if samples not in LEAK_SAMPLES:
        raise StudyError(
            f"this must be one of {', '.join(map(str, LEAK_SAMPLES))}, not {shown(samples)}",
            where=table.where("samples"),
        )
    numbers = {name: table.number(name, RANGES[name], None) for name in table.values if name != "samples"}
    return Thresholds(samples=samples, **numbers)


def _request(top: Table) -> Request:
    table = top.table("report")
    table.only(REQUEST, "report")
    licences = table.table("licences")
    texts = {name: table.need(name) for name in table.values if name != "licences"}
    return Request(**texts, licences=tuple((name, licences.need(name)) for name in licences.values))


def _check_licences(study: Study, top: Table) -> None:
    """Raises StudyError at a licence of a probe set that the study does not have."""
    table, known = top.table("report").table("licences"), [each.name for each in study.probe_sets]
    for name in table.values:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            how = f"Did you mean `{close[0]}`?" if close else f"Probe sets are: {', '.join(known)}"
            raise StudyError(f"no probe set is called {shown(name)}", where=table.where(name), how=how)


def _names(table: Table, key: str) -> tuple[str, ...]:
    value = table.values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise StudyError(f"a list of names was expected, not {shown(value)}", where=table.where(key))
    return tuple(dict.fromkeys(value))


def _concepts(within: Table) -> dict[str, str]:
    table = within.table("forget")
    return {domain: table.need(domain) for domain in table.values}


def _unique(names: Sequence[str], table: Table, key: str) -> None:
    if names[-1] in names[:-1]:
        raise StudyError(
            f"{shown(names[-1])} appears twice", where=table.where(key), how="Use a different name for each"
        )


def _check_whole(study: Study, top: Table) -> None:
    parts = [model.part for model in study.models]
    if parts.count("original") != 1:
        found = "no model" if "original" not in parts else f"{parts.count('original')} models"
        raise StudyError(
            f'{found} with part = "original"; a study needs exactly one',
            where=str(top.path),
            how='Mark one of the [[models]] with part = "original"',
        )
    if parts.count("retained") > 1:
        raise StudyError(
            'more than one model with part = "retained"',
            where=str(top.path),
            how="Keep one, or make two studies",
        )
    for number, model in enumerate(study.models):
        if model.forget and (model.part == "original" or study.modality == "text"):
            text = study.modality == "text"
            raise StudyError(
                "language models have no target concept" if text else "the original has no target concept",
                where=Table(top.values["models"][number], ("models", number), top.text, top.path).where(
                    "forget"
                ),
                how="Remove it" if text else "Set the target concept in the table [forget]",
            )
    for number, model in enumerate(study.models if study.modality == "text" else ()):
        if model.samples_differently:
            key = "inference" if model.inference.said else "embeddings"
            raise StudyError(
                "this setting is for image models only",
                where=Table(top.values["models"][number], ("models", number), top.text, top.path).where(key),
                how="Remove it",
            )
    if study.date and (study.modality == "image" or study.protocol != "corrected"):
        image = study.modality == "image"
        raise StudyError(
            "image models have no date" if image else f"{study.protocol} has a fixed date, or none",
            where=top.where("date"),
            how="Remove it",
        )
    if study.modality == "text" and (
        study.judges or study.forget_concepts or study.denoising or study.features.named()
    ):
        tables = {"judges": study.judges, "forget": study.forget_concepts, "denoising": study.denoising}
        key = next((name for name, given in tables.items() if given), "features")
        raise StudyError("this belongs to image studies only", where=top.where(key), how="Remove it")
