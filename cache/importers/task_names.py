"""What the names of open-unlearning's tasks and folders say: base model, split, method, hyper-parameters, step.

Names are those of its scripts (`tofu_{model}_{split}_{trainer}`) and of its released checkpoints
(`unlearn_tofu_{model}_{split}_{method}_lr1e-05_beta0.1_alpha1_epoch5`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath

from backends.study import Part

METHODS = (
    "GradAscent", "GradDiff", "GradDiffKL", "IdkDPO", "DPO", "AltPO", "NPO", "SimNPO", "RMU", "UNDIAL", "WGA", "SatImp",
    "CEU", "PDU", "IdkNLL", "GRU",
)  # fmt: skip
SPLITS = {"retain99": "forget01", "retain95": "forget05", "retain90": "forget10"}
"""Split that a retained model has never seen."""

_NAMES = "lr|beta|alpha|gamma|delta|layer|scoeff|epoch|ep|wd|b|a|g|d|l|s"
_PARAMETER = re.compile(rf"^(?P<name>{_NAMES})(?P<value>[\d.]+(?:e-?\d+)?)$")
_LONG = {"b": "beta", "a": "alpha", "g": "gamma", "d": "delta", "ep": "epoch", "l": "layer", "s": "scoeff"}
_SPLIT = re.compile(r"(?:^|_)(?P<split>forget\d\d|News|Books)(?=_|$)")
_ENDS = r"forget\d\d|retain\d\d|News|Books|full|bio|cyber"
_MODEL = re.compile(rf"^(?:unlearn_)?(?P<set>tofu|muse|wmdp)_(?P<model>.+?)(?:_(?:{_ENDS})(?:_|$)|$)")


@dataclass(frozen=True, slots=True)
class Named:
    """What a path says of a run; "" and None where it says nothing.

    Attributes:
        model: name for people: the task, and the step where it is a checkpoint on the way.
        base: the language model.
        split: data that was to be forgotten.
        benchmark: TOFU, MUSE or WMDP.
    """

    model: str
    part: Part
    base: str = ""
    split: str = ""
    method: str = ""
    step: float | None = None
    line: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    benchmark: str = ""


def named(folder: PurePath) -> Named:
    """What the path of a folder with result files says.

    Args:
        folder: the one that holds `TOFU_EVAL.json` or the like.
    """
    parts = [part for part in folder.parts if part not in ("evals", "eval")]
    evals = next(
        (part for part in reversed(parts) if re.fullmatch(r"evals_(forget\d\d|News|Books)", part)), ""
    )
    parts = [part for part in parts if not part.startswith("evals_")]
    checkpoint = re.fullmatch(r"checkpoint-(\d+)", parts[-1]) if parts else None
    if checkpoint:
        parts = parts[:-1]
    task = parts[-1] if parts else folder.name
    step = float(checkpoint.group(1)) if checkpoint else None
    kept = re.search(r"_(retain\d\d|retrain|target|full)$", task)
    if kept:
        part: Part = "retained" if kept.group(1).startswith("ret") else "original"
        split = SPLITS.get(kept.group(1), evals.removeprefix("evals_") or _found(_SPLIT, task, "split"))
        return Named(
            task, part, _found(_MODEL, task, "model"), split, benchmark=_found(_MODEL, task, "set").upper()
        )
    method, settings = method_of(task)
    return Named(
        model=f"{task} step {step:g}" if step is not None else task,
        part="unlearned",
        base=_found(_MODEL, task, "model"),
        split=_found(_SPLIT, task, "split") or evals.removeprefix("evals_"),
        method=method,
        step=step,
        line=task,
        settings=settings,
        benchmark=_found(_MODEL, task, "set").upper(),
    )


def method_of(name: str) -> tuple[str, dict[str, object]]:
    """Method and hyper-parameters that a name holds: `npo_lr1e5_b01_a1_ep5` -> NPO, lr 1e5 as written, ..."""
    pieces = re.split(r"[_\s]+", name)
    known = {method.lower(): method for method in METHODS}
    method = next((known[piece.lower()] for piece in pieces if piece.lower() in known), "")
    settings: dict[str, object] = {}
    for piece in pieces:
        match = _PARAMETER.match(piece)
        if match:
            settings[_LONG.get(match["name"], match["name"])] = match["value"]
    return method, settings


def _found(pattern: re.Pattern[str], text: str, group: str) -> str:
    match = pattern.search(text)
    return match[group] if match else ""
