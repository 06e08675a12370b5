"""TOFU's first result files, `eval_log_aggregated.json`: model utility and forget quality computed from them again.

As `aggregate_eval_stat.py` of locuslab/tofu does: probabilities from mean losses, truth ratios from the mean loss of
the wrong answers minus that of the paraphrased one, max(0, 1 - 1/x) on all but the forget set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backends.files.plain import storable, without_compression
from backends.metrics.key import MetricKey
from backends.study import Part
from cache.importers.findings import ImportFindings, UnreadableFile, bounds_at, mean_of, number, read_object
from cache.importers.references import RATIO
from cache.importers.task_names import forgotten, method_of
from cache.store.results import NOTES, ImportedRun, MetricNumber

TOOL, PROTOCOL = "locuslab/tofu", "tofu-2024"
NAME = "eval_log_aggregated.json"
_SECTIONS: Mapping[str, tuple[str, str]] = {
    "eval_log_forget.json": ("forget", ""),
    "eval_log.json": ("retain", ""),
    "eval_real_author_wo_options.json": ("utility", "real authors"),
    "eval_real_world_wo_options.json": ("utility", "world facts"),
}
_GENERIC = re.compile(r"eval_results?(?:-\d+)?|ds_size\d+|evals?|data|results?|unlearned|paper_models")
"""Folders that say nothing of which run it is."""
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})")
_METHODS: Mapping[str, str] = {"DPO": "IdkDPO"}
"""In 2024 the preferred answers were always refusals."""
_BASE = re.compile(
    r"(?:^|_)((?:llama|phi|zephyr|mistral|gemma|qwen|falcon|opt|stablelm)[^_]*)(?:_|$)", re.IGNORECASE
)
_FAMILIES: Mapping[str, str] = {
    "llama": "llama2-7b",
    "llama2": "llama2-7b",
    "phi-1.5": "phi",
    "phi1.5": "phi",
}
"""What TOFU's and NPO's folders call the two models of the paper."""
_ROWS: Mapping[int, str] = {40: "forget01", 200: "forget05", 300: "forget10", 400: "forget10"}
"""Forget rows that are evaluated, 300 at most."""
Floats = NDArray[np.float64]


def is_result(path: Path) -> bool:
    """Whether this is one of its files: all four evaluations in one, or one of them."""
    return without_compression(path).name in (NAME, *_SECTIONS)


def read_folder(folder: Path, files: Sequence[Path]) -> ImportFindings:
    """The run of a folder: of the file with all evaluations, or if there is none, of the single ones."""
    findings = ImportFindings()
    names = {without_compression(file).name: file for file in files}
    whole = names.get(NAME)
    content: dict[str, Any] = {}
    for name, file in [(NAME, whole)] if whole else sorted(names.items()):
        try:
            held = read_object(file, findings)
        except UnreadableFile as error:
            findings.problem(file, str(error))
            continue
        content |= held if whole else {name: held}
    try:
        if content:
            findings.add(_read(folder, whole or folder, content))
    except UnreadableFile as error:
        findings.problem(whole or folder, str(error))
    return findings


def _read(folder: Path, path: Path, content: Mapping[str, Any]) -> ImportFindings:
    findings = ImportFindings()
    metrics: dict[str, MetricNumber] = {}
    frames = []
    parts: list[float] = []
    rows = 0
    for section, (role, part) in _SECTIONS.items():
        held = content.get(section)
        if not isinstance(held, dict):
            findings.leave_out(path, f"has no {section}")
            continue
        values = _values(held, forget=role == "forget", options=role == "utility")
        names = {"probability": "choice_probability"} if role == "utility" else {}
        for name, column in values.items():
            if name != RATIO:
                key = str(MetricKey(role, names.get(name, name), part))
                metrics[key] = mean_of(column.tolist(), bounds=bounds_at(key))
        if role != "forget":
            parts += [float(np.nanmean(column)) for column in values.values() if not np.isnan(column).all()]
        else:
            rows = max((len(column) for column in values.values()), default=0)
        renamed = {
            name if name == RATIO else str(MetricKey(role, names.get(name, name), part)): column
            for name, column in values.items()
        }
        frames.append(_examples(held, part or role, role, renamed))
    known = {key: value for key, value in metrics.items() if not math.isnan(value.value)}
    if len(parts) == 9:
        from scipy.stats import hmean  # half a second, which pages that read no such file do not spend

        known["all/model_utility"] = MetricNumber(float(hmean(parts)) if min(parts) > 0 else 0.0)
    if not known:
        raise UnreadableFile("holds none of TOFU's four evaluations")
    told = path_facts(folder, rows)
    frame = pd.concat(frames, ignore_index=True)
    findings.results.append(told.result(str(folder), known, frame))
    return findings


@dataclass(frozen=True, slots=True)
class PathFacts:
    """What a path of 2024 says of a run: `ft_epoch5_lr1e-05_llama2-7b_retain90_wd0.01/eval_results/ds_size300`.

    Attributes:
        name: folder of the run.
        collection: benchmark, split and base model.
        note: what was not said but taken, or "".
    """

    name: str
    collection: str
    part: Part
    method: str
    step: float | None
    settings: Mapping[str, object]
    note: str = ""

    def result(
        self, source: str, metrics: Mapping[str, MetricNumber], examples: pd.DataFrame | None = None
    ) -> ImportedRun:
        """A run with these numbers."""
        return ImportedRun(
            tool=TOOL,
            collection=self.collection,
            protocol=PROTOCOL,
            modality="text",
            model=f"{self.name} step {self.step:g}" if self.step is not None else self.name,
            part=self.part,
            method=self.method,
            step=self.step,
            line=self.name if self.step is not None else "",
            source=source,
            settings={**self.settings, **({NOTES: [self.note]} if self.note else {})},
            metrics=metrics,
            examples=pd.DataFrame() if examples is None else examples,
        )


def path_facts(folder: Path, rows: int = 0) -> PathFacts:
    """What the path says of the run in a folder.

    Args:
        folder: with the results.
        rows: forget examples in them, which tell the split where no folder does; 0 if unknown.
    """
    parts = [part for part in folder.parts if part != "/" and not _GENERIC.fullmatch(part)]
    checkpoint = _CHECKPOINT.fullmatch(parts[-1]) if parts else None
    above = [part for part in parts if not _CHECKPOINT.fullmatch(part)]
    name = above[-1] if above else folder.name
    method, settings = method_of(name)
    method = _METHODS.get(method, method)
    if not method and re.search(r"(?:^|_)KL(?:_|$)", name):
        method = "KL"
    pieces = name.split("_")
    retained = next((piece for piece in pieces if re.fullmatch(r"retain\d\d", piece)), "")
    split = next((piece for piece in pieces if re.fullmatch(r"forget\d\d", piece)), "")
    part: Part = "unlearned"
    if not method and retained and not split:
        part = "retained"
    elif not method and "full" in pieces:
        part = "original"
    split = split or (forgotten(retained) if retained else "")
    note = ""
    if not split and rows in _ROWS:
        split = _ROWS[rows]
        note = f"no folder names the split: {split} was taken, since its {rows} forget examples are"
    base = next((match[1] for each in reversed(above[-3:]) if (match := _BASE.search(each))), "")
    base = _FAMILIES.get(base.lower(), base)
    return PathFacts(
        name=name,
        collection=" · ".join(each for each in (f"TOFU {split}".strip(), base, "2024") if each),
        part=part,
        method=method if part == "unlearned" else "",
        step=float(checkpoint[1]) if checkpoint and len(above) else None,
        settings=settings,
        note=note,
    )


def _values(held: Mapping[str, Any], *, forget: bool, options: bool) -> dict[str, Floats]:
    """Per-example values of one evaluation; those that the file lacks are left out."""
    values: dict[str, Floats] = {}
    true, wrong = _column(held, "avg_gt_loss"), _rows(held, "average_perturb_loss")
    with np.errstate(over="ignore", invalid="ignore"):
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
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            ratio = np.exp(np.array([row.mean() for row in wrong]) - paraphrased)
            inverse = 1 / ratio
        values["truth_ratio"] = np.minimum(ratio, inverse) if forget else np.maximum(0, 1 - inverse)
        if forget:
            values[RATIO] = ratio
    return values


def _column(held: Mapping[str, Any], name: str) -> Floats:
    """A column by index, or as a list, as NPO and SimNPO write it."""
    return np.array([number(value) for value in _items(held.get(name))], np.float64)


def _rows(held: Mapping[str, Any], name: str) -> list[Floats]:
    return [
        np.array([number(each) for each in row] if isinstance(row, list) and row else [math.nan], np.float64)
        for row in _items(held.get(name))
    ]


def _items(column: object) -> list[Any]:
    if isinstance(column, dict):
        return list(column.values())
    return column if isinstance(column, list) else []


def _examples(held: Mapping[str, Any], prefix: str, role: str, values: Mapping[str, Floats]) -> pd.DataFrame:
    count = max((len(column) for column in values.values()), default=0)
    frame = pd.DataFrame({"id": [f"{prefix} {place}" for place in range(count)], "role": role})
    for name, column in values.items():
        if len(column) == count:
            frame[name] = column
    told = [row for row in _items(held.get("generated_text")) if isinstance(row, list) and len(row) == 3]
    if len(told) == count:
        for place, name in enumerate(("prompt", "generation", "answer")):
            frame[name] = [storable(str(row[place])) for row in told]
    return frame
