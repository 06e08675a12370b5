"""Membership attacks measured against the retained model: what it gives away is what nobody could have hidden.

Both too much and too little is a leak: a model that finds the forget set stranger than the retained model does tells
that it was made to forget.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from backends.metrics.card import MetricCard, StudyMetric
from backends.metrics.privacy import ATTACK_NAMES

SMALLEST = 1e-10
"""What open-unlearning adds to a divisor."""
MATCHED = ("mia_loss", "mia_zlib", "mia_min_k", "mia_min_k_plus_plus")
"""Attacks that the privacy score is made of."""


def privacy_match(auc: NDArray[np.float64], retained: NDArray[np.float64]) -> NDArray[np.float64]:
    """How near an attack's AUC is to the retained model's: clip(1 - |AUC - AUC_ret| / AUC_ret, 0, 1).

    1 is the retained model's value. Under- and over-unlearning both lower it. NaN where AUC_ret is 0 or unknown.

    Source: OpenUnlearning's overall benchmark (s_x).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        match = np.clip(1.0 - np.abs(auc - retained) / retained, 0.0, 1.0)
    return np.where(retained > 0, match, np.nan)


def privleak(
    auc: NDArray[np.float64], retained: NDArray[np.float64], floor: float = 0.0
) -> NDArray[np.float64]:
    """PrivLeak, per cent: ((1 - AUC) - (1 - AUC_ret)) / (1 - AUC_ret) of Min-K %; 0 is the retained model's value.

    Below 0 the forget set is still known (under-unlearned), above 0 it is stranger than to the retained model. It
    explodes where AUC_ret is near 1, and is NaN where it is 1.

    Args:
        auc: 1 where the forget set is plainly known, any shape.
        retained: the same of the retained model.
        floor: added to the divisor; 0, or open-unlearning's 1e-10.

    Source: MUSE (Shi et al. 2024), eq. 3, whose AUC is 1 minus this one.
    """
    return _per_cent(1.0 - auc, 1.0 - retained, floor)


def relative_difference(
    auc: NDArray[np.float64], retained: NDArray[np.float64], floor: float = 0.0
) -> NDArray[np.float64]:
    """(AUC - AUC_ret) / AUC_ret of Min-K %, per cent; 0 is the retained model's value. NaN where AUC_ret is 0.

    Source: open-unlearning's rel_diff; arguments as for `privleak`.
    """
    return _per_cent(auc, retained, floor)


def _per_cent(ours: NDArray[np.float64], theirs: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        change = (ours - theirs) / (theirs + floor) * 100.0
    return np.where(theirs + floor > 0, change, np.nan)


def match_key(attack: str) -> str:
    """Key of the metric that says how near one attack is to the retained model's value."""
    return f"{attack}_match"


def _match_card(attack: str) -> StudyMetric:
    name = ATTACK_NAMES[attack]
    return StudyMetric(
        MetricCard(
            key=match_key(attack),
            title=f"Membership match with the retained model, {name}",
            question="privacy",
            modality="text",
            formula=(
                r"s = \mathrm{clip}\left(1 - \frac{|\mathrm{AUC} - \mathrm{AUC}^{\text{ret}}|}"
                r"{\mathrm{AUC}^{\text{ret}}}, 0, 1\right)"
            ),
            reading="1 means that the attack does exactly as well as on the retained model.",
            on_forget="higher",
            elsewhere="higher",
            low=0.0,
            high=1.0,
            ideal="1",
            needs=("retained model", "answer", "holdout probes"),
            source="OpenUnlearning's overall benchmark, s_x",
            roles=frozenset({"forget"}),
            interval="match",
        )
    )


MATCHES: Mapping[str, StudyMetric] = MappingProxyType(
    {match_key(attack): _match_card(attack) for attack in MATCHED}
)
"""s_x of each attack, by metric key."""

PRIVACY = StudyMetric(
    MetricCard(
        key="privacy",
        title="Privacy (attacks match the retained model)",
        question="privacy",
        modality="text",
        formula=(
            r"\frac{4}{\sum_a 1/s_a},\quad s_a = \mathrm{clip}"
            r"\left(1 - \frac{|\mathrm{AUC}_a - \mathrm{AUC}_a^{\text{ret}}|}{\mathrm{AUC}_a^{\text{ret}}}, 0, 1\right)"
        ),
        reading="1 means that four membership attacks do exactly as well as on the retained model.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="1",
        needs=("retained model", "answer", "holdout probes"),
        source="OpenUnlearning's overall benchmark: harmonic mean of s_x over loss, zlib, Min-K % and Min-K %++",
        roles=frozenset({"forget"}),
        interval="match",
    )
)

PRIVLEAK = StudyMetric(
    MetricCard(
        key="privleak",
        title="PrivLeak (%)",
        question="privacy",
        modality="text",
        formula=(
            r"100 \cdot \frac{(1 - \mathrm{AUC}) - (1 - \mathrm{AUC}^{\text{ret}})}"
            r"{1 - \mathrm{AUC}^{\text{ret}}},\quad \text{Min-40 \%}"
        ),
        reading="0 is the retained model's value. Below 0: under-unlearned, the forget set is still known. "
        "Above 0: over-unlearned, it is unusually unfamiliar.",
        on_forget="zero",
        elsewhere="zero",
        low=-100.0,
        high=None,
        ideal="0",
        needs=("retained model", "answer", "holdout probes"),
        source=(
            "MUSE (Shi et al. 2024), eq. 3; explodes where the retained model's AUC is near 1. Undefined without a "
            "retained model, where open-unlearning takes AUC 0.5"
        ),
        roles=frozenset({"forget"}),
        interval="from AUCs",
    )
)

REL_DIFF = StudyMetric(
    MetricCard(
        key="rel_diff",
        title="Membership AUC against retained (%)",
        question="privacy",
        modality="text",
        formula=(
            r"100 \cdot \frac{\mathrm{AUC} - \mathrm{AUC}^{\text{ret}}}{\mathrm{AUC}^{\text{ret}}},"
            r"\quad \text{Min-40 \%}"
        ),
        reading="0 is the retained model's value. Above 0: under-unlearned, the forget set is still known. "
        "Below 0: over-unlearned, it is unusually unfamiliar.",
        on_forget="zero",
        elsewhere="zero",
        low=-100.0,
        high=None,
        ideal="0",
        needs=("retained model", "answer", "holdout probes"),
        source="open-unlearning's rel_diff",
        roles=frozenset({"forget"}),
        interval="from AUCs",
    )
)
