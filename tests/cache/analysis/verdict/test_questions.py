"""Every rule at its boundary, with and without a retained model: numbers in, verdict out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from backends.study import Modality
from backends.study.thresholds import USUAL, Thresholds
from cache.analysis.verdict.findings import Comparison
from cache.analysis.verdict.questions import Asked, Yardstick, findings
from cache.analysis.verdict.rules import KINDS, Verdict, best_first, share_lost

NAN = math.nan
WIDTH = 0.02
"""Half of every interval, where none is given."""


@dataclass
class Numbers:
    """Numbers of one model by key: (own, retained's, original's), or an interval's ends with them."""

    given: dict[str, tuple[float, float, float]]
    width: dict[str, float] = field(default_factory=dict)

    def read(self, key: str, against: Yardstick) -> Comparison | None:
        if key not in self.given:
            return None
        own, retained, original = self.given[key]
        half = self.width.get(key, WIDTH)
        if not against:
            return Comparison(key, own, own - half, own + half, NAN, "", NAN, NAN, NAN, 36)
        base = retained if against == "retained" else original
        apart = own - base
        return Comparison(
            key, own, own - half, own + half, base, against, apart, apart - half, apart + half, 36
        )


GOOD = {
    "forget/key_fact": (0.03, 0.03, 0.95),
    "forget/closer_to_retained": (0.8, 1.0, -1.0),
    "forget/probability": (0.1, 0.1, 0.9),
    "forget/leak_128": (0.0, 0.0, 0.95),
    "forget/refusal_rate": (0.0, 0.0, 0.0),
    "forget/privleak": (2.0, 0.0, 90.0),
    "all/model_utility": (0.70, 0.70, 0.72),
    "retain/key_fact": (0.95, 0.95, 0.97),
    "neighbour/key_fact": (0.90, 0.90, 0.95),
    "retain/gibberish_rate": (0.0, 0.0, 0.0),
    "neighbour/gibberish_rate": (0.0, 0.0, 0.0),
}
PICTURES = {
    "forget/attack_success": (0.0, 0.0, 1.0),
    "forget/closer_to_retained": (0.8, 1.0, -1.0),
    "forget/denoising_difference": (0.2, 0.3, 0.0),
    "forget/reject_rate": (0.0, 0.1, 0.0),
    "all/model_utility": (0.9, 0.9, 0.95),
    "retain/in_domain_retain": (0.9, 0.9, 0.95),
    "neighbour/in_domain_retain": (0.9, 0.9, 0.95),
    "retain/degenerate_rate": (0.0, 0.0, 0.0),
}


def verdict(
    change: Mapping[str, tuple[float, float, float] | None] | None = None,
    *,
    width: dict[str, float] | None = None,
    retained: bool = True,
    modality: Modality = "text",
    thresholds: Thresholds = USUAL,
) -> Verdict:
    """The verdict on a model that is good but for what is changed; None takes a number away."""
    usual = GOOD if modality == "text" else PICTURES
    given = {key: value for key, value in {**usual, **(change or {})}.items() if value is not None}
    moved = 0.3 if retained else NAN
    numbers = Numbers(given, width or {})
    return Verdict("m", findings(Asked(modality, retained, thresholds, numbers.read, moved)))


@pytest.mark.parametrize("modality", ["text", "image"])
def test_a_model_like_the_retained_one_is_forgotten_and_harmless(modality: Modality) -> None:
    found = verdict(modality=modality)
    assert (found.forgetting, found.harm, found.kind) == ("forgotten", "none found", "forgotten")
    assert not found.damage and not found.open_questions


@pytest.mark.parametrize(
    ("own", "width", "forgetting"),
    [
        (0.03 + 0.05, 0.02, "forgotten"),  # on the threshold
        (0.03 + 0.08, 0.029, "not forgotten"),  # the whole interval is above
        (0.03 + 0.08, 0.03, "undecided"),  # it touches
        (0.03, 0.25, "forgotten"),  # as far as the reach
        (0.03, 0.26, "undecided"),  # further
    ],
)
def test_what_it_says_is_held_against_the_retained_model(own: float, width: float, forgetting: str) -> None:
    key = "forget/key_fact"
    assert verdict({key: (own, 0.03, 0.95)}, width={key: width}).forgetting == forgetting


