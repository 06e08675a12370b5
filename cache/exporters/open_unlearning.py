"""A study's runs in the format of open-unlearning's files, so that its scripts and ours can read each other's results.

Only metrics that it has too are written, under its names; the numbers are ours, under the study's protocol.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from backends.evidence import ANSWER, TextEvidence
from backends.metrics.key import MetricKey
from backends.metrics.truth_ratio import log_ratio_of
from backends.study import ModelSpec, Probe, Study
from cache.analysis.derive import role_probes
from cache.analysis.scoreboard import Scoreboard
from cache.store import Store
from cache.store.reading import evidence_for

_SCORES: Mapping[str, tuple[str, str]] = {
    "forget_Q_A_Prob": ("forget/probability", "prob"),
    "forget_Q_A_PARA_Prob": ("forget/paraphrased_probability", "prob"),
    "forget_Q_A_ROUGE": ("forget/rouge_l", "rougeL_recall"),
    "forget_truth_ratio": ("forget/truth_ratio", "score"),
    "extraction_strength": ("forget/extraction_strength", "score"),
    "exact_memorization": ("forget/exact_memorization", "score"),
    "retain_Q_A_Prob": ("retain/probability", "prob"),
    "retain_Q_A_ROUGE": ("retain/rouge_l", "rougeL_recall"),
}
_WHOLE: Mapping[str, str] = {
    "forget_quality": "forget/forget_quality",
    "model_utility": "all/model_utility",
    "privleak": "forget/privleak",
    "rel_diff": "forget/rel_diff",
}


def write_runs(study: Study, store: Store, board: Scoreboard, folder: Path) -> list[Path]:
    """`TOFU_EVAL.json` and `TOFU_SUMMARY.json` of every evaluated model; returns the folders written.

    Raises:
        OSError: the folder cannot be written.
    """
    written = []
    for spec in study.models:
        evaluation = evaluation_of(study, store, board, spec)
        if not evaluation:
            continue
        place = folder / _place(spec)
        place.mkdir(parents=True, exist_ok=True)
        summary = {name: held["agg_value"] for name, held in evaluation.items()}
        for name, content in (("TOFU_EVAL.json", evaluation), ("TOFU_SUMMARY.json", summary)):
            text = json.dumps(content, indent=4, sort_keys=True, ensure_ascii=False, allow_nan=False)
            (place / name).write_text(text, encoding="utf-8")
        written.append(place)
    return written


def evaluation_of(
    study: Study, store: Store, board: Scoreboard, spec: ModelSpec
) -> dict[str, dict[str, object]]:
    """What `TOFU_EVAL.json` of one model holds; {} where nothing of it is evaluated."""
    result: dict[str, dict[str, object]] = {}
    frame = board.frame[board.frame["model"] == spec.name].set_index("key")
    probes = {role: {probe.id: probe for probe in held} for role, held in role_probes(study).items()}
    for name, (key, score) in _SCORES.items():
        if key not in frame.index:
            continue
        values = board.per_probe(spec.name, key).dropna()
        held = list(probes[MetricKey.parse(key).role].values())
        evidence = evidence_for(study, store, spec.name, held, numerics=board.numerics)
        rows = {
            str(place): _row(key, score, float(values[probe.id]), probe, evidence.get(probe.id))
            for place, probe in enumerate(held)
            if probe.id in values.index
        }
        result[name] = {"agg_value": float(frame.loc[key, "value"]), "value_by_index": rows}
    for name, key in _WHOLE.items():
        if key in frame.index and not np.isnan(frame.loc[key, "value"]):
            result[name] = {"agg_value": float(frame.loc[key, "value"])}
    return result


def _row(
    key: str, score: str, value: float, probe: Probe, evidence: TextEvidence | None
) -> dict[str, object]:
    row: dict[str, object] = {score: value}
    if evidence is None:
        return row
    if key == "forget/truth_ratio":  # there r itself, of which the aggregate is made
        ratio = log_ratio_of(evidence)
        row[score] = None if math.isnan(ratio) else math.exp(min(ratio, 700.0))
    if key.endswith("/rouge_l") and evidence.answers:
        row |= {"input": probe.prompt, "ground_truth": probe.answer, "generation": evidence.answers[0].text}
    if score == "prob" and ANSWER in evidence.scores and key.endswith("/probability") and value > 0:
        row["avg_loss"] = -math.log(value)
    return row


def _place(spec: ModelSpec) -> str:
    """A folder that the importer reads back: the part by its name, the step as a checkpoint."""
    name = re.sub(r"[^\w.-]+", "-", spec.name)
    if spec.part == "original":
        return f"eval/{name}_full"
    if spec.part == "retained":
        return f"eval/{name}_retrain"
    method = re.sub(r"[^\w.-]+", "-", spec.method or spec.name)
    return (
        f"unlearn/{method}/checkpoint-{spec.step}/evals" if spec.step is not None else f"unlearn/{name}/evals"
    )
