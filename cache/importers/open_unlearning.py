"""open-unlearning's result files: TOFU_EVAL, MUSE_EVAL, LMEval and their summaries, one run a folder.

Everything of a folder is one run. What the run is, its path says (`task_names`) and, where it is there, the settings
that Hydra wrote (`hydra`). Forget quality that the files lack is computed from the retained run (`cache.references`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from backends.files.plain import storable, without_compression
from backends.metrics.key import MetricKey
from cache.importers.findings import ImportFindings, UnreadableFile, listed, number, read_object
from cache.importers.hydra import Config, config_beside
from cache.importers.open_unlearning_metrics import (
    KEYS,
    PARTS_OF_OTHERS,
    RELATIVE,
    ReadMetric,
    columns_of,
    key_of,
    read_metric,
    score_of,
    value_of,
    without_reference,
)
from cache.importers.references import RATIO
from cache.importers.task_names import TaskName, of_task, task_name
from cache.store.results import NOTES, ImportedRun, MetricNumber

TOOL = "open-unlearning"
DEFAULT_SPLIT = "forget10"
"""What `configs/eval/tofu.yaml` evaluates on where nobody says otherwise."""
FILES = tuple(
    f"{name}_{kind}.json" for name in ("TOFU", "MUSE", "LMEval", "WMDP") for kind in ("EVAL", "SUMMARY")
)
_SIZES: Mapping[int, str] = {40: "forget01", 200: "forget05", 400: "forget10"}
"""Rows of TOFU's forget sets."""


def is_result(path: Path) -> bool:
    """Whether this is one of its files."""
    return without_compression(path).name in FILES


def read_folder(folder: Path, files: Sequence[Path]) -> ImportFindings:
    """One run: all of its files that lie in a folder."""
    findings = ImportFindings()
    metrics: dict[str, MetricNumber] = {}
    columns: dict[str, dict[str, object]] = {}
    notes: dict[str, None] = {}
    config = config_beside(folder)
    if config.problem:
        findings.leave_out(folder / ".hydra" / "config.yaml", config.problem)
    muse = any(path.name.startswith("MUSE") for path in files)
    unknown: set[str] = set()
    for path in sorted(files, key=lambda each: ("SUMMARY" not in each.name, each.name)):
        try:
            content = read_object(path, findings)
        except UnreadableFile as error:
            findings.problem(path, str(error))
            continue
        if path.name.startswith("LMEval"):
            metrics |= _lm_eval(content) if "SUMMARY" in path.name else {}
            continue
        unknown |= {name for name in content if name not in KEYS and not name.endswith(PARTS_OF_OTHERS)}
        for name, value in content.items():
            if name not in KEYS:
                continue
            read = read_metric(name, content, config, muse=muse)
            key = key_of(KEYS[name], read.changed)
            _say_what_lacks(findings, path, name, value, read)
            if math.isnan(read.number.value):
                continue
            if KEYS[name] in metrics and key != KEYS[name]:
                del metrics[
                    KEYS[name]
                ]  # the summary has the number without the examples that tell what it is
            metrics[key] = read.number
            if read.changed:
                notes[
                    f"{name} was measured with changed settings ({', '.join(read.changed)}), so it is a metric of "
                    "its own and stands on no axis with the default"
                ] = None
            _note_examples(columns, key, KEYS[name], value, read, muse=muse)
    if unknown:
        findings.leave_out(folder, f"unknown metric: {listed(sorted(unknown))}")
    told = without_reference(metrics, config, muse=muse)
    if told.keys() != metrics.keys():
        names = listed(MetricKey.parse(key).metric for key in metrics if key not in told)
        notes[
            f"{names}: relative to an AUC of 0.5, not to a retained model, since there was no retained log; so it is a "
            "metric of its own"
        ] = None
    if without := [
        key.removeprefix("forget/") for key in RELATIVE if key in told and math.isnan(told[key].low)
    ]:
        notes[
            f"{listed(without)}: no interval, since the scores of the retained model that it is relative to are not in "
            "the file"
        ] = None
    metrics = told
    if metrics:
        who = _who(folder, config, columns, notes, muse=muse)
        findings.results.append(_result(folder, who, metrics, columns, config, notes, muse=muse))
    elif not findings.problems:
        findings.problem(folder, "its files have no value of a known metric")
    return findings


