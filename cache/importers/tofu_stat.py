"""TOFU's `aggregate_stat.csv`, the `aggregate_stat.txt` of NPO and SimNPO: model utility and forget quality as stated.

A row (or file) is a run. Its numbers are already aggregated; where the evaluation itself lies in the same folder, both
are one run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from backends.metrics.key import MetricKey
from backends.study import Part
from cache.importers import tofu_legacy
from cache.importers.findings import ImportFindings, UnreadableFile, listed, number, plain_settings, read_text
from cache.importers.task_names import method_of
from cache.store.results import ImportedRun, MetricNumber

NAME = "aggregate_stat.txt"
QUALITY, UTILITY = "Forget Quality", "Model Utility"
_SECTIONS: Mapping[str, tuple[str, str]] = {
    "Real Authors": ("utility", "real authors"),
    "Real World": ("utility", "world facts"),
    "Retain": ("retain", ""),
    "Forget": ("forget", ""),
}
_METRICS: Mapping[str, str] = {
    "ROUGE": "rouge_l",
    "Prob.": "probability",
    "Probability": "probability",
    "Truth Ratio": "truth_ratio",
}
_CHOICE = "choice_probability"
KEYS: Mapping[str, str] = {
    QUALITY: "forget/forget_quality",
    UTILITY: "all/model_utility",
    **{
        name: str(MetricKey(role, _CHOICE if (role, ours) == ("utility", "probability") else ours, part))
        for section, (role, part) in _SECTIONS.items()
        for metric, ours in _METRICS.items()
        for name in (f"{metric} {section}", f"{section} {metric}")
    },
}
"""Column -> ours; TOFU has the metric first, NPO the section."""
_LEAST_COLUMNS = 2
_PARTS: Mapping[str, Part] = {
    name: "original" for name in ("full", "finetune", "finetuned", "original", "target", "base")
}
"""What the column Method says of models that nobody unlearned."""
_ABOUT = (
    "Method",
    "Submitted By",
    "curr_step",
    "seed",
    "loss_type",
    "KS Test PVal Forget",
    "KS Test Forget",
    "",
)
"""Columns that are no metric, or say the same once more."""


def is_stat(path: Path) -> bool:
    """Whether this is NPO's text file."""
    return path.name == NAME


def has_columns(columns: Collection[str]) -> bool:
    """Whether a table's columns are those of TOFU's aggregate, or most of them."""
    return len(set(columns) & set(KEYS)) >= _LEAST_COLUMNS


def read_stat(path: Path) -> ImportFindings:
    """The run of a text file: one line per number, `Model Utility: 0.61`."""
    pairs = (line.partition(": ") for line in read_text(path).splitlines())
    return read_rows(path, [{name.strip(): value.strip() for name, _, value in pairs if name.strip()}])


def read_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> ImportFindings:
    """A run for each row."""
    findings = ImportFindings()
    unknown: dict[str, None] = {}
    for row in rows:
        metrics = {key: MetricNumber(number(row[name])) for name, key in KEYS.items() if row.get(name)}
        known = {key: value for key, value in metrics.items() if not math.isnan(value.value)}
        unknown |= dict.fromkeys(name for name in row if name and name not in KEYS and name not in _ABOUT)
        if not known:
            findings.leave_out(path, "a row without any number")
            continue
        findings.results.append(_result(path, row, known, single=len(rows) == 1))
    if unknown:
        findings.leave_out(path, f"unknown metric: {listed(unknown)}")
    if not findings.results:
        raise UnreadableFile("holds no number of TOFU's aggregate")
    return findings


def joined(results: Sequence[ImportedRun]) -> list[ImportedRun]:
    """The aggregate and the evaluation of one folder as one run, with the forget quality that the aggregate states."""
    stated = {
        each.source: each for each in results if each.tool == tofu_legacy.TOOL and each.settings.get(_MARK)
    }
    done = []
    for each in results:
        if each.tool != tofu_legacy.TOOL or each.settings.get(_MARK):
            continue
        beside = stated.pop(each.source, None)
        done.append(each if beside is None else replace(each, metrics={**beside.metrics, **each.metrics}))
    rest = [each for each in results if each.tool != tofu_legacy.TOOL]
    alone = [
        replace(each, settings={name: value for name, value in each.settings.items() if name != _MARK})
        for each in stated.values()
    ]
    return [*rest, *done, *alone]


_MARK = "aggregate"
"""Setting that marks runs of this module until they are joined."""


def _result(
    path: Path, row: Mapping[str, str], metrics: Mapping[str, MetricNumber], *, single: bool
) -> ImportedRun:
    told = tofu_legacy.path_facts(path.parent)
    name = row.get("Method") or row.get("") or ""
    about = {each: row[each] for each in ("Submitted By", "loss_type") if row.get(each)}
    seed, step = number(row.get("seed", "")), number(row.get("curr_step", ""))
    settings: dict[str, object] = {**told.settings, **plain_settings(about), _MARK: path.name}
    settings |= {} if math.isnan(seed) else {"seed": f"{seed:g}"}
    if name:
        method, more = method_of(name)
        kept = bool(re.search(r"retain|retrain", name, re.IGNORECASE)) and not method
        part: Part = "retained" if kept else _PARTS.get(name.strip().lower(), "unlearned")
        own = tofu_legacy.path_facts(path.parent / name)
        told = replace(
            told,
            name=name if single or told.name == path.parent.name else f"{told.name} {name}",
            method=(method or told.method or name) if part == "unlearned" else "",
            part=part,
            collection=own.collection if "forget" in own.collection else told.collection,
        )
        settings |= more
    told = replace(
        told, step=told.step if told.step is not None or math.isnan(step) else step, settings=settings
    )
    return told.result(str(path.parent) if single else f"{path}#{name}", metrics)
