"""Writing `study.toml`: what `file.read_study` reads back as the same study."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backends.errors import StudyError
from backends.study.attack_choice import AttackChoice
from backends.study.contract import Condition
from backends.study.inference import PLAIN
from backends.study.request import Request
from backends.study.strength import DIALLED
from backends.study.study import JudgeSpec, ModelSpec, Reading, Study
from backends.study.thresholds import USUAL, Thresholds

OWN_LINES = ("forget", "inference", "embeddings")
"""Fields of a model that are written as tables."""


def write_study(study: Study, path: Path) -> None:
    """Writes a study file that `read_study` reads back as the same study; paths in it are absolute.

    Raises:
        StudyError: the folder cannot be written to.
    """
    lines = [f"{key} = {_toml(value)}" for key, value in _top_values(study).items()]
    for name, settings in (("decoding", study.decoding), ("sampling", study.sampling)):
        lines += ["", f"[{name}]", *_assignments(asdict(settings))]
    for model in study.models:
        values = {key: value for key, value in asdict(model).items() if key not in (*DIALLED, *OWN_LINES)}
        lines += ["", "[[models]]", *_assignments(values)]
        lines += [f"forget = {_inline(dict(model.forget))}"] if model.forget else []
        lines += _drawing(model)
    for probe_set in study.probe_sets:
        lines += ["", "[[probes]]"]
        lines += _assignments({"name": probe_set.name, "file": probe_set.path, "role": probe_set.role})
        lines += _reading(probe_set.reading)
    for judge in study.judges:
        lines += ["", "[[judges]]", *_judge(judge)]
    if study.denoising is not None:
        values = study.denoising.folders() | {"timesteps": list(study.denoising.timesteps)}
        lines += ["", "[denoising]", *_assignments(values)]
    if study.features.named():
        lines += ["", "[features]", *_assignments(study.features.named())]
        real = dict(study.features.real)
        lines += [f"real = {_inline(real)}"] if real else []
    lines += _thresholds(study.verdict)
    lines += contract_lines(study.contract)
    lines += attack_lines(study.attacks)
    lines += request_lines(study.request)
    if study.forget_concepts:
        lines += ["", "[forget]", *_assignments(study.forget_concepts)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise StudyError(f"the study file cannot be written ({error.strerror})", where=str(path)) from error


def contract_lines(contract: Sequence[Condition]) -> list[str]:
    """The table [contract]; nothing without conditions."""
    lines = [f"{'.'.join(map(_key, each.place))} = {_toml(each.text)}" for each in contract]
    return ["", "[contract]", *lines] if lines else []


def _thresholds(thresholds: Thresholds) -> list[str]:
    usual = asdict(USUAL)
    values = {name: value for name, value in asdict(thresholds).items() if value != usual[name]}
    return ["", "[verdict]", *(f"{name} = {value!r}" for name, value in values.items())] if values else []


def attack_lines(attacks: AttackChoice) -> list[str]:
    """The table [attacks]; nothing where all is as usual."""
    values = {name: list(value) for name, value in asdict(attacks).items() if value}
    return ["", "[attacks]", *_assignments(values)] if values else []


def request_lines(request: Request) -> list[str]:
    """The table [report]; nothing where nothing is said."""
    texts = _assignments({name: value for name, value in asdict(request).items() if name != "licences"})
    licences = [f"licences = {_inline(dict(request.licences))}"] if request.licences else []
    return ["", "[report]", *texts, *licences] if texts or licences else []


def _drawing(model: ModelSpec) -> list[str]:
    usual = asdict(PLAIN)
    values = {key: value for key, value in asdict(model.inference).items() if value != usual[key]}
    lines = [f"inference = {_inline(values)}"] if values else []
    named = {token: file for token, file in model.embeddings if token}
    files = [file for token, file in model.embeddings if not token]
    if named and not files:
        return [*lines, f"embeddings = {_inline(named)}"]
    return [*lines, f"embeddings = {_toml(files)}"] if files else lines


def _top_values(study: Study) -> dict[str, Any]:
    values: dict[str, Any] = {"name": study.name, "modality": study.modality}
    values |= {"gradients": True} if study.gradients else {}
    values |= {"holdout_answers": True} if study.holdout_answers else {}
    values |= {"description": study.description} if study.description else {}
    values |= {"date": study.date} if study.date and study.protocol == "corrected" else {}
    return values | ({"protocol": study.protocol} if study.protocol != "corrected" else {})


def _judge(judge: JudgeSpec) -> list[str]:
    default = asdict(JudgeSpec("", ""))
    values = {key: value for key, value in asdict(judge).items() if value != default[key] and key != "labels"}
    return [*_assignments(values), *([f"labels = {_inline(dict(judge.labels))}"] if judge.labels else [])]


def _reading(reading: Reading) -> list[str]:
    lines = [f"format = {_toml(reading.format)}"] if reading.format else []
    lines += ["skip_bad_rows = true"] if reading.skip_bad_rows else []
    lines += [] if reading.own_seeds else ["own_seeds = false"]
    lines += [f"encoding = {_toml(reading.encoding)}"] if reading.encoding else []
    lines += [f"split = {_toml(reading.split)}"] if reading.split else []
    return [*lines, f"columns = {_inline(reading.columns)}"] if reading.columns else lines


def _inline(values: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{_key(name)} = {_toml(value)}" for name, value in values.items()) + " }"


def _assignments(values: Mapping[str, Any]) -> list[str]:
    unsaid = (None, "", False)
    return [
        f"{_key(key)} = {_toml(value)}"
        for key, value in values.items()
        if not any(value is default or value == default == "" for default in unsaid)
    ]


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _toml(key)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        # TOML's basic strings are JSON's, except that DEL must be escaped and surrogate pairs must not be
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return repr(value).lower() if isinstance(value, bool) else repr(value)
