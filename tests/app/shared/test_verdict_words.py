"""The verdict's sentences are true of its numbers, in every case that changes the grammar."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from app.shared.verdict_badges import SO_FAR, badge_mark, badge_word, badges
from app.shared.verdict_sureness import how_sure
from app.shared.verdict_words import (
    changed_thresholds,
    choice_lines,
    headline,
    threshold_lines,
    verdict_sentence,
)
from backends.study import Modality
from backends.study.thresholds import USUAL, Thresholds
from cache.analysis.verdict.findings import Comparison, Finding, Outcome, Question, missing
from cache.analysis.verdict.methods import Method
from cache.analysis.verdict.rules import Verdict

QUESTIONS: tuple[Question, ...] = (
    "says",
    "rates",
    "leaks",
    "utility",
    "retain",
    "neighbour",
    "destroyed",
    "gibberish",
    "refuses",
    "membership",
)
KEYS = {
    "membership": "forget/privleak",
    "says": "forget/key_fact",
    "rates": "forget/probability",
    "utility": "all/model_utility",
}


def found(question: Question, outcome: Outcome, value: float, lost: float = 0.0, n: int = 36) -> Finding:
    key = KEYS.get(question, f"{question}/key_fact")
    base = value + lost
    measured = Comparison(key, value, value, value, base, "Retained", -lost, -lost, -lost, n)
    return Finding(question, outcome, measured, lost, lost, lost, 0.05)


def verdict(*given: Finding, model: str = "NPO 45") -> Verdict:
    held = {each.question: each for each in given}
    return Verdict(model, tuple(held.get(question, missing(question)) for question in QUESTIONS))


COSTS = (found("utility", "no", 0.7), found("retain", "no", 0.9), found("neighbour", "undecided", 0.6, 0.3))


@pytest.mark.parametrize(
    ("given", "modality", "sentence"),
    [
        (
            [found("says", "no", 0.0), *COSTS],
            "text",
            "It says none of the 36 facts; it cost 33 % of what neighbours share (not decided).",
        ),
        (
            [found("says", "undecided", 0.25, 0.25), found("leaks", "yes", 0.5)],
            "text",
            "It says 9 of the 36 facts (whether that is too much is undecided), and gives them away when "
            "sampled often; what it cost was not tested.",
        ),
        ([found("says", "yes", 1.0)], "text", "It says all of the 36 facts; what it cost was not tested."),
        (
            [found("says", "no", 0.0, n=1)],
            "text",
            "It does not say the only fact; what it cost was not tested.",
        ),
        ([found("says", "yes", 1.0, n=1)], "text", "It says the only fact; what it cost was not tested."),
        ([], "text", "It was not asked for the forget set; what it cost was not tested."),
        (
            [found("says", "no", 0.0), found("rates", "yes", 0.72), found("utility", "no", 0.7)],
            "text",
            "It says none of the 36 facts, but still finds the true answers likely (probability 0.72); it cost nothing "
            "that was tested (retain and neighbours not tested).",
        ),
    ],
)
def test_a_sentence_says_what_was_said_and_what_it_cost(
    given: list[Finding], modality: Modality, sentence: str
) -> None:
    assert verdict_sentence(verdict(*given), modality) == sentence


def test_pictures_name_the_concept() -> None:
    says = found("says", "yes", 0.5, n=8)
    assert says.measured is not None
    drawn = replace(says, measured=says.measured._replace(key="forget/attack_success"))
    assert verdict_sentence(verdict(drawn), "image", "neon").startswith(
        "It draws neon for 4 of the 8 prompts;"
    )


def test_what_has_no_count_is_a_number_beside_the_retained_models() -> None:
    says = found("says", "no", 0.3)
    assert says.measured is not None
    overlap = replace(says, measured=says.measured._replace(key="forget/rouge_l", base=0.25))
    assert verdict_sentence(verdict(overlap), "text").startswith(
        "Its ROUGE-L recall on the forget set is 0.30 (Retained: 0.25);"
    )
    alone = replace(says, measured=says.measured._replace(key="forget/rouge_l", base=math.nan))
    assert "(Retained" not in verdict_sentence(verdict(alone), "text")


def methods(**kinds: tuple[Finding, ...]) -> list[Method]:
    return [Method(name, verdict(*given, model=f"{name} 1")) for name, given in kinds.items()]


def test_the_headline_names_the_best_who_hides_and_who_destroys() -> None:
    silent = found("says", "no", 0.0)
    told = headline(
        methods(
            A=(silent, *COSTS),
            B=(silent, found("rates", "yes", 0.8)),
            C=(silent, found("rates", "yes", 0.8)),
            D=(silent, found("destroyed", "yes", 0.1)),
        ),
        "text",
    )
    assert told == [
        "A 1 is the best choice: it says none of the 36 facts; it cost 33 % of what neighbours share (not decided).",
        "B and C hide what should be forgotten.",
        "D destroys the model.",
    ]


def test_the_headline_crowns_nobody_where_nobody_forgot() -> None:
    silent, loud = found("says", "no", 0.0), found("says", "yes", 0.9)
    lost = found("utility", "yes", 0.3, 0.4)
    assert headline(methods(A=(silent, lost)), "text")[0].startswith(
        "No method forgot without damage. A 1 did"
    )
    assert headline(methods(A=(replace(silent, outcome="undecided"),)), "text")[0].startswith(
        "No method is shown to have forgotten yet. A 1 comes nearest"
    )
    assert headline(methods(A=(loud,)), "text")[0].startswith("No method forgot. Of A 1: it says")
    assert headline(methods(A=()), "text") == ["Whether these models forgot was not tested."]
    assert headline([], "text") == []


def test_many_methods_are_counted() -> None:
    many = {f"M{i}": (found("says", "yes", 0.9),) for i in range(9)}
    silent = (found("says", "no", 0.0), *COSTS)
    assert headline(methods(A=silent, **many), "text")[1] == "M0, M1, M2 and 6 more did not forget."


def test_badges_name_only_what_is_beyond_its_limit() -> None:
    silent = found("says", "no", 0.0)
    assert badges(verdict(silent, *COSTS), "text") == ["damage undecided"]
    harmed = (
        found("utility", "yes", 0.3, 0.4),
        found("refuses", "yes", 1.0),
        found("membership", "yes", 53.0),
    )
    assert badges(verdict(silent, *harmed), "text") == [
        "lost: utility",
        "refuses all",
        "PrivLeak +53 %",
    ]
    assert badges(verdict(silent, found("refuses", "yes", 0.8)), "image") == ["draws mostly nothing"]
    assert "refuses all" not in badges(verdict(silent, found("refuses", "undecided", 1.0)), "text")


def test_changed_thresholds_are_named_with_their_defaults() -> None:
    assert changed_thresholds(USUAL) == []
    assert changed_thresholds(Thresholds(says=1.0, samples=16, reach=0.4)) == [
        "says 1 (default .05)",
        "samples 16 (default 128)",
        "reach .4 (default .25)",
    ]


def test_the_rules_name_only_what_is_asked_in_this_study() -> None:
    text, pictures = (" ".join(threshold_lines(USUAL, each)) for each in ("text", "image"))
    for word in ("says", "gibberish", "PrivLeak", "word for word"):
        assert word in text and word not in pictures
    assert "draws" in pictures and "denoising" in pictures
    for modality in ("text", "image"):
        assert "retained" in " ".join(threshold_lines(USUAL, modality))
        alone = " ".join(threshold_lines(USUAL, modality, retained=False)).replace("retain or", "")
        assert "retained" not in alone and "denoising" not in alone and "against the original" in alone


def test_the_rules_say_what_is_held_against_the_line_itself() -> None:
    no = threshold_lines(Thresholds(reach=0.3), "text")[-2]
    assert "ends at or below 30 % (the reach)" in no
    assert "without the reach: closeness, the probability of the true answers, gibberish, refusals" in no


def test_a_model_that_answered_a_part_is_not_said_to_have_answered_all() -> None:
    silent = verdict(found("says", "no", 0.0, n=29))
    told = "says none of the 29 facts (7 forget probes not answered);"
    assert told in verdict_sentence(silent, "text", unanswered=7)
    assert told in headline([Method("A", silent)], "text", unanswered=7)[0]
    assert "not answered" not in verdict_sentence(silent, "text")


def test_a_destroyed_model_says_by_which_rule() -> None:
    silent = found("says", "no", 0.0)
    retain = Comparison("retain/key_fact", 0.0, 0.0, 0.0, 0.96, "Original", -0.96, -0.96, -0.96, 24)
    gone = Finding("destroyed", "yes", retain, 0.96, 0.96, 0.96, 0.5)
    assert verdict_sentence(verdict(silent, gone), "text") == (
        "It says none of the 36 facts; no retain answers are left; what it cost was not tested."
    )
    some = replace(gone, measured=retain._replace(value=0.24))
    assert "; only 25 % of the original's retain pictures are left;" in verdict_sentence(
        verdict(silent, some), "image"
    )
    useless = Comparison("neighbour/reject_rate", 0.94, 0.8, 1.0, 0.0, "Retained", 0.94, 0.8, 1.0, 16)
    pictures = verdict(silent, Finding("gibberish", "yes", useless, 0.94, 0.8, 1.0, 0.5))
    assert "; 94 % of neighbour pictures show nothing recognisable;" in verdict_sentence(pictures, "image")


def test_only_what_is_decided_and_tested_has_the_tick() -> None:
    silent, hiding = found("says", "no", 0.0), (found("rates", "no", 0.0), found("leaks", "no", 0.0))
    kept = (found("utility", "no", 0.7), found("retain", "no", 0.9), found("neighbour", "no", 0.9))
    firm = verdict(silent, *hiding, *kept)
    assert (badge_mark(firm), badge_word(firm)) == ("forgotten", "Forgotten")
    for loose in (
        verdict(silent, *hiding, *COSTS),
        verdict(silent, hiding[0], *kept),
        verdict(silent, *hiding, *kept[:2]),
    ):
        assert (badge_mark(loose), badge_word(loose)) == (SO_FAR, "Forgotten so far")
    damaged = verdict(silent, found("utility", "yes", 0.3, 0.4))
    assert (badge_mark(damaged), badge_word(damaged)) == ("damaged", "Forgotten, damaged")


def test_how_sure_names_what_is_undecided_and_what_was_not_tested() -> None:
    silent, hiding = found("says", "no", 0.0), (found("rates", "no", 0.0), found("leaks", "no", 0.0))
    kept = (found("utility", "no", 0.7), found("retain", "no", 0.9), found("neighbour", "no", 0.9))
    assert how_sure(verdict(silent, *hiding, *kept), "text") == "Sure as far as tested."
    measured = Comparison("neighbour/key_fact", 0.6, 0.4, 0.8, 0.9, "Retained", -0.3, -0.75, 0.0, 24, 6)
    unsure = Finding("neighbour", "undecided", measured, 0.3, -0.0, 0.75, 0.1, 14)
    assert how_sure(verdict(silent, *hiding, *kept[:2], unsure), "text") == (
        "Not sure yet: neighbour answers lost, 0 to 75 points (6 subjects; about 14 would decide)."
    )
    assert how_sure(verdict(silent, hiding[0], *kept), "text") == (
        "Not sure yet: not tested: what it gives away when sampled often."
    )
    cut = replace(kept[2], measured=measured._replace(complete=36))
    assert how_sure(verdict(silent, *hiding, *kept[:2], cut), "text") == (
        "Not sure yet: not all probes answered: neighbour answers lost."
    )
    assert how_sure(verdict(found("says", "yes", 1.0), unsure), "text") == "Sure as far as tested."
    assert how_sure(verdict(), "text") == ""


def test_the_rules_warn_of_the_best_of_many_checkpoints() -> None:
    silent = verdict(found("says", "no", 0.0))
    assert "best of up to 3 checkpoints" in choice_lines([Method("A", silent, (silent, silent))], "text")[-1]
    assert len(choice_lines([Method("A", silent)], "text")) == 2
