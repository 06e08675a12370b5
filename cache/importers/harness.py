"""lm-evaluation-harness: `results_*.json` with its `samples_{task}_*.jsonl`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from backends.metrics.foreign import LM_EVAL
from cache.importers.found import Found, Unreadable, number, plain_settings, read_object
from cache.importers.task_names import method_of
from cache.results import Number, Result

TOOL = "lm-evaluation-harness"
_Z = 1.959963984540054


def is_result(path: Path) -> bool:
    """Whether this is one of its result files, by name."""
    return path.name.startswith("results_") and path.suffix == ".json"


def read_file(path: Path) -> Found:
    """The run that the file is of."""
    found = Found()
    content = read_object(path)
    tasks = content.get("results")
    if not isinstance(tasks, dict):
        raise Unreadable("has no `results` of lm-evaluation-harness")
    counts = content.get("n-samples") if isinstance(content.get("n-samples"), dict) else {}
    metrics: dict[str, Number] = {}
    for task, values in tasks.items():
        if isinstance(values, dict):
            metrics |= _numbers(str(task), values, counts if isinstance(counts, dict) else {})
    if not metrics:
        raise Unreadable("holds no number")
    config = content.get("config") if isinstance(content.get("config"), dict) else {}
    name = _model(content, config if isinstance(config, dict) else {}, path)
    method, settings = method_of(name.rpartition("/")[2])
    found.results.append(
        Result(
            tool=TOOL,
            collection=f"lm-eval: {', '.join(sorted(tasks))[:60]}",
            protocol=TOOL,
            modality="text",
            model=name,
            method=method,
            source=str(path),
            created=_created(content.get("date")),
            settings=settings | plain_settings({"config": config, "git_hash": content.get("git_hash")}),
            metrics=metrics,
            examples=_samples(path, list(tasks), found),
        )
    )
    return found


def _numbers(task: str, values: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Number]:
    """`acc,none` with `acc_stderr,none` as a number with a normal interval."""
    role = "forget" if task.startswith("wmdp") else "all"
    held = counts.get(task)
    n = number(held.get("effective")) if isinstance(held, dict) else math.nan
    metrics = {}
    for name, value in values.items():
        measure, _, kind = name.partition(",")
        stated = number(value)
        if measure.endswith("_stderr") or math.isnan(stated) or not kind:
            continue
        error = number(values.get(f"{measure}_stderr,{kind}"))
        label = measure if kind == "none" else f"{measure} {kind}"
        metrics[f"{role}/{LM_EVAL}:{task}:{label}"] = Number(
            stated, stated - _Z * error, stated + _Z * error, n
        )
    return metrics


def _model(content: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> str:
    stated = content.get("model_name")
    if isinstance(stated, str) and stated:
        return stated
    arguments = config.get("model_args")
    if isinstance(arguments, str):
        pairs = dict(pair.split("=", 1) for pair in arguments.split(",") if "=" in pair)
        if pairs.get("pretrained"):
            return pairs["pretrained"]
    return path.parent.name


def _created(stated: object) -> str:
    seconds = number(stated)
    return "" if math.isnan(seconds) else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _samples(path: Path, tasks: list[str], found: Found) -> pd.DataFrame:
    """One row a sample of the files beside the result, of the same moment."""
    moment = path.stem.removeprefix("results_")
    rows: list[dict[str, object]] = []
    for task in tasks:
        file = path.with_name(f"samples_{task}_{moment}.jsonl")
        if not file.is_file():
            continue
        role = "forget" if task.startswith("wmdp") else "all"
        bad = 0
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                held = json.loads(line)
            except json.JSONDecodeError:
                bad += 1
                continue
            if isinstance(held, dict):
                rows.append(_sample(task, role, held))
        if bad:
            found.left_out.append(f"{file}: {bad} lines are not JSON")
    return pd.DataFrame(rows)


def _sample(task: str, role: str, held: Mapping[str, Any]) -> dict[str, object]:
    document = held.get("doc") if isinstance(held.get("doc"), dict) else {}
    told = document if isinstance(document, dict) else {}
    texts = (told.get(name) for name in ("question", "query", "input", "text"))
    prompt = next((text for text in texts if isinstance(text, str)), "")
    row: dict[str, object] = {
        "id": f"{task} {held.get('doc_id')}",
        "role": role,
        "prompt": prompt,
        "answer": str(held.get("target", "")),
        "generation": str(held.get("filtered_resps", ""))[:2000],
    }
    for measure in ("acc", "acc_norm", "exact_match", "f1"):
        value = number(held.get(measure))
        if not math.isnan(value):
            row[f"{role}/{LM_EVAL}:{task}:{measure}"] = value
    return row
