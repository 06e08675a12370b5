"""Text of models is shown whole and harmless; diffs add up to both texts."""

from __future__ import annotations

import re
import sys

from hypothesis import given
from hypothesis import strategies as st

from app.looks.safe_text import _visible_character, literal, visible, visible_json, word_diff


def test_control_and_direction_characters_are_shown() -> None:
    assert visible("a\x07b\x1b[31m\x7f") == "a␇b␛[31m␡"
    assert visible("\u202eevil\u202c\ufeff") == "⟨U+202E⟩evil⟨U+202C⟩⟨U+FEFF⟩"
    assert visible("one\u2028two\u2029three") == "one⟨U+2028⟩two⟨U+2029⟩three"


def test_json_turns_nothing_around() -> None:
    assert visible_json({"note": "a\u202eb\x1b"}) == '{\n  "note": "a⟨U+202E⟩b\\u001b"\n}'


def test_lines_markup_right_to_left_letters_and_joined_emoji_stay_as_they_are() -> None:
    text = "<b>1</b>\n\t$x^2$ **שלום** 👩\u200d🔬"
    assert visible(text) == text


@given(st.text(alphabet=st.characters()))
def test_visible_text_can_always_be_sent_to_a_browser(text: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", visible(text))
    visible(text).encode("utf-8")


def test_words_that_changed_are_struck_out_and_put_in() -> None:
    diff = word_diff("Ada was born in Oslo.", "Ada was raised in Lima.")
    assert [tuple(segment) for segment in diff] == [
        ("same", "Ada was "),
        ("del", "born "),
        ("ins", "raised "),
        ("same", "in "),
        ("del", "Oslo"),
        ("ins", "Lima"),
        ("same", "."),
    ]


def test_spacing_is_no_difference() -> None:
    assert {segment.kind for segment in word_diff("a  b\nc", "a b c")} == {"same"}


@given(st.text(alphabet="ab .,'\n"), st.text(alphabet="ab .,'\n"))
def test_a_diff_holds_all_words_of_both_texts(before: str, after: str) -> None:
    diff = word_diff(before, after)
    new = "".join(segment.text for segment in diff if segment.kind != "del")
    old = "".join(segment.text for segment in diff if segment.kind != "ins")
    assert "".join(new.split()) == "".join(after.split())
    assert "".join(old.split()) == "".join(before.split())


def test_markdown_in_labels_is_made_literal() -> None:
    assert literal("**a** [b](x) $c$ :red[d]") == r"\*\*a\*\* \[b\]\(x\) \$c\$ \:red\[d\]"
    assert "://" not in literal("http://evil.example")


def test_joined_emoji_and_their_modifiers_are_one_word() -> None:
    family, thumb = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd"
    segments = word_diff(f"a {family} b", f"a {thumb} b")
    assert [(each.kind, each.text.strip()) for each in segments] == [
        ("same", "a"),
        ("del", family),
        ("ins", thumb),
        ("same", "b"),
    ]


def test_what_python_calls_printable_is_shown_as_it_is() -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isprintable()]
    assert "".join(map(_visible_character, characters)) == "".join(characters)
