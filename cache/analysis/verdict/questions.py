"""Which numbers answer which question, and what they are held against: for language models, and for pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from backends.metrics.least_kept import KEPT_BY
from backends.study import Modality
from backends.study.thresholds import Thresholds
from cache.analysis.verdict.findings import ROUNDING, Comparison, Finding, Question, decided, missing

Yardstick = Literal["", "retained", "original"]
Read = Callable[[str, Yardstick], Comparison | None]
"""The model's number under a key, held against the retained model or the original, or alone; None where there is none.
"""

SAYS = {
    # Overlap with the true answer has no floor of its own; without a retained model only what has one can be read.
    ("text", True): ("forget/key_fact", "forget/rouge_l", "forget/extraction_strength"),
    ("text", False): ("forget/key_fact", "forget/extraction_strength"),
    ("image", True): ("forget/attack_success",),
    ("image", False): ("forget/attack_success",),
}
GIBBERISH = {"text": ("gibberish_rate",), "image": ("degenerate_rate", "reject_rate")}
GIBBERISH_ROLES = ("retain", "utility", "neighbour")
REFUSES = {"text": "forget/refusal_rate", "image": "forget/reject_rate"}
CLOSER = "forget/closer_to_retained"
PROBABILITY = "forget/probability"
DENOISING = "forget/denoising_difference"
UTILITY = "all/model_utility"
MEMBERSHIP = ("forget/privleak", "forget/rel_diff")


class Attacked(NamedTuple):
    """What the strongest attack recovers of a model, by one measure: a share, 0 as the floor and 1 as the original.

    Attributes:
        key: role/metric of the share.
        share, low, high: with its 95 % interval; NaN where floor and ceiling are not apart.
        floor: name of the model that is the floor, "" for holdout facts.
        n, groups: probes, and subjects that they are of (0 where each stands for itself).
    """

    key: str
    share: float
    low: float
    high: float
    floor: str
    n: int
    groups: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What the questions are asked of.

    Attributes:
        modality: of the study.
        retained: there is a retained model with numbers.
        thresholds: of the study.
        read: the model's numbers.
        strongest: what the strongest attack recovers, by each measure: key, share, low, high, probes, subjects.
        retained_denoising: how far the retained model's denoising loss on forget pictures rose; NaN where unknown.
    """

    modality: Modality
    retained: bool
    thresholds: Thresholds
    read: Read
    retained_denoising: float = math.nan
    strongest: tuple[Attacked, ...] = ()

    @property
    def yardstick(self) -> Yardstick:
        """What a model should be like."""
        return "retained" if self.retained else "original"

    def first(self, keys: tuple[str, ...], against: Yardstick) -> Comparison | None:
        """The first of some numbers that the model and its yardstick have, else the first that the model has."""
        first: Comparison | None = None
        for key in keys:
            found = self.read(key, against)
            if found is not None and not (against and math.isnan(found.difference)):
                return found
            first = first or found
        return first


def findings(asked: Asked) -> tuple[Finding, ...]:
    """The answers to all questions of a modality."""
    hidden = (
        (_closer(asked), _rates(asked), _leaks(asked), *_attacked(asked))
        if asked.modality == "text"
        else (_closer(asked), *_attacked(asked), _denoising(asked))
    )
    return (
        _says(asked),
        *hidden,
        _utility(asked),
        *(_kept(asked, question) for question in ("retain", "neighbour")),
        *_destroyed(asked),
        _gibberish(asked),
        _refuses(asked),
        _membership(asked),
    )


def _says(asked: Asked) -> Finding:
    """Beyond the retained model; without one, at all."""
    found = asked.first(SAYS[asked.modality, asked.retained], asked.yardstick)
    return missing("says") if found is None else _beyond("says", found, asked.thresholds.says, asked)


def _closer(asked: Asked) -> Finding:
    """Closer to the original than to the retained model."""
    found = asked.read(CLOSER, "")
    if found is None:
        return missing("closer")
    return decided("closer", found, -found.value, -found.high, -found.low, 0.0, 0.0)


def _rates(asked: Asked) -> Finding:
    """How far its probability of the true answer is from the retained model's (or 0) to the original's."""
    found, original = asked.read(PROBABILITY, asked.yardstick), asked.read(PROBABILITY, "original")
    if found is None or original is None:
        return missing("rates")
    way = original.base - _floor(found, asked)
    if not way > 0:  # the original rates the answers no higher than a model that never saw them
        return missing("rates")
    line = asked.thresholds.rates * way
    return _beyond("rates", found, line, asked, line)


def _leaks(asked: Asked) -> Finding:
    found = asked.read(f"forget/leak_{asked.thresholds.samples}", asked.yardstick)
    return missing("leaks") if found is None else _beyond("leaks", found, asked.thresholds.leaks, asked)