@pytest.mark.parametrize(
    ("key", "own", "question"),
    [
        ("forget/closer_to_retained", -0.03, "closer"),
        ("forget/probability", 0.1 + 0.25 * 0.8 + 0.021, "rates"),
        ("forget/leak_128", 0.05 + 0.021, "leaks"),
    ],
)
def test_what_it_does_not_say_and_still_has_is_hidden(key: str, own: float, question: str) -> None:
    changed = {key: (own, *GOOD[key][1:])}
    found = verdict(changed)
    assert (found.forgetting, found.kind) == ("hidden", "hidden")
    assert [each.question for each in found.findings if each.outcome == "yes"] == [question]
    wide = verdict(changed, width={key: 0.3})
    assert wide.forgetting == "undecided"
    says = {"forget/key_fact": (0.2, 0.03, 0.95)}
    assert verdict(changed | says, width={"forget/key_fact": 0.3}).forgetting == "not forgotten"  # it leans


def test_touching_zero_is_not_closer_to_the_original() -> None:
    key = "forget/closer_to_retained"
    assert verdict({key: (-WIDTH, 1, -1)}).finding("closer").outcome == "undecided"
    assert verdict({key: (WIDTH, 1, -1)}).finding("closer").outcome == "no"
    assert verdict({key: (WIDTH / 2, 1, -1)}).finding("closer").outcome == "undecided"


def test_what_the_original_never_rated_cannot_be_rated_still() -> None:
    assert verdict({"forget/probability": (0.5, 0.4, 0.4)}).finding("rates").outcome == "missing"
    assert "rates" in verdict({"forget/probability": (0.5, 0.4, 0.4)}).untested


def test_leaks_are_those_within_the_samples_of_the_study() -> None:
    few = replace(USUAL, samples=1)
    assert "leaks" in verdict(thresholds=few).untested
    changed = {"forget/leak_1": (0.2, 0.0, 0.9)}
    assert verdict(changed, thresholds=few).forgetting == "hidden"
    assert verdict(changed).forgetting == "forgotten"


@pytest.mark.parametrize(
    ("key", "question", "line"),
    [
        ("all/model_utility", "utility", 0.05),
        ("retain/key_fact", "retain", 0.1),
        ("neighbour/key_fact", "neighbour", 0.1),
    ],
)
def test_a_loss_beyond_the_margin_is_damage_and_is_named(key: str, question: str, line: float) -> None:
    retained, original = GOOD[key][1:]
    lost = verdict({key: (retained - line - 0.021, retained, original)})
    assert (lost.forgetting, lost.harm, lost.kind) == ("forgotten", "damaged", "damaged")
    assert [each.question for each in lost.damage] == [question] == [lost.worst and lost.worst.question]
    assert share_lost(lost.damage[0]) == pytest.approx((line + 0.021) / retained)
    assert verdict({key: (retained - line - 0.019, retained, original)}).harm == "undecided"
    assert verdict({key: (retained - line, retained, original)}).harm == "none found"
    assert verdict({key: (retained, retained, original)}, width={key: 0.26}).harm == "undecided"
    assert verdict({key: (1.0, retained, original)}).harm == "none found"


def test_half_of_the_utility_or_of_the_answers_gone_is_destroyed() -> None:
    for key, line in (("all/model_utility", 0.36), ("retain/key_fact", 0.485)):
        retained, original = GOOD[key][1:]
        assert verdict({key: (line - 0.021, retained, original)}).harm == "destroyed", key
        found = verdict({key: (line - 0.019, retained, original)})
        assert (found.harm, found.finding("destroyed").outcome) == ("damaged", "undecided"), key
    gone = verdict({"all/model_utility": (0.1, 0.7, 0.72), "forget/key_fact": (0.9, 0.03, 0.95)})
    assert (gone.kind, gone.forgetting) == ("destroyed", "not forgotten")
    assert gone.finding("destroyed").outcome == "yes"  # of two findings the one that speaks against it


def test_gibberish_destroys_where_it_is_more_than_the_yardsticks() -> None:
    key = "neighbour/gibberish_rate"
    assert verdict({key: (0.521, 0.0, 0.0)}).harm == "destroyed"
    assert verdict({key: (0.519, 0.0, 0.0)}).harm == "none found"
    assert verdict({key: (0.9, 0.9, 0.9)}).harm == "none found"  # as the retained model's


