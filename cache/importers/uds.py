"""Unlearning Depth Score: a run's `summary.json`, and the page's table of all methods, `method_results.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.study import Part
from cache.importers.findings import (
    ImportFindings,
    UnreadableFile,
    listed,
    number,
    plain_settings,
    read_object,
)
from cache.importers.task_names import method_of
from cache.store.results import ImportedRun, MetricNumber

TOOL = "unlearning-depth-score"
PROTOCOL = "uds"
COLUMNS: Mapping[str, str] = {
    "overall": "all/overall",
    "mem": "forget/memorisation",
    "privacy": "forget/privacy_uds",
    "privacy_mia": "forget/privacy_mia",
    "utility_rel": "all/relative_utility",
    "utility": "all/utility_with_fluency",
    "model_utility": "all/model_utility",
    "fluency": "all/fluency_clean",
    "uds": "forget/uds",
    "s_loss": "forget/mia_loss_match",
    "s_zlib": "forget/mia_zlib_match",
    "s_mink": "forget/mia_min_k_match",
    "s_minkpp": "forget/mia_min_k_plus_plus_match",
    "one_minus_es": "forget/extraction_strength",
    "one_minus_em": "forget/exact_memorization",
    "one_minus_paraprob": "forget/paraphrased_probability",
    "retain_q_prob": "retain/probability",
    "retain_q_rouge": "retain/rouge_l",
    "retain_truth_ratio": "retain/truth_ratio",
    "ra_q_prob": "utility/choice_probability@real authors",
    "ra_q_rouge": "utility/rouge_l@real authors",
    "ra_truth_ratio": "utility/truth_ratio@real authors",
    "wf_q_prob": "utility/choice_probability@world facts",
    "wf_q_rouge": "utility/rouge_l@world facts",
    "wf_truth_ratio": "utility/truth_ratio@world facts",
}
_TURNED = ("one_minus_es", "one_minus_em", "one_minus_paraprob")
_ABOUT = ("model", "epoch", "method", "is_reference", "one_minus_truth")
_SUMMARY: Mapping[str, str] = {
    "uds": "forget/uds",
    "avg_uds": "forget/uds",
    "hard_avg_udr": "forget/hard_udr",
    "soft_avg_retention": "forget/soft_retention",
}
_PARTS: Mapping[str, Part] = {"full": "original", "retain": "retained"}


def is_table(path: Path) -> bool:
    """Whether this is the table of all methods."""
    return path.name == "method_results.json"


def is_summary(path: Path) -> bool:
    """Whether this is a summary of one run, by what lies in it."""
    if path.name != "summary.json":
        return False
    try:
        content = read_object(path)
    except UnreadableFile:
        return True  # said when it is read
    return any(name in content for name in _SUMMARY)


def read_table(path: Path) -> ImportFindings:
    """A run for each model of the table."""
    findings = ImportFindings()
    rows = read_object(path, findings).get("models")
    if not isinstance(rows, list):
        raise UnreadableFile("has no list `models`")
    unknown: set[str] = set()
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("model"), str):
            findings.leave_out(path, "a row without the name of its model")
            continue
        run = _row(path, row)
        if not run.metrics:
            findings.leave_out(path, "a row without a number of a known metric")
            continue
        findings.results.append(run)
        unknown |= {name for name in row if name not in COLUMNS and name not in (*_ABOUT, "alpha", "lr")}
    if unknown:
        findings.leave_out(path, f"unknown metric: {listed(sorted(unknown))}")
    return findings


def read_summary(path: Path) -> ImportFindings:
    """The run whose folder this is."""
    findings = ImportFindings()
    content = read_object(path, findings)
    n = number(content.get("num_examples"))
    metrics = {key: MetricNumber(number(content.get(name)), n=n) for name, key in _SUMMARY.items()}
    known = {key: value for key, value in metrics.items() if not math.isnan(value.value)}
    if not known:
        raise UnreadableFile("its scores are not numbers")
    method, settings = method_of(path.parent.name)
    stated = content.get("method")
    findings.results.append(
        ImportedRun(
            tool=TOOL,
            collection=f"UDS runs in {path.parent.parent.name}",
            protocol=PROTOCOL,
            modality="text",
            model=path.parent.name,
            method=method or (stated if isinstance(stated, str) else ""),
            source=str(path),
            settings=settings | plain_settings({"em_threshold": content.get("em_threshold")}),
            metrics=known,
        )
    )
    return findings


def _row(path: Path, row: Mapping[str, Any]) -> ImportedRun:
    name = str(row["model"])
    metrics = {}
    for column, key in COLUMNS.items():
        value = number(row.get(column))
        if not math.isnan(value):
            metrics[key] = MetricNumber(1 - value if column in _TURNED else value)
    method, settings = method_of(name)
    part = _PARTS.get(str(row.get("method")), "unlearned")
    return ImportedRun(
        tool=TOOL,
        collection="UDS · TOFU forget10 · Llama-3.2-1B-Instruct",
        protocol=PROTOCOL,
        modality="text",
        model=name,
        part=part,
        method=(method or str(row.get("method", ""))) if part == "unlearned" else "",
        source=str(path),
        settings=settings | plain_settings({key: row.get(key) for key in ("alpha", "lr")}),
        metrics=metrics,
    )
