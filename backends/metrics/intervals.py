"""How each kind of number gets its 95 % interval: name, one sentence and source, for the metrics' cards.

The arithmetic is in `cache.analysis.resampling`; `docs/statistics.md` has how often the intervals hold the truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from backends.metrics.card import MetricCard

_RUBIN = "Rubin 1981"
_SUBJECTS = "Probes of one subject are drawn together where the study names subjects"


class IntervalMethod(NamedTuple):
    """How a number gets its interval.

    Attributes:
        name: of the method; "none" where there is no interval.
        text: one sentence: what is done, or why there is none.
        source: paper, and what of it is ours; "" without a method.
        least: probes (subjects, where the study names them) below which the interval cannot be told; 0 without one.
    """

    name: str
    text: str
    source: str = ""
    least: int = 0

    def __str__(self) -> str:
        """All of it, as it stands on a card."""
        if not self.source:
            return f"{self.name}: {self.text}."
        short = f" Fewer than {self.least} probes or subjects: cannot be told." if self.least else ""
        return f"{self.name} ({self.source}): {self.text}.{short}"


RATE = IntervalMethod(
    "Jeffreys interval, by Bayesian bootstrap",
    "random weights on the probes and half a probe at 0 and at 1, so that no leak among few probes is not taken for "
    f"none at all. {_SUBJECTS}",
    f"{_RUBIN}; Brown, Cai and DasGupta 2001",
    2,
)
BOUNDED_MEAN = IntervalMethod(
    "Bayesian bootstrap with weight at both ends",
    f"random weights on the probes and half a probe at each end of the range. {_SUBJECTS}",
    f"{_RUBIN}; the ends, as in the Jeffreys interval of a rate, are ours",
    2,
)
UNBOUNDED_MEAN = IntervalMethod(
    "Bayesian bootstrap with weight beyond the extremes",
    "random weights on the probes and half a probe beyond each extreme of the sample, twice as far from it as it lies "
    f"from the median, and farther for few probes; unknown where all values are equal. {_SUBJECTS}",
    f"{_RUBIN}; the ends are ours",
    5,
)
AUC = IntervalMethod(
    "Bayesian bootstrap of both samples",
    "random weights on the forget and on the holdout probes, and a quarter of a probe at each end of both. "
    f"{_SUBJECTS}",
    f"{_RUBIN}; the ends are ours",
    2,
)
FROM_AUCS = IntervalMethod(
    "Bayesian bootstrap, from the AUCs",
    "worked out anew from the AUCs of this and of the retained model in each resample, which both share",
    f"{_RUBIN}; see the AUC's card",
    2,
)
MATCH = IntervalMethod(
    "Bayesian bootstrap, from the AUCs",
    "worked out anew from the AUCs of this and of the retained model in each resample, which both share; the variance "
    "that sampling gives to their difference is taken off its square, or two equal models would never match",
    f"{_RUBIN}; the correction is ours",
    2,
)
HARMONIC = IntervalMethod(
    "Bayesian bootstrap, from the parts",
    "worked out anew from all parts in each resample, with half a probe at each end of every part's range; what "
    f"resampling lowers a harmonic mean by is added. {_SUBJECTS}",
    f"{_RUBIN}; the ends and the correction are ours",
    2,
)
LEAST = IntervalMethod(
    "Bayesian bootstrap, from the parts",
    "the smallest of all parts in each resample, with half a probe at each end of every part's range; the retained "
    f"model's parts have the same weights. {_SUBJECTS}",
    f"{_RUBIN}; the ends are ours",
    2,
)
RELATIVE = IntervalMethod(
    "Typical values, and the Bayesian bootstrap",
    "holds 0 unless the exact sign-flip test, which swaps original and retained on each probe at random, rejects at 5 "
    f"%; and reaches at least as far as random weights with half a probe at each end do. {_SUBJECTS}",
    f"Hartigan 1969; {_RUBIN}; the two together are ours",
    6,
)
EXACT = IntervalMethod(
    "Exact interval",
    "of a share of the forget probes, with the threshold that the holdout probes gave taken as fixed",
    "Clopper and Pearson 1934",
)
PICTURES = IntervalMethod(
    "Jackknife over prompts with t",
    "as wide as leaving out each prompt with all its pictures says, and as skewed as 200 resamples of the prompts are",
    "Arvesen 1969; Efron 1979; the two together are ours",
    3,
)
NO_RESAMPLES = IntervalMethod(
    "None", "a resample holds some pictures twice, which shifts a distance between whole sets of pictures"
)
EXTREME = IntervalMethod("None", "it is the smallest of all probes, which resamples of them never go below")
P_VALUE = IntervalMethod("None", "it is a p-value, which already says how sure one may be")
MEASURED = IntervalMethod("None", "measured once, as a whole; no probes stand behind it")
IMPORTED = IntervalMethod(
    "As imported",
    "stated by the tool, or made from the values of single examples where its files have them; else none",
)

METHODS: Mapping[str, IntervalMethod] = MappingProxyType(
    {
        "rate": RATE,
        "auc": AUC,
        "from AUCs": FROM_AUCS,
        "match": MATCH,
        "harmonic": HARMONIC,
        "least": LEAST,
        "relative": RELATIVE,
        "extreme": EXTREME,
        "exact": EXACT,
        "pictures": PICTURES,
        "no resamples": NO_RESAMPLES,
        "p-value": P_VALUE,
        "measured": MEASURED,
        "imported": IMPORTED,
    }
)
"""By what a card says of its interval; "mean" depends on the range."""


def no_interval(card: MetricCard) -> str:
    """Why a number of this metric may have no interval, as one sentence."""
    method = interval_method(card)
    if method.least:
        unlike = " with values that differ" if method is UNBOUNDED_MEAN else ""
        return f"95 % interval: cannot be told from fewer than {method.least} probes or subjects{unlike}."
    return "No 95 % interval was imported." if method is IMPORTED else f"No 95 % interval: {method.text}."


def interval_method(card: MetricCard) -> IntervalMethod:
    """How a metric's numbers get their interval."""
    if card.interval != "mean":
        return METHODS[card.interval]
    bounded = card.reached and card.high is not None and math.isfinite(card.low)
    return BOUNDED_MEAN if bounded else UNBOUNDED_MEAN
