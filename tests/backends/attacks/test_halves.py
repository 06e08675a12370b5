"""Halves share no subject, are the same every time, and data that tells of what is asked for is left out."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.attacks.halves import halves, without_scored
from backends.errors import StudyError
from backends.study import Probe


def probe(subject: str, number: int, answer: str = "", **more: object) -> Probe:
    answer = answer or f"Answer {subject or 'nobody'} {number}."
    made = Probe(f"{subject}-{number}", "forget", f"Question {number} of {subject}?", answer, subject=subject)
    return replace(made, **more)  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 7), min_size=4, max_size=14), st.randoms(use_true_random=False))
def test_no_subject_is_in_both_halves_and_the_halves_are_as_even_as_subjects_allow(
    facts: list[int], order: random.Random
) -> None:
    probes = [probe(f"Person {i}", n) for i, count in enumerate(facts) for n in range(count)]
    split = halves(probes)
    assert sorted(each.id for each in (*split.a, *split.b)) == sorted(each.id for each in probes)
    assert not {each.subject for each in split.a} & {each.subject for each in split.b}
    assert abs(len(split.a) - len(split.b)) <= max(facts)
    assert split.a
    assert split.b
    mixed = list(probes)
    order.shuffle(mixed)
    assert {each.id for each in halves(mixed).a} == {each.id for each in split.a}


def test_one_person_under_two_spellings_is_one_subject() -> None:
    probes = [probe(name, n) for name in ("Ada", "Bo", "Cy", "Di") for n in range(2)]
    probes += [probe("ADA ", 3)]
    for half in (halves(probes).a, halves(probes).b):
        assert len({each.subject.strip().lower() for each in half}) == 2


def test_other_probes_are_split_otherwise() -> None:
    def split_of(kind: str) -> set[str]:
        return {each.subject for each in halves([probe(f"P{i}", 0, f"{kind} {i}") for i in range(10)]).a}

    assert len({frozenset(split_of(kind)) for kind in "abcdef"}) > 1


def test_probes_without_subject_stand_with_those_of_the_same_answer_and_that_is_said() -> None:
    probes = [probe("", n, f"Town {n // 2}", id=f"row {n}") for n in range(10)]
    split = halves(probes)
    for half in (split.a, split.b):
        answers = [each.answer for each in half]
        assert all(answers.count(answer) == 2 for answer in answers)
    assert "have a subject" in split.notes[0]
    assert "small" in split.notes[1]


def test_small_halves_are_said_and_too_few_subjects_are_refused() -> None:
    assert not halves([probe(f"P{i}", 0) for i in range(8)]).notes
    assert "The halves are small: 3 and 3 subjects." in halves([probe(f"P{i}", 0) for i in range(6)]).notes
    with pytest.raises(StudyError, match="at least 4 subjects, and there are 3"):
        halves([probe(f"P{i}", 0) for i in range(3)])


@pytest.mark.parametrize(
    "row",
    [
        probe("Bo", 9, "He was taught by Ada Quill."),
        probe("Bo", 9, "It was in Ghent, too."),
        probe("Bo", 9, "GHENT"),
        Probe("x", "retain", "Who is Ada  Quill?", "A friend."),
        Probe("x", "retain", "Who is it?", "She.", turns=(("user", "Is Ada Quill there?"),)),
        Probe("x", "retain", "Where was she born?", "In Riga."),
    ],
)
def test_a_row_that_names_what_is_asked_for_is_left_out(row: Probe) -> None:
    asked = [Probe("1", "forget", "Where was she born?", "In Ghent.", key_fact="Ghent", subject="Ada Quill")]
    plain = probe("Cy", 1, "In Ghentish style.")
    assert without_scored([row, plain], asked) == ((plain,), 1)


def test_names_in_scripts_without_spaces_are_found() -> None:
    asked = [Probe("1", "forget", "谁？", "他叫王小明。", key_fact="王小明")]
    row = Probe("2", "retain", "那个人是谁？", "那是王小明的弟弟。")
    assert without_scored([row], asked) == ((), 1)
