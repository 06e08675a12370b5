"""Membership attacks at a low false positive rate (TPR @ FPR): forget probes found while few holdout probes are
accused.

An average over all thresholds (the AUC) hides whether an attacker can be sure of anybody; this does not (Carlini et
al. 2022). With H holdout probes the false positive rate has steps of 1 / H: below that, the rate is the one at no false
positive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from backends.metrics.card import MetricCard, StudyMetric
from backends.metrics.privacy import ATTACK_NAMES

FALSE_ALARMS: Mapping[str, float] = MappingProxyType({"tpr1": 0.01, "tpr5": 0.05})
"""Ending of a metric's key -> false positive rate: share of holdout probes that may count as members."""


def found_members(
    forget: NDArray[np.float64], holdout: NDArray[np.float64], false_alarms: float
) -> tuple[int, int]:
    """How many forget probes score below a threshold that accuses at most this share of the holdout probes.

    Args:
        forget: scores, shape (F,), lower means more like a member; without NaN.
        holdout: scores, shape (H,), without NaN.
        false_alarms: 0 to 1.

    Returns:
        Found and all; (0, 0) where a side is empty.

    Source: Carlini et al. 2022, section 3; ties with the threshold accuse nobody.
    """
    if not len(forget) or not len(holdout):
        return 0, 0
    allowed = math.floor(false_alarms * len(holdout) + 1e-9)
    threshold = np.inf if allowed >= len(holdout) else np.sort(holdout)[allowed]
    return int(np.sum(forget < threshold)), len(forget)


@lru_cache(maxsize=4096)
def exact_interval(found: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, Clopper and Pearson 1934 (by SciPy): given the threshold, so the holdout is fixed."""
    from scipy.stats import binomtest

    interval = binomtest(found, n).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)


def detection_key(attack: str, ending: str) -> str:
    """Key of an attack's rate at a low false positive rate."""
    return f"{attack}_{ending}"


def _card(attack: str, ending: str) -> StudyMetric:
    per_cent = f"{100 * FALSE_ALARMS[ending]:g} %"
    return StudyMetric(
        MetricCard(
            key=detection_key(attack, ending),
            title=f"TPR @ {per_cent} FPR, {ATTACK_NAMES[attack]}",
            question="privacy",
            modality="text",
            formula=(
                r"\max_\tau \frac{1}{F}\sum_f \mathbf{1}[s_f < \tau]\ \ \text{where}\ \ "
                rf"\frac{{1}}{{H}}\sum_h \mathbf{{1}}[s_h < \tau] \le {FALSE_ALARMS[ending]:g}"
            ),
            reading="Share of the forget set that an attacker identifies at a false positive rate of at most "
            f"{per_cent} on the holdout set.",
            on_forget="lower",
            elsewhere="lower",
            low=0.0,
            high=1.0,
            ideal="the retained model's value",
            needs=(
                "answer",
                "holdout probes",
                *(("retained model",) if attack == "mia_reference" else ()),
            ),
            source=(
                "Carlini et al. 2022 (TPR at low FPR); exact interval of Clopper and Pearson. With fewer than "
                f"{round(1 / FALSE_ALARMS[ending])} holdout probes: at no false positive"
            ),
            roles=frozenset({"forget"}),
            interval="exact",
        )
    )


DETECTIONS: Mapping[str, StudyMetric] = MappingProxyType(
    {
        detection_key(attack, ending): _card(attack, ending)
        for attack in ATTACK_NAMES
        for ending in FALSE_ALARMS
    }
)
"""By metric key, every attack at every false positive rate."""