def _who(
    folder: Path, config: Config, columns: Mapping[str, object], notes: dict[str, None], *, muse: bool
) -> TaskName:
    """What the path says of the run, and where it is silent, Hydra's settings."""
    who = task_name(folder)
    task = config.text("task_name")
    if task and not (who.benchmark and who.base):
        # `saves/unlearn/NPO/evals`, as the MUSE script writes them, names neither data nor model.
        told = of_task(task, step=who.step)
        who = told if told.benchmark else replace(who, method=who.method or told.method)
    split = who.split or (
        config.text("eval.muse.data_split", "data_split")
        if muse
        else config.text("eval.tofu.forget_split", "forget_split")
    )
    base = (
        who.base
        or config.text(
            "model.tokenizer_args.pretrained_model_name_or_path",
            "model.model_args.pretrained_model_name_or_path",
        ).rpartition("/")[2]
    )
    handler = config.handler()
    if who.part == "unlearned" and not who.method and handler and "pool" not in who.settings:
        who = replace(who, method=handler)
    benchmark = "MUSE" if muse else who.benchmark or "TOFU"
    if benchmark == "TOFU" and not split:
        rows = sum(name.startswith("forget ") for name in columns)
        split = _SIZES.get(rows, DEFAULT_SPLIT)
        why = f"its {rows} forget examples are" if rows in _SIZES else "that is the tool's default"
        notes[f"neither folder nor settings name the split: {split} was taken, since {why}"] = None
    return replace(who, split=split, base=base, benchmark=benchmark)


def _say_what_lacks(findings: ImportFindings, path: Path, name: str, value: object, read: ReadMetric) -> None:
    """A line for a value that is none, and for examples without one."""
    stated = value.get("agg_value") if isinstance(value, dict) else value
    if math.isnan(number(stated)) and stated is not None:
        findings.leave_out(path, f"{name} is {_shown(stated)}, not a number")
    lacking = sum(math.isnan(each) for each in read.rows.values())
    if lacking:
        findings.leave_out(path, f"{name}: {lacking} of {len(read.rows)} examples have no value")


def _note_examples(
    columns: dict[str, dict[str, object]],
    key: str,
    usual: str,
    value: object,
    read: ReadMetric,
    *,
    muse: bool,
) -> None:
    """Values and texts of the examples, one row per example."""
    rows = value.get("value_by_index") if isinstance(value, dict) else None
    if isinstance(rows, list):
        rows = {str(place): row for place, row in enumerate(rows)}
    if not isinstance(rows, dict):
        return
    read_key = MetricKey.parse(usual)
    role, prefix = read_key.role, read_key.part or read_key.role
    inverted = value_of(read.changed, "aggregator") == "prob_mean"
    for index, row in rows.items():
        if not isinstance(row, dict):
            continue
        place = columns.setdefault(storable(f"{prefix} {index}"), {"role": role})
        place[key] = read.rows.get(str(index), math.nan)
        if usual == "forget/truth_ratio" and all(each.startswith("aggregator=") for each in read.changed):
            score = score_of(row, columns_of(muse=muse))
            # The test of forget quality sees ranks only; with it, both kinds of ratio can be compared.
            place[RATIO] = (1 / score - 1 if score > 0 else math.nan) if inverted else score
        for theirs, ours in (("input", "prompt"), ("ground_truth", "answer"), ("generation", "generation")):
            if isinstance(row.get(theirs), str):
                place[ours] = storable(row[theirs])


def _lm_eval(content: Mapping[str, object]) -> dict[str, MetricNumber]:
    """`mmlu/acc` and its standard error, as a number with a normal interval."""
    metrics: dict[str, MetricNumber] = {}
    for name, value in content.items():
        task, _, measure = name.partition("/")
        stated, error = number(value), number(content.get(f"{name}_stderr"))
        if measure and not measure.endswith("_stderr") and not math.isnan(stated):
            role = "forget" if task.startswith("wmdp") else "all"
            reach = 1.959963984540054 * error
            metrics[str(MetricKey(role, f"lm_eval:{task}:{measure}"))] = MetricNumber(
                stated, stated - reach, stated + reach
            )
    return metrics


def _result(
    folder: Path,
    who: TaskName,
    metrics: Mapping[str, MetricNumber],
    columns: Mapping[str, Mapping[str, object]],
    config: Config,
    notes: Iterable[str],
    *,
    muse: bool,
) -> ImportedRun:
    frame = pd.DataFrame([{"id": name, **row} for name, row in columns.items()])
    step = who.step if who.step is not None else _last_step(folder, who)
    settings: dict[str, object] = {**who.settings, **config.settings()}
    told = list(notes)
    return ImportedRun(
        tool=TOOL,
        collection=" · ".join(part for part in (f"{who.benchmark} {who.split}".strip(), who.base) if part),
        protocol="open-unlearning",
        modality="text",
        model=who.model,
        part=who.part,
        method=who.method,
        step=step,
        line=who.line or (who.task if step is not None else ""),
        source=str(folder),
        settings=settings | ({NOTES: told} if told else {}),
        metrics=metrics,
        examples=frame,
    )


def _last_step(folder: Path, who: TaskName) -> float | None:
    """Steps that training took in all, where its state lies beside the results."""
    if who.part == "original":
        return None
    for place in (folder.parent, folder):
        state = place / "trainer_state.json"
        if state.is_file() and "checkpoint-" not in place.name:
            try:
                step = number(read_object(state).get("global_step"))
            except UnreadableFile:
                return None
            return None if math.isnan(step) else step
    return None


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | float | int | bool) else f"a {type(value).__name__}"
    return text if len(text) < 40 else f"{text[:37]}..."
