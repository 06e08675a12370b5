"""open-unlearning's result files: TOFU_EVAL, MUSE_EVAL, LMEval and their summaries, one run a folder.

Everything of a folder is one run. What the run is, its path says (`task_names`) and, where it is there, the settings
that Hydra wrote (`hydra`). Forget quality that the files lack is computed from the retained run (`cache.references`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from backends.metrics import METRICS
from backends.metrics.foreign import foreign_card
from backends.metrics.open_unlearning import SMALLEST
from backends.plain_files import storable, without_compression
from cache.importers.found import Found, Unreadable, listed, mean_of, number, read_object
from cache.importers.hydra import Config, config_beside
from cache.importers.task_names import Named, named, of_task
from cache.references import RATIO
from cache.results import NOTES, Number, Result

TOOL = "open-unlearning"
DEFAULT_SPLIT = "forget10"
"""What `configs/eval/tofu.yaml` evaluates on where nobody says otherwise."""
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
_SCORES: tuple[str, ...] = ("prob", "rougeL_recall", "score")
_MUSE_SCORES = ("rougeL_f1", *_SCORES)
_ROUGE = ("rougeL_recall", "rougeL_f1", "rouge1_recall", "rouge1_f1")
_SIZES: Mapping[int, str] = {40: "forget01", 200: "forget05", 400: "forget10"}
"""Rows of TOFU's forget sets."""
_CLOSE = 2e-4
"""Relative; what a stated mean may differ from that of the rows and still be taken for it."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A metric of a file: its number, the values of its examples, and what it was told to do otherwise."""

    number: Number
    rows: Mapping[str, float]
    changed: tuple[str, ...] = ()


def is_result(path: Path) -> bool:
    """Whether this is one of its files."""
    return without_compression(path).name in FILES


def read_folder(folder: Path, files: Sequence[Path]) -> Found:
    """One run: all of its files that lie in a folder."""
    found = Found()
    metrics: dict[str, Number] = {}
    columns: dict[str, dict[str, object]] = {}
    notes: dict[str, None] = {}
    config = config_beside(folder)
    if config.problem:
        found.leave_out(folder / ".hydra" / "config.yaml", config.problem)
    muse = any(path.name.startswith("MUSE") for path in files)
    unknown: set[str] = set()
    attack, leak = math.nan, math.nan
    for path in sorted(files, key=lambda each: ("SUMMARY" not in each.name, each.name)):
        try:
            content = read_object(path, found)
        except Unreadable as error:
            found.problem(path, str(error))
            continue
        if path.name.startswith("LMEval"):
            metrics |= _lm_eval(content) if "SUMMARY" in path.name else {}
            continue
        unknown |= {name for name in content if name not in KEYS and not name.endswith(PARTS_OF_OTHERS)}
        for name, value in content.items():
            if name not in KEYS:
                continue
            read = _metric(name, value, config, muse=muse)
            key = _key(KEYS[name], read.changed)
            _say_what_lacks(found, path, name, value, read)
            if math.isnan(read.number.value):
                continue
            if KEYS[name] in metrics and key != KEYS[name]:
                del metrics[
                    KEYS[name]
                ]  # the summary has the number without the examples that tell what it is
            metrics[key] = read.number
            if read.changed:
                notes[
                    f"{name} was measured in another way than usual ({', '.join(read.changed)}), so it is a metric of "
                    "its own and stands on no axis with the usual one"
                ] = None
            attack = read.number.value if name == "mia_min_k" else attack
            leak = read.number.value if name == "privleak" else leak
            _note_examples(columns, key, KEYS[name], value, read, muse=muse)
    if unknown:
        found.leave_out(folder, f"no metric of that name is known: {listed(sorted(unknown))}")
    if not math.isnan(attack) and abs(leak - 100 * (1 - 2 * attack)) <= 1e-6 * max(1.0, abs(leak)):
        notes[
            "PrivLeak compares with an AUC of 0.5, not with a retained model: no retained log was there"
        ] = None
    if metrics:
        who = _who(folder, config, columns, notes, muse=muse)
        found.results.append(_result(folder, who, metrics, columns, config, notes, muse=muse))
    elif not found.problems:
        found.problem(folder, "its files hold no number of a known metric")
    return found