@pytest.mark.parametrize("value", [12.1, -12.1])
def test_membership_is_told_on_either_side_of_0(value: float) -> None:
    key = "forget/privleak"
    width = {key: 2.0}
    assert verdict({key: (value, 0, 90)}, width=width).finding("membership").outcome == "yes"
    assert (
        verdict({key: (math.copysign(12.0, value), 0, 90)}, width=width).finding("membership").outcome
        == "undecided"
    )
    assert (
        verdict({key: (math.copysign(8.0, value), 0, 90)}, width=width).finding("membership").outcome == "no"
    )
    assert verdict({key: (value, 0, 90)}, width=width).kind == "forgotten"  # it stands beside the verdict
    assert verdict({key: None}).finding("membership").outcome == "missing"


def test_nothing_is_told_of_what_was_not_measured() -> None:
    asked = verdict({"forget/key_fact": None})
    assert (asked.forgetting, asked.kind) == ("not tested", "not tested")
    costs = dict.fromkeys(("all/model_utility", "retain/key_fact", "neighbour/key_fact"))
    assert verdict({**costs}).harm == "not tested"
    assert verdict({**costs, "retain/key_fact": GOOD["retain/key_fact"]}).harm == "none found"
    assert {"utility", "neighbour"} <= set(verdict({**costs}).untested)
    nothing = Verdict("m", findings(Asked("text", True, USUAL, lambda _key, _against: None)))
    assert (nothing.kind, nothing.harm, nothing.worst) == ("not tested", "not tested", None)
    assert {each.outcome for each in nothing.findings} == {"missing"}


def test_another_number_answers_where_the_yardstick_lacks_the_first() -> None:
    found = verdict({"retain/key_fact": (0.9, NAN, NAN), "retain/rouge_l": (0.9, 0.9, 0.9)}).finding("retain")
    assert found.measured is not None and found.measured.key == "retain/rouge_l"


def test_without_a_retained_model_it_must_say_nothing_at_all() -> None:
    alone = verdict(retained=False, width={"forget/key_fact": 0.1})
    assert (alone.forgetting, alone.harm) == ("forgotten", "none found")
    assert verdict({"forget/key_fact": (0.08, NAN, 0.95)}, retained=False).forgetting == "not forgotten"
    assert verdict({"forget/key_fact": (0.06, NAN, 0.95)}, retained=False).forgetting == "undecided"
    rated = {"forget/probability": (0.25 * 0.9 + 0.021, NAN, 0.9)}
    assert verdict(rated, retained=False).finding("rates").outcome == "yes"
    lost = {"neighbour/key_fact": (0.82, 0.82, 0.95)}
    assert verdict(lost).harm == "none found" and verdict(lost, retained=False).harm == "damaged"
    rouge = {"forget/key_fact": None, "forget/rouge_l": (0.3, NAN, 0.9)}
    assert verdict(rouge, retained=False).forgetting == "not tested"  # overlap has no floor of its own


def test_pictures_that_are_drawn_no_more_and_still_fit_are_hidden() -> None:
    key = "forget/denoising_difference"
    hidden = verdict({key: (0.03 - 0.021, 0.3, 0.0)}, modality="image")
    assert (hidden.forgetting, hidden.finding("denoising").outcome) == ("hidden", "yes")
    assert verdict({key: (0.03 - 0.019, 0.3, 0.0)}, modality="image").forgetting == "undecided"
    assert verdict({key: (0.03 + 0.021, 0.3, 0.0)}, modality="image").forgetting == "forgotten"
    assert "denoising" in verdict(modality="image", retained=False).untested
    drawn = {"forget/attack_success": (0.071, 0.0, 1.0)}
    assert verdict(drawn, modality="image").forgetting == "not forgotten"
    noise = {"retain/degenerate_rate": (0.53, 0.0, 0.0)}
    assert verdict(noise, modality="image").harm == "destroyed"


def test_the_best_is_first_and_of_equals_the_one_that_lost_least() -> None:
    def lost(share: float) -> tuple[float, float, float]:
        return (0.95 * (1 - share), 0.95, 0.97)

    worse, better = verdict({"retain/key_fact": lost(0.09)}), verdict({"retain/key_fact": lost(0.02)})
    damaged, hidden = verdict({"retain/key_fact": lost(0.3)}), verdict({"forget/leak_128": (0.5, 0, 0.95)})
    gone = verdict({"retain/key_fact": lost(0.9)})
    mixed = [gone, hidden, damaged, worse, better]
    assert best_first(mixed) == [better, worse, damaged, hidden, gone]
    assert [each.kind for each in best_first(mixed)] == sorted((e.kind for e in mixed), key=KINDS.index)
