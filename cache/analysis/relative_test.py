"""The relative question with an interval: is a model closer to the retained model or to the original?

Whether the answer is sure is told by Hartigan's typical values (1969): the closeness in random subsets of the probes
(in all subsets, where there are few) parts the line into pieces that are equally likely to hold the truth. Their
interval excludes 0 where the paired sign-flip test, which swaps original and retained at random, rejects at 5 %: it is
exact for any number of probes, and the answer never disagrees with its interval. Probes of one subject go together.

Knows nothing of stores or studies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.metrics.key import MetricKey
from backends.metrics.relative import closeness, distances
from cache.analysis.resampling import (
    CONFIDENCE,
    MEAN_END,
    RESAMPLES,
    Groups,
    bootstrap_means,
    interval_of,
)

Floats = NDArray[np.float64]

ALL_SUBSETS = 12
"""Up to so many groups every subset is looked at."""
SUBSETS = 1999
MOST_GROUPS = 500
"""More groups than this are gathered into as many at random: memory stays the same, and the test stays exact."""
BESIDE_0 = 0.001
"""Where an interval ends that excludes 0, and whose resamples do not: still to be seen in three places."""


@dataclass(frozen=True, slots=True)
class References:
    """The two models that others are compared with, on the probes of one role.

    Attributes:
        metrics: keys of the metrics that both have values of, with their role.
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


def references(
    role: str, metrics: Iterable[str], original: Mapping[str, Floats], retained: Mapping[str, Floats]
) -> References | None:
    """Both models' values on the probes of one role; None where they have no metric in common there.

    Args:
        role: of the probes.
        metrics: those that models are compared by.
        original: role/metric -> a value for each probe of the role.
        retained: the same of the retained model.
    """
    keys = [str(MetricKey(role, metric)) for metric in metrics]
    keys = [key for key in keys if key in original and len(original[key]) == len(retained.get(key, ()))]
    if not keys:
        return None
    ours, theirs = (np.stack([values[key] for key in keys]) for values in (original, retained))
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    return References(tuple(keys), np.where(both, ours, np.nan), np.where(both, theirs, np.nan))


def compared(values: Mapping[str, Floats], against: References) -> Distances:
    """How far a model is from both.

    Args:
        values: role/metric -> its value for each probe of the role. A probe on which it lacks a metric that both have
            counts not at all: with fewer metrics it would be another question.
        against: the two.
    """
    unknown = np.full(against.original.shape[1], np.nan)
    ours = np.stack([values.get(key, unknown) for key in against.metrics])
    asked = ~np.isnan(against.original)
    told = asked.any(axis=0) & ~(asked & np.isnan(ours)).any(axis=0)
    sides = (distances(ours, side) for side in (against.original, against.retained))
    return Distances(*(np.where(told, side, np.nan) for side in sides))


def drawn_closeness(found: Distances, seed: int, groups: Groups = ()) -> Floats:
    """The closeness of a role, then that of every resample, shape (1 + RESAMPLES,); NaN where nothing is known.

    The resamples are those of every other number of the role (see `resampling`): random weights on the probes, and half
    a probe at each end of the range, here one of the mean distance that is as the one or as the other model.

    Args:
        found: distances on each probe.
        seed: of the role's weights.
        groups: number of the group of each probe; () where each stands alone.
    """
    sides = np.stack(found, axis=1)
    known = ~np.isnan(sides[:, 0])
    if not known.any():
        return np.full(1 + RESAMPLES, np.nan)
    far, near = bootstrap_means(sides, seed=seed, groups=groups).T
    count = len(np.unique(np.asarray(groups)[known])) if groups else int(known.sum())
    random = np.random.default_rng([seed, count])
    # The sum of the weights does not depend on how they are divided, so that it can be drawn alone.
    ends = random.standard_gamma(MEAN_END, (2, RESAMPLES)) / random.standard_gamma(count, RESAMPLES)
    usual = float(np.nanmean(sides.sum(axis=1)))
    value = closeness(np.nansum(found.to_original), np.nansum(found.to_retained))
    return np.append(value, closeness(far + usual * ends[0], near + usual * ends[1]))


def closeness_interval(found: Distances, drawn: Floats, groups: Groups = ()) -> tuple[float, float]:
    """95 % interval of the closeness; all of -1 to 1 where fewer than six probes (or groups) say anything.

    Whether it holds 0 is said by the typical values alone. To either side it also reaches as far as the resamples do:
    they know that few probes have not shown all there is.

    Args:
        found: distances on each probe.
        drawn: of `drawn_closeness`.
        groups: as there.
    """
    low, high = _typical(*_sums(found, groups))
    if not np.isnan(drawn[1:]).any():
        least, most = (float(end) for end in interval_of(drawn))
        low = min(low, max(least, BESIDE_0) if low > 0 else least)
        high = max(high, min(most, -BESIDE_0) if high < 0 else most)
    return low, high


def _sums(found: Distances, groups: Groups) -> tuple[Floats, Floats]:
    """Distances to the retained model and to the original of each group that says anything."""
    known = ~np.isnan(found.to_original)
    near, far = found.to_retained[known], found.to_original[known]
    if groups:
        of = np.asarray(groups, np.intp)[known]
        near, far = _by(of, near), _by(of, far)
    says = near + far > 0  # where all three are alike, nothing bears on the answer
    near, far = near[says], far[says]
    if len(near) > MOST_GROUPS:
        bundle = np.random.default_rng(len(near)).permutation(len(near)) % MOST_GROUPS
        near, far = _by(bundle, near), _by(bundle, far)
    return near, far


def _by(of: NDArray[np.intp], values: Floats) -> Floats:
    """Sums of the values with the same number."""
    return np.asarray(np.bincount(of, values), np.float64)


def _typical(near: Floats, far: Floats) -> tuple[float, float]:
    """Hartigan's interval: between the outermost pieces of the line that hold the truth in 5 % of cases together."""
    if not len(near):
        return -1.0, 1.0
    chosen = _subsets(len(near))
    values = np.sort(closeness(chosen @ far, chosen @ near))
    beyond = int((1 - CONFIDENCE) / 2 * (len(values) + 1))
    return (float(values[beyond - 1]), float(values[-beyond])) if beyond else (-1.0, 1.0)


@lru_cache(maxsize=16)
def _subsets(count: int) -> Floats:
    """Subsets that are not empty, one a row, 1 for what is in it, shape (subsets, count)."""
    if count <= ALL_SUBSETS:
        numbers = np.arange(1, 2**count)
        return ((numbers[:, None] >> np.arange(count)) & 1).astype(np.float64)
    drawn = np.random.default_rng([count, SUBSETS]).integers(0, 2, (SUBSETS, count)).astype(np.float64)
    drawn[drawn.sum(axis=1) == 0] = 1.0
    return drawn
