"""What the ladder tells of a model in words: a verdict in a sentence, and why a cell tells nothing. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.shared.verdict_words import per_cent
from backends.study import Modality
from backends.study.thresholds import USUAL
from cache.analysis.paired_tests import LEAST_GROUPS
from cache.analysis.robustness.ladder import MARGIN, PLAIN, STRONGEST, Ladder, Measure, Rung

Kind = Literal["not forgotten", "hidden", "forgotten so far", "undecided", "not tested"]
"""Names of marks that badges have, too: see `app/components/verdict_badge.js`."""
KIND_WORDS: dict[Kind, str] = {
    "not forgotten": "Not erased",
    "hidden": "Hidden",
    "forgotten so far": "Erased, as far as tested",
    "undecided": "Undecided",
    "not tested": "Not tested",
}
MEASURE_WORDS: dict[Modality, dict[Measure, str]] = {
    "text": {"says": "What it says", "rates": "How it rates the answer"},
    "image": {"says": "What it draws", "rates": "How it rates the picture"},
}
FLOORS = {"retained": "the retained model", "holdout": "facts that nobody was taught"}
STILL_RATES = USUAL.rates
"""Share of the way to the original from which on the verdict says that a model still rates the answers."""
PLAINLY = "Asked plainly"
STRONGEST_TITLE = "Strongest attack, picked on other subjects"


@dataclass(frozen=True, slots=True)
class Said:
    """The verdict on one model: its kind, and why in a sentence."""

    model: str
    kind: Kind
    sentence: str


def robustness_sentence(found: Ladder, model: str, modality: Modality) -> Said:
    """Whether attacks bring back what a model was to forget: the one that tells most, with its number.

    What it says weighs more than how it rates the answer, and being asked plainly more than an attack.
    """
    says, rates = found.of(model, "says"), found.of(model, "rates")
    attacks = [each for each in (*says, *rates) if each.attack not in (PLAIN, STRONGEST)]
    verb = "draws" if modality == "image" else "says"
    plain = next((each for each in says if each.attack == PLAIN), None)
    if plain is not None and plain.told == "recovers":
        return Said(
            model,
            "not forgotten",
            f"Asked plainly it {verb} {_of_original(plain)}: there is nothing to hide.",
        )
    best = _best(says)
    if best is not None:
        before = f"; asked plainly, {_share(plain)}" if plain is not None and _known(plain) else ""
        return Said(
            model, "hidden", f"Under {titles_of(best, found)} it {verb} {_of_original(best)}{before}."
        )
    plain_rates = next((each for each in rates if each.attack == PLAIN), None)
    if plain_rates is not None and plain_rates.found.low > STILL_RATES:
        gap = per_cent(max(0.0, plain_rates.found.share))
        return Said(
            model,
            "hidden",
            f"It {verb} nothing of it, but rates the true answers at {gap} of the way from "
            f"{FLOORS[plain_rates.floor_is]} to the original{_interval(plain_rates)}.",
        )
    best = _best(rates)
    if best is not None:
        return Said(
            model,
            "hidden",
            f"Under {titles_of(best, found)} it rates the true answers at {per_cent(best.found.share)} of the way from "
            f"{FLOORS[best.floor_is]} to the original{_interval(best)}.",
        )
    if not attacked(found, model):
        return Said(model, "not tested", "No attack has been tried on it yet.")
    return _nothing(model, attacks, [*says, *rates], found)


def attacked(found: Ladder, model: str) -> bool:
    """Whether an attack was tried on a model; sampling is told by the plain evaluation."""
    tried = {each.attack for each in found.rungs if each.model == model} & set(found.attacks)
    return any(found.attacks[key].family != "sampling" for key in tried)


def _nothing(model: str, attacks: Sequence[Rung], rungs: Sequence[Rung], found: Ladder) -> Said:
    """No attack brings back anything for sure: because there is nothing, or because nobody can tell."""
    counted = [each for each in attacks if each.told != "cannot tell"]
    names = {each.attack for each in counted}
    silent = len({each.attack for each in attacks} - names)
    untried = sum(model in lacking for lacking in found.waiting.values())
    more = f" {silent} more cannot tell." if silent else ""
    more += f" {untried} more {'were' if untried > 1 else 'was'} not tried on it." if untried else ""
    if not names:
        why = why_not(attacks[0], found, attacks[0].attack, model)
        return Said(model, "undecided", f"No attack can tell: {why}.")
    strongest = [each for each in rungs if each.attack == STRONGEST]
    open_yet = [each for each in rungs if each.told in ("undecided", "recovers")]
    if not open_yet:
        return Said(
            model,
            "forgotten so far",
            f"{_none_of(len(names))} more than {per_cent(MARGIN)} of what the original gives "
            f"beyond {FLOORS[counted[0].floor_is]}.{more}",
        )
    top = max(open_yet, key=lambda each: (min(each.found.high, 1.0), each.found.share))
    if strongest and not any(each in open_yet for each in strongest):
        most = max((each for each in strongest if _known(each)), key=lambda each: each.found.high)
        alone = (
            f" Alone, {titles_of(top, found)} is not that sure: up to {per_cent(min(top.found.high, 1.0))}."
        )
        return Said(
            model,
            "forgotten so far",
            f"Nothing comes back: the strongest of {len(names)} attacks recovers {_share(most)} of what the original "
            f"gives{_interval(most)}.{alone}{more}",
        )
    top = max(
        (each for each in open_yet if not strongest or each.attack == STRONGEST), key=lambda e: e.found.high
    )
    what = "what the original says" if top.measure == "says" else "how the original rates the answers"
    reach = f"up to {per_cent(top.found.high)}" if top.found.high < 1 else "all"
    return Said(
        model,
        "undecided",
        f"Nothing is proven, but {titles_of(top, found)} may bring back {reach} of {what}, as far as "
        f"{top.found.n} facts tell ({_share(top)} measured).{more}",
    )


def _best(rungs: Sequence[Rung]) -> Rung | None:
    """What recovers for sure: the strongest, cross-fitted.

    Where there is none, that of those that stay so, when it is counted how many were tried, which recovers most.
    """
    strongest = next((each for each in rungs if each.attack == STRONGEST), None)
    if strongest is not None:
        return strongest if strongest.told == "recovers" else None
    sure = [each for each in rungs if each.attack != PLAIN and each.sure]
    return max(sure, key=lambda each: each.found.share, default=None)


def titles_of(rung: Rung, found: Ladder) -> str:
    """The attack's name in quotes; of the strongest, those that were picked."""
    if rung.attack == PLAIN:
        return "the plain question"
    keys = rung.picked if rung.attack == STRONGEST else (rung.attack,)
    return " or ".join(f"“{found.attacks[key].title}”" for key in keys)


