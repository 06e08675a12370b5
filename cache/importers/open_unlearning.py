"""open-unlearning's result files: TOFU_EVAL, MUSE_EVAL, LMEval and their summaries, one run a folder.

Everything of a folder is one run. What the run is, its path says (`task_names`) and, where it is there, the settings
that Hydra wrote. The retained logs are found among the folders that are imported together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml  # type: ignore[import-untyped]

from backends.metrics.open_unlearning import SMALLEST
from backends.metrics.study_level import forget_quality
from cache.importers.found import Found, Unreadable, mean_of, number, plain_settings, read_object
from cache.importers.task_names import Named, named
from cache.results import Number, Result

TOOL = "open-unlearning"
FILES = tuple(
    f"{name}_{kind}.json" for name in ("TOFU", "MUSE", "LMEval", "WMDP") for kind in ("EVAL", "SUMMARY")
)
KEYS: Mapping[str, str] = {
    "forget_Q_A_Prob": "forget/probability",
    "forget_Q_A_PARA_Prob": "forget/paraphrased_probability",
    "forget_Q_A_ROUGE": "forget/rouge_l",
    "forget_truth_ratio": "forget/truth_ratio",
    "forget_Truth_Ratio": "forget/truth_ratio",
    "forget_quality": "forget/forget_quality",
    "model_utility": "all/model_utility",
    "extraction_strength": "forget/extraction_strength",
    "exact_memorization": "forget/exact_memorization",
    "privleak": "forget/privleak",
    "rel_diff": "forget/rel_diff",
    **{f"mia_{name}": f"forget/mia_{name}" for name in ("loss", "zlib", "min_k", "gradnorm", "reference")},
    "mia_min_k_plus_plus": "forget/mia_min_k_plus_plus",
    "retain_Q_A_Prob": "retain/probability",
    "retain_Q_A_ROUGE": "retain/rouge_l",
    "retain_Truth_Ratio": "retain/truth_ratio",
    **{
        f"{short}_{theirs}": f"utility/{ours}@{name}"
        for short, name in (("ra", "real authors"), ("wf", "world facts"))
        for theirs, ours in (
            ("Q_A_Prob_normalised", "choice_probability"),
            ("Q_A_ROUGE", "rouge_l"),
            ("Truth_Ratio", "truth_ratio"),
        )
    },
    "forget_Q_A_gibberish": "forget/gibberish_clean",
    "forget_gibberish": "forget/gibberish_clean",
    "forget_knowmem_ROUGE": "forget/knowmem_rouge",
    "retain_knowmem_ROUGE": "retain/knowmem_rouge",
    "forget_verbmem_ROUGE": "forget/verbmem_rouge",
}
"""Their metric -> ours, or another tool's card."""
PARTS_OF_OTHERS = ("_Prob", "_PERT_ROUGE")
"""How the names of metrics end that are of no use alone; their values are in the truth ratios and the shares."""
RATIO = "forget/raw_truth_ratio"
"""Column of the examples that forget quality is made of; no metric of its own."""
_SCORES: tuple[str, ...] = ("prob", "rougeL_recall", "score")
_MUSE_SCORES = ("rougeL_f1", *_SCORES)


def is_result(path: Path) -> bool:
    """Whether this is one of its files."""
    return path.name in FILES


def read_folder(folder: Path, files: Sequence[Path]) -> Found:
    """One run: all of its files that lie in a folder."""
    found = Found()
    metrics: dict[str, Number] = {}
    columns: dict[str, dict[str, object]] = {}
    who = named(folder)
    muse = any(path.name.startswith("MUSE") for path in files)
    unknown: set[str] = set()
    for path in sorted(files, key=lambda each: ("SUMMARY" not in each.name, each.name)):
        try:
            content = read_object(path)
        except Unreadable as error:
            found.problems.append(f"{path}: {error}")
            continue
        if path.name.startswith("LMEval"):
            metrics |= _lm_eval(content) if "SUMMARY" in path.name else {}
            continue
        for name, value in content.items():
            key = KEYS.get(name)
            if key is None:
                if not name.endswith(PARTS_OF_OTHERS):
                    unknown.add(name)
                continue
            read = _metric(value, key, muse=muse)
            if not math.isnan(read.value):
                metrics[key] = read
            elif value is not None and not _is_nothing(value):
                found.left_out.append(f"{path}: {name} is {_shown(value)}, not a number")
            _note_examples(columns, key, value, muse=muse)
    if unknown:
        found.left_out.append(f"{folder}: no metric of that name is known: {', '.join(sorted(unknown))}")
    if metrics:
        found.results.append(_result(folder, who, metrics, columns, muse=muse))
    elif not found.problems:
        found.problems.append(f"{folder}: its files hold no number of a known metric")
    return found


def with_retained(results: Sequence[Result], known: Mapping[str, Result] | None = None) -> Found:
    """The same runs with the forget quality they lack, from the retained run of their collection.

    Two retained runs of a collection that disagree are named; the first by path counts.

    Args:
        results: runs that were read together.
        known: retained runs that were imported before, by collection; used where none is among `results`.
    """
    found = Found()
    gold: dict[str, Result] = {}
    for result in sorted(results, key=lambda each: each.source):
        if result.part != "retained":
            continue
        first = gold.setdefault(result.collection, result)
        if first is not result and _ratios(first) is not None and not _agree(first, result):
            found.problems.append(
                f"{result.source}: disagrees with the retained log {first.source}; the latter is used"
            )
    for result in results:
        retained = gold.get(result.collection) or (known or {}).get(result.collection)
        has = "forget/forget_quality" in result.metrics
        ours, theirs = _ratios(result), _ratios(retained) if retained else None
        if has or ours is None or theirs is None or retained is None:
            found.results.append(result)
            continue
        value = Number(forget_quality(ours, theirs), n=float(len(ours)))
        found.results.append(
            replace(
                result,
                metrics={**result.metrics, "forget/forget_quality": value},
                settings={**result.settings, "retained log": retained.source},
            )
        )
    return found


