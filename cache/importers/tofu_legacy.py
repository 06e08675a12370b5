"""TOFU's first result files, `eval_log_aggregated.json`: model utility and forget quality computed from them again.

As `aggregate_eval_stat.py` of locuslab/tofu does: probabilities from mean losses, truth ratios from the mean loss of
the wrong answers minus that of the paraphrased one, max(0, 1 - 1/x) on all but the forget set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import hmean

from backends.study import Part
from cache.importers.found import Found, Unreadable, mean_of, number, read_object
from cache.importers.open_unlearning import RATIO
from cache.importers.task_names import SPLITS, method_of
from cache.results import Number, Result

TOOL, PROTOCOL = "locuslab/tofu", "tofu-2024"
NAME = "eval_log_aggregated.json"
_SECTIONS: Mapping[str, tuple[str, str]] = {
    "eval_log_forget.json": ("forget", ""),
    "eval_log.json": ("retain", ""),
    "eval_real_author_wo_options.json": ("utility", "@real authors"),
    "eval_real_world_wo_options.json": ("utility", "@world facts"),
}
_GENERIC = re.compile(r"eval_results?(?:-\d+)?|ds_size\d+|checkpoint-\d+|evals?|data")
"""Folders that say nothing of which run it is."""
_METHODS: Mapping[str, str] = {
    "grad_ascent": "GradAscent",
    "grad_diff": "GradDiff",
    "KL": "KL",
    "idk": "IdkNLL",
    "dpo": "IdkDPO",
}
Floats = NDArray[np.float64]


def is_result(path: Path) -> bool:
    """Whether this is one of its files."""
    return path.name == NAME


def read_file(path: Path) -> Found:
    """The run that the file is of; its path says whether it is a retained model."""
    found = Found()
    content = read_object(path)
    metrics: dict[str, Number] = {}
    frames = []
    parts: list[float] = []
    for section, (role, chosen) in _SECTIONS.items():
        held = content.get(section)
        if not isinstance(held, dict):
            found.left_out.append(f"{path}: has no {section}")
            continue
        values = _values(held, forget=role == "forget", options=role == "utility")
        names = {"probability": "choice_probability"} if role == "utility" else {}
        for name, column in values.items():
            if name != RATIO:
                metrics[f"{role}/{names.get(name, name)}{chosen}"] = mean_of(column.tolist())
        if role != "forget":
            parts += [float(np.nanmean(column)) for column in values.values() if len(column)]
        renamed = {
            name if name == RATIO else f"{role}/{names.get(name, name)}{chosen}": column
            for name, column in values.items()
        }
        frames.append(_examples(held, f"{chosen[1:] or role}", role, renamed))
    if len(parts) == 9:
        metrics["all/model_utility"] = Number(float(hmean(parts)) if min(parts) > 0 else 0.0)
    if not metrics:
        raise Unreadable("holds none of TOFU's four evaluations")
    found.results.append(_result(path, metrics, pd.concat(frames, ignore_index=True)))
    return found


def _result(path: Path, metrics: Mapping[str, Number], examples: pd.DataFrame) -> Result:
    """What the path says: `ft_epoch5_lr1e-05_llama2-7b_retain90_wd0.01/eval_results/ds_size300/...`."""
    told = [part for part in path.parent.parts if not _GENERIC.fullmatch(part)]
    text = "_".join(told[-3:])
    name = told[-1] if told else path.parent.name
    retained, split = (re.search(pattern, text) for pattern in (r"retain(?:99|95|90)", r"forget(?:10|05|01)"))
    spoken = re.search(r"(grad_ascent|grad_diff|KL|idk|dpo)(?=_|$)", text)
    method, settings = method_of(text.replace("-", "_"))
    method = _METHODS[spoken.group()] if spoken else method
    base = re.search(r"lr[\d.e-]+_(.+?)_(?:full|retain\d\d|forget\d\d)", text)
    step = re.search(r"checkpoint-(\d+)", "_".join(path.parent.parts[-4:]))
    original = not retained and not method and re.search(r"_full(?:_|$)", text) is not None
    part: Part = "retained" if retained and not method else "original" if original else "unlearned"
    about = split.group() if split else SPLITS[retained.group()] if retained else ""
    return Result(
        tool=TOOL,
        collection=" · ".join(
            each for each in (f"TOFU {about}".strip(), base.group(1) if base else "", "2024") if each
        ),
        protocol=PROTOCOL,
        modality="text",
        model=f"{name} step {step.group(1)}" if step else name,
        part=part,
        method=method if part == "unlearned" else "",
        step=float(step.group(1)) if step else None,
        line=name if step else "",
        source=str(path),
        settings=settings,
        metrics=metrics,
        examples=examples,
    )


def _values(held: Mapping[str, Any], *, forget: bool, options: bool) -> dict[str, Floats]:
    """Per-example values of one evaluation; those that the file lacks are left out."""
    values: dict[str, Floats] = {}
    true, wrong = _column(held, "avg_gt_loss"), _rows(held, "average_perturb_loss")
    if true.size and options and len(wrong) == len(true):
        likely = np.exp(-true)
        values["probability"] = likely / (likely + np.array([np.exp(-row).sum() for row in wrong]))
    elif true.size and not options:
        values["probability"] = np.exp(-true)
    rouge = _column(held, "rougeL_recall")
    if rouge.size:
        values["rouge_l"] = rouge
    paraphrased = _column(held, "avg_paraphrased_loss")
    if paraphrased.size and len(wrong) == len(paraphrased):
        ratio = np.exp(np.array([row.mean() for row in wrong]) - paraphrased)
        with np.errstate(divide="ignore"):
            inverse = 1 / ratio
        values["truth_ratio"] = np.minimum(ratio, inverse) if forget else np.maximum(0, 1 - inverse)
        if forget:
            values[RATIO] = ratio
    return values


def _column(held: Mapping[str, Any], name: str) -> Floats:
    column = held.get(name)
    if not isinstance(column, dict):
        return np.empty(0)
    return np.array([number(value) for value in column.values()], np.float64)


def _rows(held: Mapping[str, Any], name: str) -> list[Floats]:
    column = held.get(name)
    if not isinstance(column, dict):
        return []
    return [
        np.array([number(each) for each in row] if isinstance(row, list) else [math.nan], np.float64)
        for row in column.values()
    ]


def _examples(held: Mapping[str, Any], prefix: str, role: str, values: Mapping[str, Floats]) -> pd.DataFrame:
    count = max((len(column) for column in values.values()), default=0)
    frame = pd.DataFrame({"id": [f"{prefix} {place}" for place in range(count)], "role": role})
    for name, column in values.items():
        if len(column) == count:
            frame[name] = column
    texts = held.get("generated_text")
    if isinstance(texts, list | dict):
        rows = list(texts.values()) if isinstance(texts, dict) else texts
        told = [row for row in rows if isinstance(row, list) and len(row) == 3]
        if len(told) == count:
            for place, name in enumerate(("prompt", "generation", "answer")):
                frame[name] = [str(row[place]) for row in told]
    return frame
