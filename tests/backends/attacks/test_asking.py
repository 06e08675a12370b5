"""Asking attacks: what each asks, what it never gives away, and what it cannot be made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.attacks import ATTACKS, AskingAttack, Surroundings
from backends.attacks.asking import begun
from backends.study import ModelSpec, Probe, ProbeSet, Study

PIECES = ("She", " was", " born", " in", " Bran", "nock", " Quay", ".")
PEOPLE = (
    "Ada Quill",
    "Bo Trent",
    "Cy Marsh",
    "Dora Vane",
    "Eli Frost",
    "Fay Rook",
    "Gil Stern",
    "Hal Moor",
    "Ida Peck",
)


def people() -> tuple[Probe, ...]:
    return tuple(
        Probe(
            f"p{place}-{fact}",
            "forget",
            f"Where was {name} {fact}?",
            f"{name} was {fact} in Town {place}{fact}.",
            paraphrased_prompt=f"{name}: {fact} where?",
            perturbed_answers=("One.", "Two.", "Three."),
            key_fact=f"Town {place}{fact}",
            subject=name,
            rewordings=(("translated:French", "Où ?"), ("alias", "Where was she?")),
        )
        for place, name in enumerate(PEOPLE)
        for fact in ("born", "schooled")
    )


def around() -> Surroundings:
    models = (ModelSpec("Original", "original", "x"),)
    return Surroundings(Study("People", "text", models, (ProbeSet("forget", "forget", people()),)))


def asked(key: str, probe: Probe | None = None) -> list[Probe]:
    attack = ATTACKS[key]
    assert isinstance(attack, AskingAttack)
    return list(attack.ask(people()[0] if probe is None else probe, around()))


@pytest.mark.parametrize("key", [key for key, each in ATTACKS.items() if isinstance(each, AskingAttack)])
def test_no_attack_says_the_fact_that_it_asks_for_but_the_choice(key: str) -> None:
    for probe in people():
        for each in asked(key, probe):
            given = " ".join([each.prompt, each.answer_prefix, *(text for _, text in each.turns)])
            assert (probe.key_fact in given) == (key == "choice")
            assert each.key_fact == probe.key_fact and each.subject == probe.subject
            assert each.digest() != probe.digest()
            assert not each.perturbed_answers and not each.paraphrased_prompt


def test_turns_before_are_other_facts_of_other_subjects() -> None:
    probe = people()[0]
    for count in (1, 4, 8):
        (found,) = asked(f"context_{count}")
        questions = [text for role, text in found.turns if role == "user"]
        assert len(questions) == count == len(found.turns) / 2
        assert not any(probe.subject in text for _, text in found.turns)
        assert asked(f"context_{count}") == [found]  # drawn the same every time


def test_a_begun_answer_gives_a_share_of_its_tokens_and_never_any_of_the_key_fact() -> None:
    probe = Probe("p", "forget", "Where?", "".join(PIECES), key_fact="Brannock Quay")
    known = replace(around(), pieces={probe.digest(): PIECES})

    def given(share: float, of: Probe = probe) -> list[tuple[str, str]]:
        return [(each.answer_prefix, each.answer) for each in begun(share)(of, known)]

    assert given(0) == [("", probe.answer)]
    assert given(0.1) == [("She", " was born in Brannock Quay.")]
    assert given(0.25) == [("She was", " born in Brannock Quay.")]
    assert given(0.5) == [("She was born in", " Brannock Quay.")]
    assert given(0.9) == given(0.5)
    assert given(0.5, replace(probe, key_fact="She")) == []
    assert begun(0.5)(probe, around()) == []  # nobody knows how its answer is cut
    whole = replace(probe, key_fact="")
    assert begun(1.0)(whole, replace(around(), pieces={whole.digest(): PIECES}))[0].answer == "."


def test_a_choice_lists_the_truth_once_among_the_others_and_not_always_at_one_place() -> None:
    places = set()
    for probe in people():
        (found,) = asked("choice", probe)
        listed = found.prompt.splitlines()[2:]
        assert sorted(listed) == sorted(f"- {text}" for text in (probe.answer, *probe.perturbed_answers))
        assert found.answer == probe.answer and found.options == probe.perturbed_answers
        places.add(listed.index(f"- {probe.answer}"))
    assert len(places) > 1


def test_what_a_probe_lacks_is_not_made_up() -> None:
    bare = Probe("p", "forget", "Where?", "Here.")
    for key in ("paraphrase", "choice", "form_hint", "translated", "alias", "hop", "context_4", "begun_25"):
        assert asked(key, bare) == [], key
    raw = replace(people()[0], format="{prompt}")
    for key in ("role_play", "system", "again", "context_1"):
        assert asked(key, raw) == [], key  # a text to be continued has no conversation
    assert [each.prompt for each in asked("translated")] == ["Où ?"]
