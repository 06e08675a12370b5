"""What models are called: part, method and step in a few words, without repeating the name."""

from __future__ import annotations

from dataclasses import replace

from app.looks.names import detail_of
from backends.study import ModelSpec

MADE = ModelSpec("Mine", "unlearned", "x", method="NPO", step=45)


def test_a_model_is_described_by_method_and_step() -> None:
    assert detail_of(MADE) == "NPO · step 45"


def test_what_the_name_says_already_is_not_said_again() -> None:
    assert detail_of(replace(MADE, name="NPO 45")) == "Unlearned"
    assert detail_of(replace(MADE, name="NPO early")) == "step 45"


def test_original_and_retained_say_their_role() -> None:
    assert detail_of(ModelSpec("Original", "original", "x")) == "the baseline"
    assert detail_of(ModelSpec("Retained", "retained", "x")) == "never saw the forget set"
    assert detail_of(ModelSpec("Base", "original", "x")) == "Original"


def test_a_target_of_its_own_is_named() -> None:
    assert detail_of(replace(MADE, forget=(("object", "cat"),))).endswith("forgets cat")
