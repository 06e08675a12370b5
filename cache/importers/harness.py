"""lm-evaluation-harness: `results_*.json` with its `samples_{task}_*.jsonl`, a single `results.json`, the form of 0.3.

0.4 writes `acc,none` with `acc_stderr,none`, 0.3 plain `acc` with `acc_stderr` into a file of any name. A run with
`peft=` in its model arguments is named by its adapter.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from backends.files.plain import NotPlain, open_plain, parse_json, storable, without_compression
from backends.metrics.foreign import LM_EVAL
from backends.metrics.key import MetricKey
from cache.importers.findings import (
    MOST_BYTES,
    ImportFindings,
    UnreadableFile,
    iso_time,
    number,
    plain_settings,
    read_object,
    read_text,
)
from cache.importers.task_names import method_of
from cache.store.results import NOTES, ImportedRun, MetricNumber

TOOL = "lm-evaluation-harness"
_Z = 1.959963984540054
_BEGINNING = 4096
_ABOUT = ("alias", "name", "sample_len", "sample_count", "samples")
"""What stands among the numbers of a task and is none of its measures."""
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})")


def is_result(path: Path) -> bool:
    """Whether this is one of its result files: by name, or by how a file of another name begins."""
    name = without_compression(path)
    if name.suffix != ".json":
        return False
    if name.name.startswith("results_"):
        return True
    try:
        with open_plain(path, MOST_BYTES) as file:
            beginning = file.read(_BEGINNING).decode("utf-8", errors="ignore")
    except NotPlain:
        return name.name == "results.json"
    return re.match(r'\s*{\s*"results"\s*:\s*{', beginning) is not None


def read_file(path: Path) -> ImportFindings:
    """The run that the file is of."""
    findings = ImportFindings()
    content = read_object(path, findings)
    tasks = content.get("results")
    if not without_compression(path).name.startswith("results_") and not {"config", "versions"} & set(
        content
    ):
        findings.leave_out(path, "is not a result file of a supported tool")
        return findings
    if not isinstance(tasks, dict):
        raise UnreadableFile("has no `results` of lm-evaluation-harness")
    groups = content.get("groups")
    measured = {**(groups if isinstance(groups, dict) else {}), **tasks}
    counts = _object(content.get("n-samples"))
    better = _object(content.get("higher_is_better"))
    metrics: dict[str, MetricNumber] = {}
    for task, values in measured.items():
        if isinstance(values, dict):
            metrics |= _numbers(str(task), values, counts, _object(better.get(task)))
    if not metrics:
        raise UnreadableFile("holds no number of a task")
    config = _object(content.get("config"))
    arguments = _arguments(config)
    name, adapter = _model(content, arguments, path)
    method, settings = method_of(PurePath(name).name)
    if not method and (adapter or _CHECKPOINT.search(name)):
        method, settings = method_of("_".join(PurePath(adapter or name).parts))
    step = _CHECKPOINT.search(adapter or name)
    notes = _notes(config, counts)
    base = str(arguments.get("pretrained", "")) if adapter else ""
    told = plain_settings({"config": config, "git_hash": content.get("git_hash")})
    settings |= {"adapter of": base} if base else {}
    findings.results.append(
        ImportedRun(
            tool=TOOL,
            collection=_collection(tasks, config, counts),
            protocol=TOOL,
            modality="text",
            model=name,
            method=method,
            step=float(step[1]) if step else None,
            line=_line(adapter or name) if step else "",
            source=str(path),
            created=iso_time(content.get("date")),
            settings=settings | told | ({NOTES: notes} if notes else {}),
            metrics=metrics,
            examples=_samples(path, list(tasks), findings),
        )
    )
    return findings


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _numbers(
    task: str, values: Mapping[str, Any], counts: Mapping[str, Any], better: Mapping[str, Any]
) -> dict[str, MetricNumber]:
    """`acc,none` with `acc_stderr,none`, or `acc` with `acc_stderr`, as a number with a normal interval."""
    role = _role(task)
    n = number(_object(counts.get(task)).get("effective"))
    metrics = {}
    for name, value in values.items():
        measure, comma, kind = name.partition(",")
        stated = number(value)
        if measure.endswith("_stderr") or math.isnan(stated) or measure in _ABOUT:
            continue
        error = number(values.get(f"{measure}_stderr{comma}{kind}"))
        label = measure if kind in ("", "none") else f"{measure} {kind}"
        key = str(MetricKey(role, f"{LM_EVAL}:{task}:{label}"))
        if better.get(measure) is False and not label.endswith(
            ("perplexity", "bits_per_byte", "brier_score", "ter")
        ):
            key = str(MetricKey(role, f"{'higher' if role == 'forget' else 'lower'}:{task}: {label}"))
        metrics[key] = MetricNumber(stated, stated - _Z * error, stated + _Z * error, n)
    return metrics


def _role(task: str) -> str:
    return "forget" if task.startswith("wmdp") else "all"


def _arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The model's arguments: an object, or `pretrained=NAME,peft=FOLDER,dtype=bfloat16`."""
    held = config.get("model_args")
    if isinstance(held, dict):
        return held
    pairs = held.split(",") if isinstance(held, str) else []
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _model(content: Mapping[str, Any], arguments: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """The run's name and its adapter: the file names the base for all adapters alike."""
    adapter = next(
        (each for name in ("peft", "delta") if isinstance(each := arguments.get(name), str) and each), ""
    )
    if adapter:
        parts = [part for part in PurePath(adapter.replace("\\", "/")).parts if part not in (".", "/", "..")]
        return "/".join(parts[-2:]) or adapter, adapter
    stated = content.get("model_name")
    if isinstance(stated, str) and stated:
        return stated, ""
    pretrained = arguments.get("pretrained")
    if isinstance(pretrained, str) and pretrained:
        return pretrained, ""
    return path.parent.name, ""


def _line(place: str) -> str:
    """What the checkpoints of one training share: the path up to the checkpoint."""
    return re.split(r"checkpoint-\d", place)[0].strip("/. ")


def _collection(tasks: Mapping[str, Any], config: Mapping[str, Any], counts: Mapping[str, Any]) -> str:
    """Runs of the same tasks; a run over the first examples only is compared with its like."""
    limit = number(config.get("limit"))
    some = "" if math.isnan(limit) else f", limit {limit:g}"
    shots = config.get("num_fewshot")
    few = f", {shots}-shot" if isinstance(shots, int) and not isinstance(shots, bool) and shots > 0 else ""
    return f"lm-eval: {', '.join(sorted(map(str, tasks)))[:60]}{few}{some}"


def _notes(config: Mapping[str, Any], counts: Mapping[str, Any]) -> list[str]:
    limit = number(config.get("limit"))
    cut = [
        task
        for task, held in counts.items()
        if number(_object(held).get("effective")) < number(_object(held).get("original"))
    ]
    if math.isnan(limit) and not cut:
        return []
    of = f" of {', '.join(sorted(cut)[:4])}" if cut else ""
    return [
        f"only the first examples{of} were evaluated (limit), so the numbers are not those of the whole task"
    ]


def _samples(path: Path, tasks: list[str], findings: ImportFindings) -> pd.DataFrame:
    """One row per sample of the files beside the result, of the same moment."""
    moment_of_run = without_compression(path).stem.removeprefix("results_")
    rows: list[dict[str, object]] = []
    for task in tasks:
        try:
            file = path.with_name(f"samples_{task}_{moment_of_run}.jsonl")
            if not file.is_file():
                continue
            lines = read_text(file).splitlines()
        except (ValueError, OSError):
            continue  # a task whose name cannot be a file's
        except UnreadableFile as error:
            findings.problem(file, str(error))
            continue
        bad = 0
        for line in lines:
            try:
                held = parse_json(line)
            except (json.JSONDecodeError, NotPlain):
                bad += 1
                continue
            if isinstance(held, dict):
                rows.append(_sample(task, _role(task), held))
        if bad:
            findings.leave_out(file, f"{bad} lines are not JSON")
    return pd.DataFrame(rows)


def _sample(task: str, role: str, held: Mapping[str, Any]) -> dict[str, object]:
    document = _object(held.get("doc"))
    texts = (document.get(name) for name in ("question", "query", "input", "text"))
    prompt = next((text for text in texts if isinstance(text, str)), "")
    row: dict[str, object] = {
        "id": storable(f"{task} {held.get('doc_id')}"[:200]),
        "role": role,
        "prompt": storable(prompt),
        "answer": storable(str(held.get("target", ""))[:2000]),
        "generation": storable(str(held.get("filtered_resps", ""))[:2000]),
    }
    for measure in ("acc", "acc_norm", "exact_match", "f1"):
        value = number(held.get(measure))
        if not math.isnan(value):
            row[str(MetricKey(role, f"{LM_EVAL}:{task}:{measure}"))] = value
    return row