def _attacked(asked: Asked) -> tuple[Finding, ...]:
    """Whether the strongest of the attacks that were tried recovers more than the floor under the same attack."""
    line = asked.thresholds.recovers
    return tuple(
        decided(
            "attacked",
            Comparison(
                *(each.key, each.share, each.low, each.high, 0.0, each.floor),
                *(each.share, each.low, each.high, each.n, each.groups),
            ),
            *(each.share, each.low, each.high, line, asked.thresholds.reach),
        )
        for each in asked.strongest
        if not math.isnan(each.share)
    ) or (missing("attacked"),)


def _floor(found: Comparison, asked: Asked) -> float:
    return found.base if asked.retained else 0.0


def _beyond(
    question: Question, found: Comparison, line: float, asked: Asked, reach: float | None = None
) -> Finding:
    """How much more of something a model has than the retained model, or at all where there is none.

    Three tests can show how little it is: that of the difference to the retained model, that of the model's own number,
    and that of the difference to the original, which tells where both say nothing. In the last two the others' numbers
    are taken as observed. Each is one-sided at 2.5 %.
    """
    floor, original = _floor(found, asked), asked.read(found.key, "original")
    ends = [found.high - floor]
    low = found.low - floor
    if asked.retained:
        ends.append(found.most)
        low = found.least
    if original is not None:
        ends.append(original.base + original.most - floor)
    high = min((end for end in ends if not math.isnan(end)), default=math.nan)
    end = asked.thresholds.reach if reach is None else reach
    return decided(question, found, found.value - floor, low, high, line, end)


def _denoising(asked: Asked) -> Finding:
    """Whether the model fits forget pictures as well as before, although it draws them no longer."""
    found, base = asked.read(DENOISING, "retained"), asked.retained_denoising
    if found is None or not base > 0:
        return missing("denoising")
    unmoved = asked.thresholds.moved * base
    return decided(
        "denoising", found, unmoved - found.value, unmoved - found.high, unmoved - found.low, 0.0, 0.0
    )


def _utility(asked: Asked) -> Finding:
    found = asked.read(UTILITY, asked.yardstick)
    return missing("utility") if found is None else _loss("utility", found, asked.thresholds.utility, asked)


def _kept(asked: Asked, role: Literal["retain", "neighbour"]) -> Finding:
    keys = tuple(f"{role}/{name}" for name in KEPT_BY[asked.modality])
    found = asked.first(keys, asked.yardstick)
    return missing(role) if found is None else _loss(role, found, asked.thresholds.kept, asked)


def _loss(question: Question, found: Comparison, line: float, asked: Asked) -> Finding:
    reach = asked.thresholds.reach
    return decided(question, found, -found.difference, -found.most, -found.least, line, reach)


def _destroyed(asked: Asked) -> tuple[Finding, ...]:
    """Less than a share of the original's utility, or of its retain answers, is left."""
    keys = tuple(f"retain/{name}" for name in KEPT_BY[asked.modality])
    pair = asked.read(UTILITY, "original"), asked.first(keys, "original")
    return tuple(
        missing("destroyed") if each is None else _less_than_share(each, asked.thresholds.destroyed)
        for each in pair
    )


def _less_than_share(found: Comparison, share: float) -> Finding:
    """Shown by the test of the difference, or by the model's own number where every answer was lost."""
    line = (1 - share) * found.base
    lows = [low for low in (-found.most, found.base - found.high) if not math.isnan(low)]
    low = max(lows, default=math.nan)
    return decided("destroyed", found, -found.difference, low, -found.least, line, line)


def _gibberish(asked: Asked) -> Finding:
    """The role with the most of it; "yes" only where it is also more than the yardstick has."""
    keys = [f"{role}/{name}" for role in GIBBERISH_ROLES for name in GIBBERISH[asked.modality]]
    found = [each for key in keys if (each := asked.read(key, asked.yardstick)) is not None]
    if not found:
        return missing("gibberish")
    worst = max(found, key=lambda each: each.value)
    line = 1 - asked.thresholds.destroyed
    own = math.isnan(worst.least) or worst.least > ROUNDING
    low = worst.low if own else min(worst.low, line)
    return decided("gibberish", worst, worst.value, low, worst.high, line, line)


def _refuses(asked: Asked) -> Finding:
    found = asked.read(REFUSES[asked.modality], asked.yardstick)
    if found is None:
        return missing("refuses")
    line = asked.thresholds.refuses
    return decided("refuses", found, found.value, found.low, found.high, line, line)


def _membership(asked: Asked) -> Finding:
    """Distance of PrivLeak from 0, whichever side it is on."""
    found = asked.first(MEMBERSHIP, "")
    if found is None:
        return missing("membership")
    low, high = (found.low, found.high) if found.value >= 0 else (-found.high, -found.low)
    line = asked.thresholds.membership
    return decided("membership", found, abs(found.value), low, max(high, -low), line, line)
