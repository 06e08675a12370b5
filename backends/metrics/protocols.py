"""Which definition of a metric a protocol takes: this tool's, unless the protocol's own scripts say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from backends.evidence import TextEvidence, TokenScores
from backends.metrics import METRICS, TextMetric, muse, open_unlearning
from backends.metrics.privacy import ATTACKS
from backends.metrics.retained_privacy import SMALLEST
from backends.study import Probe, ProtocolName


class ScoringProtocol(NamedTuple):
    """A named way of asking and scoring.

    Attributes:
        about: one sentence for people.
        values: metric key -> value of one probe, where it differs.
        attacks: attack key -> score of one answer, where it differs.
        deviations: metric key -> what differs, in words.
        floor: added to divisors of metrics of whole models.
    """

    about: str
    values: Mapping[str, Callable[[Probe, TextEvidence], float]]
    attacks: Mapping[str, Callable[[TokenScores, str], float]]
    deviations: Mapping[str, str]
    floor: float = 0.0


PROTOCOLS: Mapping[ProtocolName, ScoringProtocol] = MappingProxyType(
    {
        "corrected": ScoringProtocol(
            "True padding mask, the model's own chat template, answers scored without their end token.",
            {},
            {},
            {},
        ),
        "open-unlearning": ScoringProtocol(
            "As open-unlearning scores: its system prompt, end tokens scored and masked in attention, its epsilons.",
            open_unlearning.VALUES,
            open_unlearning.ATTACKS,
            open_unlearning.DEVIATIONS,
            SMALLEST,
        ),
        "muse": ScoringProtocol(
            "As MUSE's own scripts: questions without a chat template, ROUGE without stemming, answers cut.",
            muse.VALUES,
            muse.ATTACKS,
            muse.DEVIATIONS,
        ),
    }
)
"""By name, the default first."""


def values_of(protocol: ProtocolName, role: str) -> dict[str, Callable[[Probe, TextEvidence], float]]:
    """Metric key -> value of one probe, for all metrics that are reported for a role."""
    own = PROTOCOLS[protocol].values
    return {
        key: own.get(key, metric.value)
        for key, metric in METRICS.items()
        if isinstance(metric, TextMetric) and metric.card.reported_for(role)
    }


def attacks_of(protocol: ProtocolName) -> dict[str, Callable[[TokenScores, str], float]]:
    """Attack key -> score of one answer, given its token scores and its text."""
    return {**ATTACKS, **PROTOCOLS[protocol].attacks}
