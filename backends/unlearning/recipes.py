"""Everything that decides an unlearned model beside the original and the rows: method, weights of terms, schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from backends.unlearning.settings import Setting, Settings, Values, kept_steps, values_of
from backends.unlearning.text_method import TextMethod
from backends.unlearning.text_methods import FINE_TUNE, METHODS


@dataclass(frozen=True, slots=True)
class Objective:
    """gamma * forget loss + alpha * retain loss + kappa * KL to the base + keep * KL on retain rows.

    Attributes:
        method: name of the method whose forget loss it is.
        gamma: weight of the forget loss.
        alpha: weight of the retain loss: the cross-entropy of the retain rows, or what the method has in its place.
        kappa: weight of KL(base without adapter || model) on general rows.
        keep: weight of KL(model before its first step || model) on retain rows.
        own: values of the method's own settings; where one is not named, the method's usual value holds.
    """

    method: str
    gamma: float = 1.0
    alpha: float = 0.0
    kappa: float = 0.0
    keep: float = 0.0
    own: Settings = field(default_factory=dict)

    def settings(self, chosen: TextMethod) -> Values:
        """Values by name, as the method's functions read them."""
        usual = {key: setting.usual for key, setting in chosen.own.items()}
        weights = {"gamma": self.gamma, "alpha": self.alpha, "kappa": self.kappa, "keep": self.keep}
        return Values({**weights, **usual, **self.own})


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
        objective: losses and weights.
        schedule: steps, rate, batches, seed, at which steps weights are kept.
        rank: of the LoRA matrices, where the original brings no adapter to start from; 0 trains the weights themselves.
        stop_below: ends the run at the first checkpoint whose utility is below this share of what it was; 0 never.
    """

    name: str
    objective: Objective
    schedule: Schedule
    rank: int = 16
    stop_below: float = 0.0


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "lr": Setting(1e-8, 1.0, "Learning rate of AdamW. The papers' 1e-5 is for all weights; LoRA takes more.", 1e-4),
        "steps": Setting(1, 100_000, "Optimiser steps.", 60, whole=True),
        "batch": Setting(1, 1024, "Forget rows per step.", 16, whole=True),
        "retain_batch": Setting(1, 1024, "Retain rows per step.", 16, whole=True),
        "warmup": Setting(0, 10_000, "Warm-up steps.", 2, whole=True),
        "seed": Setting(0, 2**31 - 1, "The same recipe with the same seed gives the same weights.", 0, whole=True),
        "rank": Setting(0, 1024, "Rank of the LoRA; 0 trains all weights.", 16, whole=True),
        "gamma": Setting(0.0, 1000.0, "Weight of the forget loss.", 1.0),
        "alpha": Setting(0.0, 1000.0, "Weight of the retain loss.", 0.0),
        "keep": Setting(0.0, 1000.0, "Weight of KL to the original on retain rows.", 0.0),
        "stop_below": Setting(
            0.0, 1.0, "Stop at the first checkpoint whose utility is below this share of the original's; 0.95: "
                "down 5 %.", 0.0
        ),
    }
)  # fmt: skip
"""Settings that every text method has."""
_SHARED = ("lr", "steps", "batch", "retain_batch", "gamma", "alpha", "keep")
_LAST = ("warmup", "rank", "seed", "stop_below")


def settings_of(chosen: TextMethod) -> dict[str, Setting]:
    """What can be set for a method, in the order it is shown, with the method's own usual values."""
    shared, last = ({key: SETTINGS[key] for key in keys} for keys in (_SHARED, _LAST))
    known = {**shared, **chosen.own, **{key: last[key] for key in _LAST if key not in chosen.own}}
    return {
        key: replace(setting, usual=chosen.usual.get(key, setting.usual)) for key, setting in known.items()
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
    own = {key: int(values[key]) if known[key].whole else values[key] for key in chosen.own}
    objective = Objective(
        chosen.name, gamma=values["gamma"], alpha=values["alpha"], keep=values["keep"], own=own
    )
    return Recipe(chosen.name, objective, schedule, int(values["rank"]), values["stop_below"])


RECORDED: Mapping[str, float] = MappingProxyType(
    {
        "beta": 0.1,
        "beta2": 1.0,
        "delta": 0.0,
        "skip_first": 0,
        "everywhere": 0,
        "layer": 7,
        "scale": 2.0,
        "bound": 1.0,
        "dual_rate": 0.0,
    }
)
"""Settings that every recipe on disk names, with what stands there for a method that has none of the name.

They go into what tells one run from another, so they stay as they are: a run that was begun earlier goes on, and the
demo's recipes keep their identity. Settings of new methods are not added.
"""


def objective_record(objective: Objective) -> dict[str, Any]:
    """An objective as recipes on disk have it: settings outside `RECORDED`, and all of a person's method, in `own`."""
    weights = {key: getattr(objective, key) for key in ("gamma", "alpha", "kappa", "keep")}
    ours = objective.method in (*METHODS, FINE_TUNE.name)
    known = {**weights, **RECORDED}
    known |= {key: value for key, value in objective.own.items() if key in known}
    own = sorted([key, value] for key, value in objective.own.items() if not ours or key not in RECORDED)
    return {"name": objective.method, **known, "own": own}


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """A recipe as it stands in `recipe.json` and `run.json`."""
    return {
        "name": recipe.name,
        "method": objective_record(recipe.objective),
        "schedule": asdict(recipe.schedule),
        "rank": recipe.rank,
        "stop_below": recipe.stop_below,
    }
