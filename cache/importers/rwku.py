"""RWKU's own results: `forget.json`, `neighbor.json`, `mmlu.json` and the others of one folder are one run.

Its scripts write them to `results/RWKU/Target/{subject}/{method}/{model}/{subject}/`, or `Batch/{range}/...`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from backends.files.plain import NotPlain, open_plain, storable, without_compression
from backends.study import Part
from cache.analysis.resampling import ANYTHING
from cache.importers.findings import MOST_BYTES, ImportFindings, UnreadableFile, mean_of, number, read_object
from cache.importers.task_names import method_of
from cache.store.results import ImportedRun, MetricNumber

TOOL = PROTOCOL = "RWKU"
_BEGINNING = 4096
_LEVELS = ("forget.json", "neighbor.json")
KEYS: Mapping[str, Mapping[str, str]] = {
    "forget.json": {f"level_{level}_rouge_l_r": f"forget/rouge_l@level {level}" for level in (1, 2, 3)},
    "neighbor.json": {f"level_{level}_rouge_l_r": f"neighbour/rouge_l@level {level}" for level in (1, 2)},
    "forget_mia.json": {
        "loss": "forget/lower:Log-likelihood of texts about the target",
        "zlib": "forget/lower:Log-likelihood by zlib length",
        "mink20": "forget/lower:Min-k%++ (20 %) of texts about the target",
    },
    "retain_mia.json": {
        "loss": "retain/higher:Log-likelihood of other texts",
        "zlib": "retain/higher:Log-likelihood by zlib length",
        "mink20": "retain/higher:Min-k%++ (20 %) of other texts",
    },
    "mmlu.json": {"acc": "utility/higher:MMLU accuracy"},
    "bbh.json": {"EM": "utility/higher:BBH exact match"},
    "truthful.json": {"MC1": "utility/higher:TruthfulQA MC1", "MC2": "utility/higher:TruthfulQA MC2"},
    "triviaqa.json": {"EM": "utility/higher:TriviaQA exact match", "F1": "utility/higher:TriviaQA F1"},
    "fluency.json": {"entropy": "utility/higher:Fluency (n-gram entropy)"},
}
"""File -> what it states -> our key."""
_VARIANT = re.compile(r"^(?P<base>.+?_(?:instruct|chat))_(?P<rest>.+)$")
"""What people hang on a model's name to tell their runs apart: `llama3_8b_instruct_lowlr`."""
_METHODS: Mapping[str, str] = {
    "rt": "IdkNLL",
    "icu": "ICU",
    "prompt": "ICU",
    "passage": "PassageGA",
    "original": "",
}
"""What its folders call methods: rejection tuning, in-context unlearning, training on passages."""


def is_result(path: Path) -> bool:
    """Whether this is one of its files: the name, and how it begins or others of that tool beside it."""
    names = list(KEYS)
    if path.name not in names:
        return False
    if path.name in _LEVELS and path.is_file():
        try:
            with open_plain(path, MOST_BYTES) as file:
                if b'"level_1_rouge_l_r"' in file.read(_BEGINNING):
                    return True
        except NotPlain:
            return False
    return path.name in ("forget_mia.json", "retain_mia.json") or any(
        path.with_name(f"{other}{end}").is_file()
        for other in names
        if other != path.name
        for end in ("", ".gz", ".xz")
    )


def read_folder(folder: Path, files: Sequence[Path]) -> ImportFindings:
    """The run that the folder is of."""
    findings = ImportFindings()
    metrics: dict[str, MetricNumber] = {}
    frames: list[dict[str, object]] = []
    for path in sorted(files):
        name = without_compression(path).name
        try:
            content = read_object(path, findings)
        except UnreadableFile as error:
            findings.problem(path, str(error))
            continue
        for theirs, key in KEYS[name].items():
            if theirs not in content:
                continue
            value = number(content[theirs])
            if math.isnan(value):
                findings.leave_out(path, f"{theirs} is not a number")
            else:
                metrics[key] = _with_interval(name, theirs, value, content)
        if name in _LEVELS:
            frames += _texts(content, name)
    if metrics:
        findings.results.append(_result(folder, metrics, frames))
    elif not findings.problems:
        findings.problem(folder, "its files have no RWKU metric")
    return findings


def _with_interval(name: str, theirs: str, value: float, content: Mapping[str, Any]) -> MetricNumber:
    """Where the file has the values of single examples and the number is their mean, with its interval."""
    held = content.get("results")
    told: object = content.get("all_acc") if name == "mmlu.json" else None
    if isinstance(held, dict):
        told = held.get("mink++_0.2" if theirs == "mink20" else theirs)
    if isinstance(told, list):
        values = [float(each) if isinstance(each, bool) else number(each) for each in told]
        yes_or_no = name == "mmlu.json"
        return mean_of(values, value, bounds=(0.0, 1.0) if yes_or_no else ANYTHING)
    if isinstance(held, list):
        level = theirs.split("_")[1] if theirs.startswith("level_") else ""
        rows = [
            row for row in held if not level or (isinstance(row, dict) and str(row.get("level")) == level)
        ]
        return MetricNumber(value, n=float(len(rows)))
    return MetricNumber(value)


def _texts(content: Mapping[str, Any], name: str) -> list[dict[str, object]]:
    """Questions with the true and the given answers."""
    rows = content.get("results")
    role = "forget" if name == "forget.json" else "neighbour"
    return [
        {
            "id": f"{role} {place}",
            "role": role,
            **{
                ours: storable(str(row.get(theirs, "")))
                for theirs, ours in (("query", "prompt"), ("answer", "answer"), ("prediction", "generation"))
            },
        }
        for place, row in enumerate(rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    ]


def _result(
    folder: Path, metrics: Mapping[str, MetricNumber], rows: Sequence[Mapping[str, object]]
) -> ImportedRun:
    """`1_Stephen_King/ga_lora/llama3_8b_instruct/1_Stephen_King` says subject, method and model."""
    target = folder.name
    above = list(folder.parts[:-1])
    model = above[-1] if above else ""
    trained = above[-2] if len(above) > 1 else ""
    if len(above) > 2 and above[-3] != target:  # not laid out as its scripts do
        model, trained = "", folder.parent.name
    variant = _VARIANT.match(model)
    model = variant["base"] if variant else model
    short, _, kind = trained.partition("_")
    known, settings = method_of(trained)
    method = _METHODS.get(short.lower(), known or trained)
    part: Part = "original" if short.lower() == "original" else "unlearned"
    return ImportedRun(
        tool=TOOL,
        collection=" · ".join(each for each in ("RWKU", target, model) if each),
        protocol=PROTOCOL,
        modality="text",
        model=f"{trained or target} {variant['rest']}" if variant else trained or target,
        part=part,
        method=method if part == "unlearned" else "",
        source=str(folder),
        settings=settings
        | ({"trained": kind} if kind else {})
        | ({"variant": variant["rest"]} if variant else {})
        | {"target": target},
        metrics=metrics,
        examples=pd.DataFrame(list(rows)),
    )
