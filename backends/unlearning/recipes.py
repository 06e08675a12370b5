"""Everything that decides an unlearned model beside the original and the rows: method, weights of terms, schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from backends.unlearning.settings import Setting, kept_steps, values_of
from backends.unlearning.text_method import TextMethod


@dataclass(frozen=True, slots=True)
class Method:
    """What is minimised: gamma * forget loss + alpha * retain term + kappa * KL to the base + keep * KL on retain rows.

    Attributes:
        name: of the forget loss.
        gamma: weight of the forget loss.
        alpha: weight of the cross-entropy on retain rows (RMU: of the distance of their hidden states).
        kappa: weight of KL(base without adapter || model) on general rows.
        keep: weight of KL(model before its first step || model) on retain rows.
        beta: inverse temperature of NPO, SimNPO, IdkDPO and AltPO; what UNDIAL lowers; exponent of WGA and SatImp.
        beta2: second exponent of SatImp.
        delta: margin of SimNPO, nats per token.
        skip_first: answer tokens that CEU leaves out at the beginning; open-unlearning leaves out one.
        everywhere: 1 lets UNDIAL look at the prompt's positions, too, as open-unlearning does.
        layer: whose hidden states RMU steers, counted from 0.
        scale: length of RMU's target; how far task arithmetic goes back.
        bound: retain loss, nats per token, above which PDU's price rises.
        dual_rate: how fast that price moves; 0 leaves alpha as it is.
        own: settings of a method from a file, by name.
    """

    name: str
    gamma: float = 1.0
    alpha: float = 0.0
    kappa: float = 0.0
    keep: float = 0.0
    beta: float = 0.1
    beta2: float = 1.0
    delta: float = 0.0
    skip_first: int = 0
    everywhere: int = 0
    layer: int = 7
    scale: float = 2.0
    bound: float = 1.0
    dual_rate: float = 0.0
    own: tuple[tuple[str, float], ...] = ()

    def settings(self) -> dict[str, float]:
        """Values by name, as a loss reads them."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        del named["name"], named["own"]
        return {**named, **dict(self.own)}


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast: AdamW, linear warm-up, then constant or cosine."""

    steps: int
    learning_rate: float
    batch: int = 16
    retain_batch: int = 16
    general_batch: int = 8
    warmup: int = 2
    cosine: bool = False
    checkpoints: tuple[int, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights, beside the model and the rows.

    Attributes:
        name: of the method.
        method: losses and weights.
        schedule: steps, rate, batches, seed, at which steps weights are kept.
        rank: of the LoRA matrices, where the original brings no adapter to start from; 0 trains the weights themselves.
        stop_below: ends the run at the first checkpoint whose utility is below this share of what it was; 0 never.
    """

    name: str
    method: Method
    schedule: Schedule
    rank: int = 16
    stop_below: float = 0.0


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "lr": Setting(1e-8, 1.0, "Learning rate of AdamW. The papers' 1e-5 is for all weights; LoRA takes more.", 1e-4),
        "steps": Setting(1, 100_000, "Optimiser steps.", 60, whole=True),
        "batch": Setting(1, 1024, "Forget rows a step.", 16, whole=True),
        "retain_batch": Setting(1, 1024, "Retain rows a step.", 16, whole=True),
        "warmup": Setting(0, 10_000, "Steps in which the rate rises to its value.", 2, whole=True),
        "seed": Setting(0, 2**31 - 1, "The same recipe with the same seed gives the same weights.", 0, whole=True),
        "rank": Setting(0, 1024, "Rank of the LoRA; 0 trains the weights themselves.", 16, whole=True),
        "gamma": Setting(0.0, 1000.0, "Weight of the forget loss.", 1.0),
        "alpha": Setting(0.0, 1000.0, "Weight of the retain rows' own loss.", 0.0),
        "keep": Setting(0.0, 1000.0, "Weight of KL to the original on retain rows.", 0.0),
        "beta": Setting(1e-6, 1000.0, "Inverse temperature; UNDIAL: by how much a logit is lowered.", 0.1),
        "beta2": Setting(0.0, 100.0, "Second exponent.", 1.0),
        "delta": Setting(-100.0, 100.0, "Margin, nats per token.", 0.0),
        "skip_first": Setting(0, 1000, "First answer tokens that do not count; open-unlearning: 1.", 0, whole=True),
        "everywhere": Setting(0, 1, "1: positions of the prompt count, too, as in open-unlearning.", 0, whole=True),
        "layer": Setting(0, 1000, "Layer whose hidden states are steered, counted from 0.", 7, whole=True),
        "scale": Setting(0.0, 10_000.0, "RMU: length of the target. Task arithmetic: how far back.", 2.0),
        "bound": Setting(0.0, 100.0, "Retain loss above which its price rises, nats per token.", 1.0),
        "dual_rate": Setting(0.0, 100.0, "How fast that price moves.", 0.0),
        "stop_below": Setting(
            0.0, 1.0, "Stop at the first checkpoint with less than this share of the utility; 0.95: down 5 %.", 0.0
        ),
    }
)  # fmt: skip
"""Every setting of the text methods that a person may choose."""
_SHARED = ("lr", "steps", "batch", "retain_batch", "gamma", "alpha", "keep")
_LAST = ("warmup", "rank", "seed", "stop_below")


def settings_of(chosen: TextMethod) -> dict[str, Setting]:
    """What can be set for a method, in the order it is shown, with the method's own usual values."""
    keys = (*_SHARED, *chosen.uses, *_LAST)
    common = {key: SETTINGS[key] for key in keys}
    return {
        key: replace(setting, usual=chosen.usual.get(key, setting.usual))
        for key, setting in (common | dict(chosen.own)).items()
    }


def recipe(chosen: TextMethod, given: Mapping[str, str | float], checkpoints: int = 5) -> Recipe:
    """A method with some settings changed.

    Args:
        chosen: the method.
        given: name -> value, as written or as a number.
        checkpoints: how many, evenly over the steps, the last step among them.

    Raises:
        StudyError: an unknown setting, or a value out of range, in one sentence.
    """
    known = settings_of(chosen)
    values = values_of(given, known)
    steps = int(values["steps"])
    schedule = Schedule(
        steps=steps,
        learning_rate=values["lr"],
        batch=int(values["batch"]),
        retain_batch=int(values["retain_batch"]),
        warmup=int(values["warmup"]),
        seed=int(values["seed"]),
        checkpoints=kept_steps(steps, checkpoints),
    )
    own = tuple(sorted((key, values[key]) for key in chosen.own))
    names = {field.name for field in fields(Method)} & values.keys()
    terms = {key: int(values[key]) if known[key].whole else values[key] for key in sorted(names)}
    method = Method(chosen.name, own=own, **terms)  # type: ignore[arg-type]
    return Recipe(chosen.name, method, schedule, int(values["rank"]), values["stop_below"])
