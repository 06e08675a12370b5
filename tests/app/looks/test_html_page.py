"""Pages that are handed on: whatever a person or a model wrote is text in them, and all of it can be seen."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from app.looks.html_page import isolated, render

HOSTILE = """<script>alert(1)</script> " onerror='x' & {{ 7 * 7 }} \u202egnp"""


def test_text_is_escaped_in_elements_and_attributes() -> None:
    page = render('<p>{{ said }}</p><img alt="{{ said }}">', said=HOSTILE)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 2
    assert '"' not in page.partition('alt="')[2].removesuffix('">')


def test_what_turns_a_line_around_is_shown_and_templates_in_text_stay_text() -> None:
    page = render("{{ said }}", said=HOSTILE)
    assert "\u202e" not in page and "⟨U+202E⟩" in page
    assert "{{ 7 * 7 }}" in page


def test_macros_and_what_is_marked_safe_stay_markup() -> None:
    template = "{% macro cell(text) %}<td>{{ text }}</td>{% endmacro %}{{ cell(a) }}{{ style | safe }}"
    assert render(template, a="<b>", style="<i>") == "<td>&lt;b&gt;</td><i>"


def test_numbers_are_text_and_a_name_that_nobody_gave_is_a_defect() -> None:
    assert render("{{ n }}", n=3) == "3"
    with pytest.raises(UndefinedError):
        render("{{ missing }}")


@pytest.mark.parametrize(
    ("sentence", "names", "page"),
    [
        ("נפו 45 is best, <b>", ["נפו 45"], "<bdi>נפו 45</bdi> is best, &lt;b&gt;"),
        ("נפו 45 and נפו 4", ["נפו 4", "נפו 45"], "<bdi>נפו 45</bdi> and <bdi>נפו 4</bdi>"),
        ("<i>מ and (מ)", ["<i>מ", "(מ)"], "<bdi>&lt;i&gt;מ</bdi> and <bdi>(מ)</bdi>"),
        ("NPO 45 is best", ["NPO 45", "R"], "NPO 45 is best"),
        ("מ\u202e!", ["מ\u202e"], "<bdi>מ⟨U+202E⟩</bdi>!"),
    ],
)
def test_names_from_right_to_left_stand_alone_in_a_sentence(
    sentence: str, names: list[str], page: str
) -> None:
    assert render("{{ said | isolated(names) }}", said=sentence, names=names) == page
    assert str(isolated(sentence, names)) == page
