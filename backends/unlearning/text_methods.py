"""The text methods with the settings of their papers (as open-unlearning has them), and what each needs.

A new method is one loss in `text_losses.py`, one line where `text_training.py` calls it, and one entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from backends.errors import StudyError
from backends.unlearning.text_training import Method, MethodName, Schedule


@dataclass(frozen=True, slots=True)
class TextMethod:
    """A method as people choose it.

    Attributes:
        name: as on every page.
        about: one sentence.
        method: losses and their usual weights.
        needs: "refusals", "alternates" or "".
        source: paper.
    """

    name: str
    about: str
    method: Method
    source: str
    needs: str = ""


def _entry(
    name: str, loss: MethodName, about: str, source: str, needs: str = "", **settings: float
) -> TextMethod:
    return TextMethod(name, about, Method(loss, **settings), source, needs)  # type: ignore[arg-type]


METHODS: Mapping[str, TextMethod] = MappingProxyType(
    {
        each.name: each
        for each in (
            _entry("GradAscent", "GradAscent", "Makes the answers unlikely, without end: it collapses.",
                   "Jang et al. 2023"),
            _entry("GradDiff", "GradDiff", "Gradient ascent, with the retain rows trained on.", "Liu et al. 2022",
                   alpha=1.0),
            _entry("GradDiffKL", "GradDiff", "Gradient ascent, with the answers to retain rows held by KL.",
                   "Maini et al. 2024", keep=1.0),
            _entry("NPO", "NPO", "Ascent that fades as the answer is forgotten, against the frozen original.",
                   "Zhang et al. 2024", alpha=1.0, beta=0.1),
            _entry("SimNPO", "SimNPO", "NPO by length and without a reference.", "Fan et al. 2024",
                   gamma=0.125, alpha=1.0, beta=4.5),
            _entry("IdkNLL", "IdkNLL", "Learns to refuse; the answer stays inside.", "Maini et al. 2024",
                   "refusals", alpha=1.0),
            _entry("IdkDPO", "IdkDPO", "Prefers a refusal to the answer.", "Maini et al. 2024", "refusals",
                   alpha=1.0, beta=0.1),
            _entry("AltPO", "AltPO", "Prefers another answer of the same form.", "Mekala et al. 2024", "alternates",
                   alpha=1.0, beta=0.1),
            _entry("UNDIAL", "UNDIAL", "Distils itself with the true token's logit lowered.", "Dong et al. 2024",
                   beta=10.0),
            _entry("WGA", "WGA", "Ascent in which forgotten tokens are left alone.", "Wang et al. 2025",
                   alpha=1.0, beta=1.0),
            _entry("SatImp", "SatImp", "Ascent weighted by saturation and importance.", "Yang et al. 2025",
                   gamma=0.1, alpha=1.0, beta=5.0, beta2=1.0),
            _entry("CEU", "CEU", "Aims at its own prediction without the true token.", "Yang 2025"),
        )
    }
)  # fmt: skip
"""By name."""

LIMITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "lr": (1e-8, 1.0),
        "steps": (1, 100_000),
        "batch": (1, 1024),
        "retain_batch": (1, 1024),
        "warmup": (0, 10_000),
        "seed": (0, 2**31 - 1),
        "rank": (1, 1024),
        **dict.fromkeys(("gamma", "alpha", "keep"), (0.0, 1000.0)),
        "beta": (1e-6, 1000.0),
        "beta2": (0.0, 100.0),
        "delta": (-100.0, 100.0),
        "skip_first": (0, 1000),
    }
)
"""Least and most of every setting that can be chosen."""
_WHOLE = ("steps", "batch", "retain_batch", "warmup", "seed", "rank", "skip_first")
USUAL_RANK = 16
USUAL_RATE = 1e-4
"""For LoRA; the papers' 1e-5 is for all weights."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights, beside the model and the rows.

    Attributes:
        name: of the method.
        method: losses and weights.
        schedule: steps, rate, batches, seed, at which steps weights are kept.
        rank: of the LoRA matrices, where the original brings no adapter to start from.
    """

    name: str
    method: Method
    schedule: Schedule
    rank: int = USUAL_RANK


def recipe(name: str, settings: Mapping[str, str], checkpoints: int = 5) -> Recipe:
    """A method with some settings changed.

    Args:
        name: of the method, case does not matter.
        settings: name -> value as written.
        checkpoints: how many, evenly over the steps, the last step among them.

    Raises:
        StudyError: an unknown method or setting, or a value out of range, in one sentence.
    """
    known = {each.lower(): each for each in METHODS}
    if name.lower() not in known:
        raise StudyError(
            f"there is no method {name!r}", where="--method", how=f"There are: {', '.join(METHODS)}"
        )
    chosen = METHODS[known[name.lower()]]
    values = {key: _value(key, text) for key, text in settings.items()}
    steps = int(values.pop("steps", 60))
    kept = sorted({max(1, round(steps * place / checkpoints)) for place in range(1, checkpoints + 1)})
    schedule = Schedule(
        steps=steps,
        learning_rate=values.pop("lr", USUAL_RATE),
        batch=int(values.pop("batch", 16)),
        retain_batch=int(values.pop("retain_batch", 16)),
        warmup=int(values.pop("warmup", 2)),
        seed=int(values.pop("seed", 0)),
        checkpoints=tuple(kept),
    )
    rank = int(values.pop("rank", USUAL_RANK))
    own = {field.name for field in fields(Method)}
    changed = {key: int(value) if key in _WHOLE else value for key, value in values.items() if key in own}
    return Recipe(chosen.name, replace(chosen.method, **changed), schedule, rank)  # type: ignore[arg-type]


def _value(key: str, text: str) -> float:
    if key not in LIMITS:
        raise StudyError(f"there is no setting {key!r}", where="--set", how=f"There are: {', '.join(LIMITS)}")
    low, high = LIMITS[key]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high or (key in _WHOLE and value != int(value)):
        kind = "a whole number" if key in _WHOLE else "a number"
        raise StudyError(
            f"{key} is {text!r}, and {kind} from {low:g} to {high:g} was expected", where="--set"
        )
    return value
