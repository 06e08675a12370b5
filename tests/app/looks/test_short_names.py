"""Short names: what all have in common is gone, what tells them apart is there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.looks.short_names import LONGEST, short_names

METHODS = ("GradAscent", "GradDiff", "NPO", "SimNPO", "IdkDPO", "RMU")


def test_names_that_fit_stay_as_they_are() -> None:
    assert short_names(["NPO", "A short model's name"]) == {
        "NPO": "NPO",
        "A short model's name": "A short model's name",
    }


def test_of_a_sweep_only_the_words_that_tell_the_runs_apart_are_left() -> None:
    names = [f"tofu_Llama-3.2-1B-Instruct_forget10_{m}_lr1e-05_retainloss-NLL" for m in METHODS]
    assert tuple(short_names(names).values()) == METHODS
    both = [f"tofu_Llama-3.2-1B-Instruct_{m}_lr{rate}_NLL" for m in METHODS for rate in ("1e-05", "2e-05")]
    assert list(short_names(both).values())[:2] == ["GradAscent lr1e-05", "GradAscent lr2e-05"]


def test_words_that_are_not_needed_go_where_all_that_differ_are_too_long() -> None:
    names = [f"sweep_{m}_alpha{n % 2}_beta0.{n}_seed{n % 3}_epochs{10 - n}" for n, m in enumerate(METHODS)]
    assert tuple(short_names(names).values()) == METHODS


def test_names_of_unequal_length_lose_what_they_begin_and_end_with() -> None:
    names = ["a model of the study one of two ends", "a model of the study number two of two ends"]
    assert list(short_names(names).values()) == ["one", "number two"]


def test_the_dots_make_no_two_names_one() -> None:
    names = [f"{'x' * 40}{n}{'y' * 40}" for n in range(3)]
    short = list(short_names(names).values())
    assert len(set(short)) == 3 and all("…" in each for each in short)


@given(st.lists(st.text("ab _/:", min_size=1, max_size=60), min_size=1, max_size=12, unique=True))
def test_every_name_has_one_of_its_own(names: list[str]) -> None:
    short = short_names(names)
    assert list(short) == names and len(set(short.values())) == len(names)
    assert all(short.values()) and max(map(len, short.values())) <= LONGEST + 4