def title_of(attack: str, found: Ladder) -> str:
    """What a row is called."""
    return {PLAIN: PLAINLY, STRONGEST: STRONGEST_TITLE}.get(attack) or found.attacks[attack].title


def why_not(rung: Rung | None, found: Ladder, attack: str, model: str) -> str:
    """Why a cell of the ladder tells nothing, in a few words; "" where it does."""
    if rung is None:
        if attack == STRONGEST:
            return "no attack that tells, or too few subjects to pick on one half and count on the other"
        if model in found.waiting.get(attack, ()):
            return "not tried yet"
        return "not tried on the original yet" if found.waiting.get(attack) else "nothing is evaluated yet"
    if rung.told != "cannot tell":
        return ""
    if not rung.floor_is:
        return "there is no floor: neither a retained model nor holdout facts"
    if not rung.found.n:
        return "no fact that it, the floor and the original were all asked"
    units = rung.found.groups or rung.found.n
    if units < LEAST_GROUPS:
        things = "subject" if rung.found.groups else "fact"
        return (
            f"{units} {things} is too few to tell" if units == 1 else f"{units} {things}s are too few to tell"
        )
    floor, ceiling = rung.found.floor, rung.found.ceiling
    if ceiling <= floor:
        return f"the original gives {ceiling:.2f} under it, no more than the floor’s {floor:.2f}"
    return f"floor {floor:.2f} and original {ceiling:.2f} are not apart"


def _known(rung: Rung) -> bool:
    return not math.isnan(rung.found.share)


def _share(rung: Rung | None) -> str:
    return "unknown" if rung is None or not _known(rung) else per_cent(max(0.0, rung.found.share))


def _of_original(rung: Rung) -> str:
    return f"{_share(rung)} of what the original does{_interval(rung)}"


def _interval(rung: Rung) -> str:
    low, high = rung.found.low, rung.found.high
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f" (95 % interval {_signed(low)} to {_signed(high)})"


def _signed(share: float) -> str:
    return per_cent(share).replace("-0 %", "0 %").replace("-", "\N{MINUS SIGN}")


def _none_of(count: int) -> str:
    return (
        f"None of {count} attacks brings back"
        if count > 1
        else "The one attack that tells does not bring back"
    )