def _who(
    folder: Path, config: Config, columns: Mapping[str, object], notes: dict[str, None], *, muse: bool
) -> Named:
    """What the path says of the run, and where it is silent, Hydra's settings."""
    who = named(folder)
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
    benchmark = "MUSE" if muse else who.benchmark or "TOFU"
    if benchmark == "TOFU" and not split:
        rows = sum(name.startswith("forget ") for name in columns)
        split = _SIZES.get(rows, DEFAULT_SPLIT)
        why = (
            f"its {rows} forget examples are"
            if rows in _SIZES
            else "that is what the tool evaluates unless told"
        )
        notes[f"neither folder nor settings name the split; {split} was taken, since {why}"] = None
    return replace(who, split=split, base=base, benchmark=benchmark)


def _metric(name: str, value: object, config: Config, *, muse: bool) -> _Read:
    """A metric of a full file (object with `agg_value`) or of a summary (number)."""
    changed = config.changed("muse" if muse else "tofu", name)
    if not isinstance(value, dict):
        return _Read(Number(number(value)), {}, changed)
    stated = number(value.get("agg_value"))
    rows = value.get("value_by_index")
    if isinstance(rows, list):
        rows = {str(place): row for place, row in enumerate(rows)}
    if not isinstance(rows, dict):
        return _Read(Number(stated), {}, changed)
    key = KEYS[name]
    usual = _scores(rows, _MUSE_SCORES if muse else _SCORES)
    if key.partition("@")[0].endswith("/truth_ratio"):
        aggregator, values = _truth(
            usual, stated, _named(changed, "aggregator"), forget=key.startswith("forget/")
        )
        if aggregator and not _named(changed, "aggregator"):
            changed = (*changed, f"aggregator={aggregator}")
        return _Read(mean_of(values.values(), stated), values, changed)
    column = _named(changed, "rouge_type")
    if name.endswith("_ROUGE"):
        default = "rougeL_f1" if muse else "rougeL_recall"
        column = column or _column(rows, stated, default)
        if column and column != default:
            usual = _scores(rows, (column,))
            changed = changed if _named(changed, "rouge_type") else (*changed, f"rouge_type={column}")
    return _Read(mean_of(usual.values(), stated), usual, changed)


def _named(changed: Iterable[str], setting: str) -> str:
    """The value that a change of the metric's own setting has, or ""."""
    return next((each.partition("=")[2] for each in changed if each.startswith(f"{setting}=")), "")


def _truth(
    raw: Mapping[str, float], stated: float, told: str, *, forget: bool
) -> tuple[str, dict[str, float]]:
    """How truth ratios were aggregated, "" as usual, and what the aggregate is the mean of.

    The file has r = p_wrong / p_true of every example, or p_true / (p_true + p_wrong) where the aggregator is
    `prob_mean`; which it is, the settings say, or else the aggregate that the file states.
    """
    known = {name: r for name, r in raw.items() if r >= 0}  # not NaN, and no sign that a ratio cannot have
    missing = {name: math.nan for name in raw if name not in known}
    ways = {
        "closer_to_1_better": {name: min(r, 1 / (r + SMALLEST)) for name, r in known.items()} | missing,
        "true_better": {name: max(0.0, 1 - r) for name, r in known.items()} | missing,
        "prob_mean": known | missing,
    }
    usual = "closer_to_1_better" if forget else "true_better"
    if told in ways:
        return told, ways[told]
    fits = [name for name in (usual, *ways) if _agrees(ways[name].values(), stated)]
    if math.isnan(stated) or not fits or fits[0] == usual:
        return "", ways[usual]
    return fits[0], ways[fits[0]]


def _agrees(values: Iterable[float], stated: float) -> bool:
    held = [value for value in values if not math.isnan(value)]
    return bool(held) and abs(sum(held) / len(held) - stated) <= _CLOSE * max(abs(stated), 1e-3)


