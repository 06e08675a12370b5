"""How much of what was to be forgotten an attack recovers, between floor and ceiling under the same attack. Pure.

recovered = mean(u - f) / mean(c - f), with u, f, c the scores of the unlearned model, the floor (the retained model)
and the ceiling (the original) on each probe, all under the attack. 0: no more than a model that never saw the facts
gives. 1: as much as the original gives.

Its interval holds every r for which the paired test (`paired_tests`) does not reject that u - f - r (c - f) is 0 on
average (Fieller's construction with that test): it leaves out 0 exactly where the test says that u and f differ.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cache.analysis.paired_tests import LEAST_GROUPS, PairedTest, paired_tests
from cache.analysis.resampling import bootstrap_interval

Floats = NDArray[np.float64]

LEAST, MOST = -1.0, 2.0
"""Where the interval is looked for."""
STEPS = 16
"""Steps outwards on each side until the test rejects; beyond, it may accept again, where differences are all alike."""
HALVINGS = 6
"""How often the step in which an end lies is halved then: ends are right to .003."""
LEVEL = 0.05
REACH = 1.0
"""Largest difference of two scores: all of them are shares."""
SMALL = 1e-9
DECIMALS = 6
"""Scores that differ by less are equal: probabilities of 1e-12 are none."""


class Recovered(NamedTuple):
    """What an attack recovers of a model.

    Attributes:
        share: 0 as the floor, 1 as the ceiling; NaN where the two are not apart.
        low, high: its 95 % interval; infinite ends where it reaches beyond `LEAST` or `MOST` or cannot be told.
        p: that the model gives no more than the floor, two-sided; NaN without probes.
        unlearned, floor, ceiling: mean scores on the probes that all three have.
        n: such probes.
        groups: subjects that they are of; 0 where each stands for itself.
        apart: floor and ceiling differ significantly under the attack.
    """

    share: float
    low: float
    high: float
    p: float
    unlearned: float
    floor: float
    ceiling: float
    n: int
    groups: int
    apart: bool


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores under one attack on the same probes, shape (n,) each, NaN where there is none.

    Attributes:
        unlearned, floor, ceiling: of the three models.
        groups: subject of each probe, "" for one that stands alone.
    """

    unlearned: Floats
    floor: Floats
    ceiling: Floats
    groups: Sequence[Hashable]

    def known(self) -> Scores:
        """Of the probes that all three have a score on."""
        held = ~(np.isnan(self.unlearned) | np.isnan(self.floor) | np.isnan(self.ceiling))
        groups = [group for group, keep in zip(self.groups, held, strict=True) if keep]
        unlearned, floor, ceiling = (
            each[held].round(DECIMALS) for each in (self.unlearned, self.floor, self.ceiling)
        )
        return Scores(unlearned, floor, ceiling, groups)


def recovered(scores: Scores) -> Recovered:
    """What the attack recovers, with its interval; see the module."""
    held = scores.known()
    n = len(held.unlearned)
    if not n:
        unknown = math.nan
        return Recovered(unknown, unknown, unknown, unknown, unknown, unknown, unknown, 0, 0, False)
    over, room = held.unlearned - held.floor, held.ceiling - held.floor
    tests = _tests(np.stack([over, room], axis=1), held.groups)
    mine, both = tests
    means = float(held.unlearned.mean()), float(held.floor.mean()), float(held.ceiling.mean())
    least = _least_room(held)
    apart = both.mean > 0 and (both.p < LEVEL or least > 0)
    if not apart:
        return Recovered(math.nan, math.nan, math.nan, mine.p, *means, n, mine.groups, False)
    share = mine.mean / both.mean
    low, high = _interval(over, room, held.groups, share)
    if (
        least > 0
    ):  # where nearly all scores are alike the test rejects nothing: the difference by the least room
        low = low if math.isfinite(low) else min(mine.low, mine.low * both.mean / least) / both.mean
        high = high if math.isfinite(high) else max(mine.high, mine.high * both.mean / least) / both.mean
    for base, at in ((held.floor, 0.0), (held.ceiling, 1.0)):
        equal = held.unlearned - base
        if np.ptp(equal) < SMALL:  # no difference was seen: the test tells how many may still be there
            (test,) = _tests(equal[:, None], held.groups)
            low, high = min(low, at + test.low / both.mean), max(high, at + test.high / both.mean)
    if not mine.bounded:
        low, high = -math.inf, math.inf
    elif mine.p < LEVEL:  # halving and the test agree, but for what halving leaves open
        low, high = (max(low, SMALL), high) if share > 0 else (low, min(high, -SMALL))
    else:
        low, high = min(low, 0.0), max(high, 0.0)
    return Recovered(share, low, high, mine.p, *means, n, mine.groups, True)


def _least_room(held: Scores) -> float:
    """How far the intervals of floor and ceiling are apart, below 0 where they meet; NaN with too few subjects."""
    numbers: dict[Hashable, int] = {}
    groups = tuple(
        numbers.setdefault(each or ("", place), len(numbers)) for place, each in enumerate(held.groups)
    )
    if len(numbers) < LEAST_GROUPS:
        return math.nan
    together = groups if len(numbers) < len(groups) else ()
    floor, ceiling = (
        bootstrap_interval(each, bounds=(0.0, REACH), groups=together) for each in (held.floor, held.ceiling)
    )
    return ceiling.low - floor.high


def _interval(over: Floats, room: Floats, groups: Sequence[Hashable], share: float) -> tuple[float, float]:
    """Ends of what is not rejected: both are looked for by halving the stretch from the share outwards."""
    limits = np.array([min(LEAST, share - 1), max(MOST, share + 1)])
    steps = share + np.linspace(0, 1, STEPS + 1)[:, None] * (limits - share)
    found = _rejected(over, room, groups, steps.ravel()).reshape(steps.shape)
    found[0] = False
    beyond, first = ~found.any(axis=0), np.maximum(found.argmax(axis=0), 1)
    outer, inner = (np.take_along_axis(steps, place[None], axis=0)[0] for place in (first, first - 1))
    for _ in range(HALVINGS):
        middle = (inner + outer) / 2
        rejected = _rejected(over, room, groups, middle)
        inner, outer = np.where(rejected, inner, middle), np.where(rejected, middle, outer)
    low, high = np.where(beyond, [-math.inf, math.inf], inner)
    return float(low), float(high)


def _rejected(over: Floats, room: Floats, groups: Sequence[Hashable], shares: Floats) -> NDArray[np.bool_]:
    tests = _tests(over[:, None] - shares * room[:, None], groups)
    return np.array([test.p < LEVEL for test in tests])


def _tests(differences: Floats, groups: Sequence[Hashable]) -> list[PairedTest]:
    return paired_tests(differences, np.zeros_like(differences), groups=groups, reach=REACH)
