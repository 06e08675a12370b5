"""The relative question with an interval: is a model closer to the retained model or to the original?

The interval is Hartigan's (1969), of typical values: the closeness in random subsets of the probes (of all subsets, where
there are few) parts the line into pieces that are equally likely to hold the truth. It excludes 0 exactly where the paired
sign-flip test, which swaps original and retained at random, rejects at 5 %: that test is exact for any number of probes,
and the answer and its interval never disagree. Probes of one subject are drawn together.

Knows nothing of stores or studies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.metrics.relative import closeness, distances

Floats = NDArray[np.float64]
Groups = NDArray[np.intp]

CONFIDENCE = 0.95
ALL_SUBSETS = 12
"""Up to so many groups every subset is looked at."""
SUBSETS = 1999
MOST_GROUPS = 500
"""More groups than this are gathered into as many at random: memory stays the same, and the test stays exact."""
EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class References:
    """The two models that others are compared with, on the probes of one role.

    Attributes:
        metrics: keys of the metrics that both have.
        original: their values, shape (metrics, n), NaN where a probe lacks one in either model.
        retained: the same of the retained model.
    """

    metrics: tuple[str, ...]
    original: Floats
    retained: Floats


class Distances(NamedTuple):
    """Of one model on each probe, shape (n,) each; NaN where they cannot be told."""

    to_original: Floats
    to_retained: Floats


def compared(ours: Floats, references: References) -> Distances:
    """How far a model is from both.

    Args:
        ours: its values of the references' metrics, shape (metrics, n). A probe on which it lacks a metric that both
            references have counts not at all: with fewer metrics it would be another question.
        references: the two.
    """
    asked = ~np.isnan(references.original) & ~np.isnan(references.retained)
    told = asked.any(axis=0) & ~(asked & np.isnan(ours)).any(axis=0)
    sides = (distances(ours, side) for side in (references.original, references.retained))
    return Distances(*(np.where(told, side, np.nan) for side in sides))


def references(metrics: tuple[str, ...], original: Floats, retained: Floats) -> References:
    """Both models' values of the same metrics on the same probes, shape (metrics, n) each."""
    both = ~np.isnan(original) & ~np.isnan(retained)
    return References(metrics, np.where(both, original, np.nan), np.where(both, retained, np.nan))


def closeness_interval(found: Distances, groups: tuple[int, ...] = ()) -> tuple[float, float]:
    """95 % interval of the closeness; all of -1 to 1 where fewer than six probes (or groups) say anything.

    Args:
        found: distances on each probe.
        groups: number of the group of each probe; () where each stands alone.
    """
    known = ~np.isnan(found.to_original)
    near, far = found.to_retained[known], found.to_original[known]
    if groups:
        of = np.unique(np.asarray(groups, np.intp)[known], return_inverse=True)[1]
        near, far = (np.bincount(of, side) if len(of) else side for side in (near, far))
    says = near + far > 0  # a probe on which all three are alike bears on no answer
    return _interval(near[says], far[says])


def _interval(near: Floats, far: Floats) -> tuple[float, float]:
    count = len(near)
    if count > MOST_GROUPS:
        bundle = np.random.default_rng(count).permutation(count) % MOST_GROUPS
        near, far = np.bincount(bundle, near), np.bincount(bundle, far)
    if not len(near):
        return -1.0, 1.0
    chosen = _subsets(len(near))
    values = np.sort(closeness(chosen @ far, chosen @ near))
    beyond = int((1 - CONFIDENCE) / 2 * (len(values) + 1))
    if not beyond:
        return -1.0, 1.0
    low, high = float(values[beyond - 1]), float(values[-beyond])
    if high - low > EQUAL:
        return low, high
    # All groups agree. What was not seen among n may still be as common as this (for 36, a tenth), and at either end.
    unseen = 1 - ((1 - CONFIDENCE) / 2) ** (1 / count)
    return low - unseen * (1 + low), high + unseen * (1 - high)


@lru_cache(maxsize=16)
def _subsets(count: int) -> Floats:
    """Subsets that are not empty, one a row, 1 for what is in it, shape (subsets, count)."""
    if count <= ALL_SUBSETS:
        numbers = np.arange(1, 2**count)
        return ((numbers[:, None] >> np.arange(count)) & 1).astype(np.float64)
    drawn = np.random.default_rng([count, SUBSETS]).integers(0, 2, (SUBSETS, count)).astype(np.float64)
    drawn[drawn.sum(axis=1) == 0] = 1.0
    return drawn
