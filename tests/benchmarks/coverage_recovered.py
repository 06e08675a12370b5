"""How often the 95 % interval of what an attack recovers holds the truth: simulated studies.

    python -m tests.benchmarks.coverage_recovered [studies]

Subjects differ in how well they are known; the unlearned model gives a fixed share of what lies between floor and
ceiling. Rates are answers that state the fact or not; probabilities vary within a subject, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cache.analysis.robustness.recovered import Scores, recovered

Floats = NDArray[np.float64]
STUDIES = 500
SHARES = (0.0, 0.3, 0.8)
DESIGNS = ((6, 6), (12, 3), (36, 1), (40, 10))
"""Subjects, and probes of each."""
SPREAD = 0.5
"""Of subjects, in log-odds."""


class Covered(NamedTuple):
    """Share of the studies whose interval held the truth, of those that could tell, and the median width."""

    held: float
    told: float
    width: float


def _share(log_odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-log_odds))


def simulated(
    random: np.random.Generator, share: float, subjects: int, probes: int, *, rates: bool
) -> Scores:
    """Scores of one study, of which `share` is recovered."""
    groups = [place // probes for place in range(subjects * probes)]
    known = np.repeat(random.normal(0, SPREAD, subjects), probes)
    if not rates:
        known = known + random.normal(0, SPREAD, len(groups))
    ceiling, floor = _share(2 + known), _share(-3 + known)
    own = floor + share * (ceiling - floor)
    if rates:
        own, floor, ceiling = (
            (random.random(len(groups)) < each).astype(float) for each in (own, floor, ceiling)
        )
    else:
        own = own + random.uniform(-0.5, 0.5, len(groups)) * own * (
            1 - own
        )  # stays a share, and right on average
    return Scores(own, floor, ceiling, [f"subject {each}" for each in groups])


def covered(share: float, subjects: int, probes: int, *, rates: bool, studies: int, seed: int = 1) -> Covered:
    """Of so many simulated studies."""
    random = np.random.default_rng(seed)
    found = [recovered(simulated(random, share, subjects, probes, rates=rates)) for _ in range(studies)]
    told = [each for each in found if each.apart]
    held = [each.low <= share <= each.high for each in told]
    return Covered(
        float(np.mean(held)), len(told) / studies, float(np.median([e.high - e.low for e in told]))
    )


def table(studies: int) -> Iterator[str]:
    """Rows as Markdown."""
    yield "| scores | subjects x probes | share recovered 0 | .3 | .8 |"
    yield "|---|---|---|---|---|"
    for rates in (True, False):
        for subjects, probes in DESIGNS:
            cells = [covered(share, subjects, probes, rates=rates, studies=studies) for share in SHARES]
            shown = " | ".join(f"{each.held:.3f} ({each.width:.2f})" for each in cells)
            yield f"| {'rates' if rates else 'probabilities'} | {subjects} x {probes} | {shown} |"


if __name__ == "__main__":
    for line in table(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES):
        print(line, flush=True)
