"""Is a model closer to the retained model or to the original? From what all three did on the same probes.

Only shares from 0 to 1 are compared, so that no metric needs a scale of its own. Of a language model they are what its
scores of the true answer tell, not what it writes: a model that refuses has not forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backends.metrics.card import MetricCard, StudyMetric
from backends.study import Modality

Floats = NDArray[np.float64]
Closer = Literal["retained", "original", "undecided"]

COMPARED: Mapping[Modality, tuple[str, ...]] = MappingProxyType(
    {
        "text": ("probability", "exact_memorization", "extraction_strength", "truth_share"),
        "image": ("judge_confidence", "cross_domain_retain", "reject_rate"),
    }
)
"""Metrics that models are compared by, those that the probes of a role have: each a share, 0 to 1."""
WORDS: Mapping[Closer, str] = MappingProxyType(
    {"retained": "closer to retained", "original": "closer to original", "undecided": "undecided"}
)


def distances(ours: Floats, theirs: Floats) -> Floats:
    """How far apart two models are on each probe: the sum of the differences of their metrics, shape (n,).

    Args:
        ours: shape (metrics, n), each 0 to 1; NaN where a metric is not defined.
        theirs: the same of the other model.

    Returns:
        0 to the number of metrics; a metric without a value on either side counts nothing.
    """
    found: Floats = np.nansum(np.abs(ours - theirs), axis=0)
    return found


def closeness(to_original: ArrayLike, to_retained: ArrayLike) -> Floats:
    """(d_O - d_R) / (d_O + d_R), -1 to 1: 1 where the model is as the retained one, -1 where as the original.

    Args:
        to_original: distance to the original, or sums of such distances, any shape.
        to_retained: the same to the retained model.

    Returns:
        Above 0: closer to the retained model. 0 where neither is nearer, and where both are at no distance.
    """
    far, near = np.asarray(to_original, np.float64), np.asarray(to_retained, np.float64)
    both = far + near
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(both > 0, (far - near) / both, np.where(np.isnan(both), np.nan, 0.0))


def closer(low: float, high: float) -> Closer:
    """What an interval of the closeness says: undecided where it holds 0, or is unknown."""
    if low > 0:
        return "retained"
    return "original" if high < 0 else "undecided"


CLOSER_TO_RETAINED = StudyMetric(
    MetricCard(
        key="closer_to_retained",
        title="Closer to retained (+1) or original (−1)",
        question="forgetting",
        modality="text",
        formula=(
            r"\frac{\sum_i d(U_i, O_i) - d(U_i, R_i)}{\sum_i d(U_i, O_i) + d(U_i, R_i)},\quad "
            r"d(A_i, B_i) = \sum_m |m_i^A - m_i^B|"
        ),
        reading="1: on every probe as the retained model; −1: as the original; near 0: about as far from both. "
        "“Closer to retained” where the interval is above 0, “closer to original” where it is "
        "below, else “undecided”. Off the forget set neither is better: a model that left these probes "
        "alone is closer to the original, which it was made of.",
        on_forget="higher",
        elsewhere="neutral",
        low=-1.0,
        high=1.0,
        ideal="what a second retained model, trained with another seed, would have; 1 is this very model",
        interval="relative",
        needs=("retained model", "evidence of it and of the original on the same probes"),
        source=(
            "own, a paired form of the relative three-sample test (Bounliphone et al. 2016; Ribero, Schrab and Gretton "
            "2026, for unlearning). m: probability, exact memorisation, extraction strength and truth share; of "
            "pictures the judge's confidence, cross-domain accuracy and reject rate. Instead of a kernel distance "
            "between samples, distances on the same probe: a kernel distance calls a model that is far from both "
            "closer to whichever is more spread out. Models with targets of their own are not compared"
        ),
        trust="it says which of the two is nearer, not that either is near: a collapsed model can be closer to "
        "retained on forget probes, so look at the other roles too. The interval is over probes, not training seeds",
    )
)
