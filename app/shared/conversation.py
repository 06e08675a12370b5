"""What surrounds a prompt as a person types it: system text, earlier turns, a begun answer, no template.

Plain values and text; the boxes are in `app/pages/compare/conversation_fields.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from backends.study import RAW_TEXT, Probe, Turns

_SPEAKER = re.compile(r"^[ \t]*(user|assistant)[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What surrounds a prompt.

    Attributes:
        system: text of the system, or "".
        turns: what was said before, (role, text) in order, without the system.
        begun: what the answer is made to begin with, or "".
        raw: the prompt is text to be continued, without a chat template.
    """

    system: str = ""
    turns: Turns = ()
    begun: str = ""
    raw: bool = False

    @classmethod
    def of(cls, probe: Probe | None) -> Conversation:
        """What a probe brings along."""
        if probe is None:
            return NOTHING_MORE
        system = probe.turns[0][1] if probe.turns and probe.turns[0][0] == "system" else ""
        turns = probe.turns[1:] if system else probe.turns
        return cls(system, turns, probe.answer_prefix, probe.format == RAW_TEXT)

    @property
    def all_turns(self) -> Turns:
        """System text and earlier turns, as probes have them."""
        return ((("system", self.system),) if self.system.strip() else ()) + self.turns


NOTHING_MORE = Conversation()


def turns_as_text(turns: Turns) -> str:
    """Earlier turns as a person types them, a line for each."""
    return "\n".join(f"{role}: {text}" for role, text in turns)


def turns_in(text: str) -> Turns | None:
    """Earlier turns out of typed text, "user:" or "assistant:" before each; None where it begins with neither."""
    if not text.strip():
        return ()
    parts = _SPEAKER.split(text)
    if parts[0].strip():
        return None
    said = [(role.lower(), words.strip()) for role, words in zip(parts[1::2], parts[2::2], strict=True)]
    return tuple((role, words) for role, words in said if words)