def _agree(one: Result, other: Result) -> bool:
    ours, theirs = _ratios(one), _ratios(other)
    return ours is not None and theirs is not None and ours.tolist() == theirs.tolist()


def _ratios(result: Result) -> Any:
    """Truth ratios r of the forget examples, as the test of forget quality takes them."""
    return result.examples[RATIO].dropna().to_numpy(float) if RATIO in result.examples else None


def _metric(value: object, key: str, *, muse: bool) -> Number:
    """A metric of a full file (object with `agg_value`) or of a summary (number)."""
    if not isinstance(value, dict):
        return Number(number(value))
    stated = number(value.get("agg_value"))
    rows = value.get("value_by_index")
    if not isinstance(rows, dict):
        return Number(stated)
    return mean_of((_told(key, _score(row, muse=muse)) for row in rows.values()), stated)


def _told(key: str, score: float) -> float:
    """What the aggregate is the mean of; truth ratios lie in the file as r = p_wrong / p_true."""
    if math.isnan(score) or not key.partition("@")[0].endswith("/truth_ratio"):
        return score
    return min(score, 1 / (score + SMALLEST)) if key.startswith("forget/") else max(0.0, 1 - score)


def _score(row: object, *, muse: bool) -> float:
    """The number of one example that the aggregate is the mean of."""
    if not isinstance(row, dict):
        return math.nan
    for name in _MUSE_SCORES if muse else _SCORES:
        if name in row:
            value = row[name]
            if isinstance(value, list):  # several answers: their mean, as the tool takes it
                numbers = [number(each) for each in value]
                return sum(numbers) / len(numbers) if numbers else math.nan
            return number(value)
    return math.nan


def _note_examples(columns: dict[str, dict[str, object]], key: str, value: object, *, muse: bool) -> None:
    rows = value.get("value_by_index") if isinstance(value, dict) else None
    if not isinstance(rows, dict):
        return
    role = key.partition("/")[0]
    for index, row in rows.items():
        if not isinstance(row, dict):
            continue
        place = columns.setdefault(f"{key.partition('@')[2] or role} {index}", {"role": role})
        score = _score(row, muse=muse)
        place[key] = _told(key, score)
        if key == "forget/truth_ratio":
            place[RATIO] = score
        for theirs, ours in (("input", "prompt"), ("ground_truth", "answer"), ("generation", "generation")):
            if isinstance(row.get(theirs), str):
                place[ours] = row[theirs]


def _lm_eval(content: Mapping[str, object]) -> dict[str, Number]:
    """`mmlu/acc` and its standard error, as a number with a normal interval."""
    metrics: dict[str, Number] = {}
    for name, value in content.items():
        task, _, measure = name.partition("/")
        stated, error = number(value), number(content.get(f"{name}_stderr"))
        if measure and not measure.endswith("_stderr") and not math.isnan(stated):
            role = "forget" if task.startswith("wmdp") else "all"
            reach = 1.959963984540054 * error
            metrics[f"{role}/lm_eval:{task}:{measure}"] = Number(stated, stated - reach, stated + reach)
    return metrics


def _result(
    folder: Path,
    who: Named,
    metrics: Mapping[str, Number],
    columns: Mapping[str, Mapping[str, object]],
    *,
    muse: bool,
) -> Result:
    frame = pd.DataFrame([{"id": name, **row} for name, row in columns.items()])
    benchmark = "MUSE" if muse else who.benchmark or "TOFU"
    return Result(
        tool=TOOL,
        collection=" · ".join(part for part in (f"{benchmark} {who.split}".strip(), who.base) if part),
        protocol="open-unlearning",
        modality="text",
        model=who.model,
        part=who.part,
        method=who.method,
        step=who.step if who.step is not None else _last_step(folder),
        line=who.line,
        source=str(folder),
        settings={**who.settings, **_hydra(folder)},
        metrics=metrics,
        examples=frame,
    )


def _last_step(folder: Path) -> float | None:
    """Steps that training took in all, where its state lies beside the results."""
    for place in (folder.parent, folder):
        state = place / "trainer_state.json"
        if state.is_file() and "checkpoint-" not in place.name:
            try:
                step = number(read_object(state).get("global_step"))
            except Unreadable:
                return None
            return None if math.isnan(step) else step
    return None


def _hydra(folder: Path) -> dict[str, object]:
    """The trainer's settings, where Hydra's own file is beside the results."""
    for place in (folder, folder.parent, folder.parent.parent):
        path = place / ".hydra" / "config.yaml"
        if not path.is_file():
            continue
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            return {}
        trainer = content.get("trainer") if isinstance(content, dict) else None
        if isinstance(trainer, dict):
            return plain_settings({"trainer": trainer})
    return {}


def _is_nothing(value: object) -> bool:
    """`{"agg_value": null}`: the tool itself says that there is no value."""
    return isinstance(value, dict) and value.get("agg_value") is None


def _shown(value: object) -> str:
    text = repr(value.get("agg_value") if isinstance(value, dict) else value)
    return text if len(text) < 40 else f"{text[:37]}..."
