"""Whether models meet a condition on one metric, with the chance of it over the resamples, and the best that do.

Plain arrays. The condition is that a number is no worse than a yardstick's by more than an allowance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from backends.metrics.card import Direction
from cache.analysis.frontier import Floats, costs
from cache.analysis.frontier_statistics import LEAST_RESAMPLES
from cache.analysis.resampling import CONFIDENCE

Outcome = Literal["pass", "borderline", "fail", "unknown"]
ROUNDING = 1e-12


class Met(NamedTuple):
    """How one model stands to a condition.

    Attributes:
        outcome: "pass" and "fail" where the 95 % interval is wholly on one side, else "borderline".
        chance: how often the condition holds over the resamples; NaN where there are none.
    """

    outcome: Outcome
    chance: float


def met(ours: Floats, base: Floats, allowance: Floats, better: Direction) -> Met:
    """Whether a model's number is at most the allowance worse than the yardstick's.

    Args:
        ours: shape (1 + B,): the model's value, then its resamples.
        base: the same for the yardstick, in the same resamples.
        allowance: the same, not negative; 0 where a number must not be worse at all.
        better: the metric's direction.
    """
    mine, theirs = (costs(each[:, None], (better,))[:, 0] for each in (ours, base))
    over = mine - theirs - allowance
    if np.isnan(over[0]):
        return Met("unknown", float("nan"))
    samples = over[1:][~np.isnan(over[1:])]
    if len(samples) < LEAST_RESAMPLES:
        return Met("pass" if over[0] <= ROUNDING else "fail", float("nan"))
    chance = float(np.mean(samples <= ROUNDING))
    tail = (1 - CONFIDENCE) / 2
    if chance >= 1 - tail and over[0] <= ROUNDING:
        return Met("pass", chance)
    if chance <= tail and over[0] > ROUNDING:
        return Met("fail", chance)
    return Met("borderline", chance)


def best_by_group(
    groups: Sequence[str], aim: Floats, better: Direction, found: Sequence[Met], candidates: Sequence[bool]
) -> dict[str, int | None]:
    """Position of the best candidate of every group, those that pass before the borderline; None where none may be.

    Args:
        groups: of each run, such as its method.
        aim: the metric to be good at; runs without a value are left out.
        better: its direction.
        found: how each run stands to the condition.
        candidates: runs that count at all.
    """
    cost = costs(aim[:, None], (better,))[:, 0]
    order = {"pass": 0, "borderline": 1}
    best: dict[str, int | None] = dict.fromkeys(groups)
    for place, group in enumerate(groups):
        if not candidates[place] or found[place].outcome not in order or np.isnan(cost[place]):
            continue
        held = best[group]
        if held is None or (order[found[place].outcome], cost[place]) < (
            order[found[held].outcome],
            cost[held],
        ):
            best[group] = place
    return best
