"""Text of models as it is, made safe to *look at*: nothing hidden, nothing that turns the line around; and word diffs.

Pure string functions. That text never becomes markup is the components' business (`textContent`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from cache.exporters.tables import spreadsheet_safe

_WORD = re.compile(
    r"([\w\u200c\u200d]+(?:['’\-]\w+)*|[^\w\s](?:[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d[^\w\s])*)(\s*)"
)  # a family of joined emoji is one word
_MARKDOWN = frozenset("\\`*_{}[]()#+-.!|<>$~:")
_JOINERS = "\u200c\u200d"  # shape letters and emoji, so they are part of ordinary text


class Segment(NamedTuple):
    """A run of words that both texts have ("same"), only the first ("del") or only the second ("ins")."""

    kind: Literal["same", "del", "ins"]
    text: str


def visible(text: str) -> str:
    """The text with control, direction and line-end characters shown by a picture or number; newlines and tabs stay."""
    if text.isprintable():  # none of these characters is, and most texts are
        return text
    return "".join(map(_visible_character, text))


def cell_text(value: object) -> str:
    """A name in a table whose toolbar saves it as CSV: visible, and no formula for a spreadsheet."""
    return visible(str(spreadsheet_safe(str(value))))


def visible_json(value: object) -> str:
    """A value as indented JSON that is safe to look at: what JSON leaves as it is (U+202E), `visible` shows."""
    return visible(json.dumps(value, indent=2, ensure_ascii=False))


def literal(text: str) -> str:
    """Text for places that read Markdown, with everything Markdown would act on made literal.

    Addresses become links even where every sign is escaped, so an invisible word joiner takes them apart.
    """
    apart = re.sub(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", "\u2060", visible(text), flags=re.IGNORECASE)
    return "".join("\\" + character if character in _MARKDOWN else character for character in apart)


def _visible_character(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or character in _JOINERS:
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"⟨U+{code:04X}⟩" if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") else character


def word_diff(before: str, after: str) -> list[Segment]:
    """What has to be struck out of `before` and put in to get `after`, word by word; white space does not count."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    matcher = SequenceMatcher(None, [word for word, _ in old], [word for word, _ in new], autojunk=False)
    segments = []
    for operation, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if operation == "equal":
            segments.append(Segment("same", _joined(new[new_start:new_end])))
            continue
        if old_end > old_start:
            segments.append(Segment("del", _joined(old[old_start:old_end])))
        if new_end > new_start:
            segments.append(Segment("ins", _joined(new[new_start:new_end])))
    return segments


def _joined(words: list[tuple[str, str]]) -> str:
    return "".join(word + space for word, space in words)
