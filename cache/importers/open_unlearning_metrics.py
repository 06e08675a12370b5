"""One metric of open-unlearning's files: its number, the values of its examples, and whether it is the usual metric.

A truth ratio with another aggregator, a ROUGE of another column, a metric on paraphrased questions are other metrics
than those that papers report under the same name. Hydra's settings tell, or else the numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from backends.metrics import METRICS
from backends.metrics.foreign import foreign_card
from backends.metrics.key import MetricKey
from backends.metrics.open_unlearning import SMALLEST
from cache.importers.findings import auc_of, bounds_at, mean_of, number
from cache.importers.hydra import Config
from cache.store.results import MetricNumber

KEYS: Mapping[str, str] = {
    "forget_Q_A_Prob": "forget/probability",
    "forget_Q_A_PARA_Prob": "forget/paraphrased_probability",
    "forget_Q_A_ROUGE": "forget/rouge_l",
    "forget_Q_A_PARA_ROUGE": "forget/paraphrased_rouge",
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
        f"{short}_{theirs}": str(MetricKey("utility", ours, name))
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
_LOOKED_AT = 8
"""Examples whose losses are compared with their truth ratio."""
AGAINST_HALF = "against an AUC of 0.5"
RELATIVE: Mapping[str, float] = {"forget/privleak": -1.0, "forget/rel_diff": 1.0}
"""What is relative to the Min-K AUC of a retained model, and the sign with which that of the model itself counts."""
_CLOSE = 2e-4
"""Relative; what a stated mean may differ from that of the rows and still be taken for it."""


@dataclass(frozen=True, slots=True)
class ReadMetric:
    """A metric of a file: its number, the values of its examples, and its changed settings."""

    number: MetricNumber
    rows: Mapping[str, float]
    changed: tuple[str, ...] = ()


def read_metric(name: str, content: Mapping[str, Any], config: Config, *, muse: bool) -> ReadMetric:
    """A metric of a full file (object with `agg_value`) or of a summary (number)."""
    value = content[name]
    changed = config.changed("muse" if muse else "tofu", name)
    if not isinstance(value, dict):
        return ReadMetric(MetricNumber(number(value)), {}, changed)
    stated = number(value.get("agg_value"))
    key = KEYS[name]
    rows = _rows(value)
    if rows is None:
        forget, holdout = (_rows(_object(value.get(side))) for side in ("forget", "holdout"))
        if name.startswith("mia_") and forget and holdout:
            ours, theirs = (_scores(side, ("score",)).values() for side in (forget, holdout))
            return ReadMetric(auc_of(ours, theirs, stated), {}, changed)
        return ReadMetric(MetricNumber(stated), {}, changed)
    usual = _scores(rows, columns_of(muse=muse))
    read = MetricKey.parse(key)
    if read.metric == "truth_ratio":
        told = value_of(changed, "aggregator") or _form(name, content, usual)
        aggregator, values = _truth(usual, stated, told, forget=read.role == "forget")
        if aggregator and not value_of(changed, "aggregator"):
            changed = (*changed, f"aggregator={aggregator}")
        return ReadMetric(mean_of(values.values(), stated, bounds=bounds_at(key)), values, changed)
    column = value_of(changed, "rouge_type")
    if name.endswith("_ROUGE"):
        default = "rougeL_f1" if muse else "rougeL_recall"
        column = column or _column(rows, stated, default)
        if column and column != default:
            usual = _scores(rows, (column,))
            changed = changed if value_of(changed, "rouge_type") else (*changed, f"rouge_type={column}")
    return ReadMetric(mean_of(usual.values(), stated, bounds=bounds_at(key)), usual, changed)


def without_reference(
    metrics: Mapping[str, MetricNumber], config: Config, *, muse: bool
) -> dict[str, MetricNumber]:
    """The metrics, those that the tool compared with an AUC of 0.5 under keys of their own.

    That is what it does without a retained log. The AUC in the same file tells, or else the settings. Against 0.5 the
    interval is that of the AUC; against a retained model there is none, as the file lacks the scores of that model.
    """
    attack = metrics.get("forget/mia_min_k")
    found = dict(metrics)
    for key, turned in RELATIVE.items():
        if key not in metrics:
            continue
        value = metrics[key].value
        if attack is None:
            alone = config.without_log("muse" if muse else "tofu")
        else:
            alone = abs(value - turned * (attack.value - 0.5) / 0.5 * 100) <= 1e-6 * max(1.0, abs(value))
        if alone:
            found[key_of(key, (AGAINST_HALF,))] = _from_half(found.pop(key), attack, turned)
    return found


def _from_half(stated: MetricNumber, attack: MetricNumber | None, turned: float) -> MetricNumber:
    """A change of an AUC from 0.5, in per cent, with the ends that the AUC has."""
    if attack is None:
        return stated
    low, high = sorted(turned * (end - 0.5) / 0.5 * 100 for end in (attack.low, attack.high))
    return MetricNumber(stated.value, low, high, attack.n)


def value_of(changed: Iterable[str], setting: str) -> str:
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


def _form(name: str, content: Mapping[str, Any], scores: Mapping[str, float]) -> str:
    """`prob_mean` where the losses in the same file show that the scores are shares; "" where they do not.

    As long as every ratio is below 1, the aggregate of both is the plain mean and tells nothing.
    """
    stem = name[: -len("_truth_ratio")]
    true, wrong = (
        _object(_object(content.get(parent)).get("value_by_index"))
        for parent in (
            f"{stem}_Q_A_Prob" if stem in ("ra", "wf") else f"{stem}_Q_A_PARA_Prob",
            f"{stem}_Q_A_PERT_Prob",
        )
    )
    shares = []
    for index, score in islice(scores.items(), _LOOKED_AT):
        losses = _object(true.get(index)).get("avg_loss"), _object(wrong.get(index)).get("avg_loss")
        likely, others = (_mean_loss(each) for each in losses)
        if math.isnan(likely - others) or abs(likely - others) > 50 or math.isnan(score):
            continue
        ratio = math.exp(likely - others)
        share = 1 / (1 + ratio)
        shares.append(abs(score - share) < min(abs(score - ratio), 0.01 * share))
    return "prob_mean" if shares and all(shares) else ""


def _mean_loss(value: object) -> float:
    losses = [number(each) for each in value] if isinstance(value, list) else [number(value)]
    return sum(losses) / len(losses) if losses else math.nan


def _rows(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """Values of single examples by their number; None where there are none."""
    rows = value.get("value_by_index")
    if isinstance(rows, list):
        return {str(place): row for place, row in enumerate(rows)}
    return rows if isinstance(rows, dict) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _agrees(values: Iterable[float], stated: float) -> bool:
    held = [value for value in values if not math.isnan(value)]
    return bool(held) and abs(sum(held) / len(held) - stated) <= _CLOSE * max(abs(stated), 1e-3)


def _column(rows: Mapping[str, object], stated: float, default: str) -> str:
    """Which ROUGE the stated value is the mean of; the default where none or it fits."""
    if math.isnan(stated) or _agrees(_scores(rows, (default,)).values(), stated):
        return default
    fitting = (name for name in _ROUGE if _agrees(_scores(rows, (name,)).values(), stated))
    return next(fitting, default)


def columns_of(*, muse: bool) -> Sequence[str]:
    """Where an example's number is, the first that is there."""
    return _MUSE_SCORES if muse else _SCORES


def _scores(rows: Mapping[str, object], columns: Sequence[str]) -> dict[str, float]:
    """The number of each example that the aggregate is the mean of; NaN where it has none."""
    return {str(index): score_of(row, columns) for index, row in rows.items()}


def score_of(row: object, columns: Sequence[str]) -> float:
    """The number of one example, NaN where it has none."""
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


def key_of(usual: str, changed: Sequence[str]) -> str:
    """The metric's key; of one that was measured differently a key of its own, which says how."""
    if not changed:
        return usual
    key = MetricKey.parse(usual)
    role, metric = key.role, key.metric
    card = METRICS[metric].card if metric in METRICS else foreign_card(metric)
    if card is None:
        return usual
    better = card.direction(role)
    aggregator = value_of(changed, "aggregator")
    if metric == "truth_ratio" and aggregator:
        knows_more = aggregator != "closer_to_1_better"  # the other two grow with what the model knows
        better = "lower" if knows_more == (role == "forget") else "higher"
    title = f"{card.title}{f', {key.part}' if key.part else ''} ({', '.join(changed)})".replace("@", " at ")
    return str(MetricKey(role, f"{better}:{title}"))