def _column(rows: Mapping[str, object], stated: float, default: str) -> str:
    """Which ROUGE the stated value is the mean of; the default where none or it fits."""
    if math.isnan(stated) or _agrees(_scores(rows, (default,)).values(), stated):
        return default
    fitting = (name for name in _ROUGE if _agrees(_scores(rows, (name,)).values(), stated))
    return next(fitting, default)


def _scores(rows: Mapping[str, object], columns: Sequence[str]) -> dict[str, float]:
    """The number of each example that the aggregate is the mean of; NaN where it has none."""
    return {str(index): _score(row, columns) for index, row in rows.items()}


def _score(row: object, columns: Sequence[str]) -> float:
    if not isinstance(row, dict):
        return math.nan
    for name in columns:
        if name in row:
            value = row[name]
            if isinstance(value, list):  # several answers: their mean, as the tool takes it
                numbers = [number(each) for each in value]
                return sum(numbers) / len(numbers) if numbers else math.nan
            return number(value)
    return math.nan


def _key(usual: str, changed: Sequence[str]) -> str:
    """The metric's key; of one that was measured otherwise a key of its own, which says how."""
    if not changed:
        return usual
    role, _, rest = usual.partition("/")
    metric, _, chosen = rest.partition("@")
    card = METRICS[metric].card if metric in METRICS else foreign_card(metric)
    if card is None:
        return usual
    title = f"{card.title}{f', {chosen}' if chosen else ''} ({', '.join(changed)})".replace("@", " at ")
    return f"{role}/{card.direction(role)}:{title}"


def _say_what_lacks(found: Found, path: Path, name: str, value: object, read: _Read) -> None:
    """A line for a value that is none, and for examples without one."""
    stated = value.get("agg_value") if isinstance(value, dict) else value
    if math.isnan(number(stated)) and stated is not None:
        found.leave_out(path, f"{name} is {_shown(stated)}, not a number")
    lacking = sum(math.isnan(each) for each in read.rows.values())
    if lacking:
        found.leave_out(path, f"{name}: {lacking} of {len(read.rows)} examples have no value")


def _note_examples(
    columns: dict[str, dict[str, object]], key: str, usual: str, value: object, read: _Read, *, muse: bool
) -> None:
    """Values and texts of the examples, a row an example."""
    rows = value.get("value_by_index") if isinstance(value, dict) else None
    if isinstance(rows, list):
        rows = {str(place): row for place, row in enumerate(rows)}
    if not isinstance(rows, dict):
        return
    role = usual.partition("/")[0]
    prefix = usual.partition("@")[2] or role
    inverted = _named(read.changed, "aggregator") == "prob_mean"
    for index, row in rows.items():
        if not isinstance(row, dict):
            continue
        place = columns.setdefault(storable(f"{prefix} {index}"), {"role": role})
        place[key] = read.rows.get(str(index), math.nan)
        if usual == "forget/truth_ratio":
            score = _score(row, _MUSE_SCORES if muse else _SCORES)
            # The test of forget quality sees ranks only; with it, both kinds of ratio can be compared.
            place[RATIO] = (1 / score - 1 if score > 0 else math.nan) if inverted else score
        for theirs, ours in (("input", "prompt"), ("ground_truth", "answer"), ("generation", "generation")):
            if isinstance(row.get(theirs), str):
                place[ours] = storable(row[theirs])


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
    config: Config,
    notes: Iterable[str],
    *,
    muse: bool,
) -> Result:
    frame = pd.DataFrame([{"id": name, **row} for name, row in columns.items()])
    step = who.step if who.step is not None else _last_step(folder, who)
    settings: dict[str, object] = {**who.settings, **config.settings()}
    told = list(notes)
    return Result(
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


def _last_step(folder: Path, who: Named) -> float | None:
    """Steps that training took in all, where its state lies beside the results."""
    if who.part == "original":
        return None
    for place in (folder.parent, folder):
        state = place / "trainer_state.json"
        if state.is_file() and "checkpoint-" not in place.name:
            try:
                step = number(read_object(state).get("global_step"))
            except Unreadable:
                return None
            return None if math.isnan(step) else step
    return None


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | float | int | bool) else f"a {type(value).__name__}"
    return text if len(text) < 40 else f"{text[:37]}..."
