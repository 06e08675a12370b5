"""What a study promises of its unlearned models: the table [contract] of a study file, and how a condition is written.

    forget.probability = "<= retained + 0.05"
    retain.probability = ">= 0.97 original"
    forget.key_fact = "<= 0.1"
    verdict = "forgotten"
    harm = "not destroyed"

Knows nothing of numbers: whether a condition holds is told by `cache/analysis/contract.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

Sign = Literal["<=", ">="]
Against = Literal["", "retained", "original"]
Word = Literal["forgotten", "not damaged", "not destroyed"]

WORDS: dict[str, tuple[Word, ...]] = {"verdict": ("forgotten",), "harm": ("not damaged", "not destroyed")}
"""What may be asked of the verdict itself."""
NUMBER = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?"
CONDITION = re.compile(
    rf"\s*(?P<sign><=|>=)\s*(?:"
    rf"(?P<number>[+-]?\s*{NUMBER})|"
    rf"(?:(?P<factor>{NUMBER})\s*)?(?P<against>{'|'.join(get_args(Against)[1:])})"
    rf"(?:\s*(?P<plus>[+-])\s*(?P<offset>{NUMBER}))?)\s*"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a contract.

    Attributes:
        key: role/metric of the number that is asked for, or "verdict" or "harm".
        text: the condition as it is written.
        sign: on which side of the line the number must be.
        factor, against, offset: the line is factor x the number of that model + offset; against "" it is offset alone.
        word: what the verdict must be; "" for a number.
        line: of the study file, 0 where it was not read from one.
    """

    key: str
    text: str
    sign: Sign = "<="
    factor: float = 1.0
    against: Against = ""
    offset: float = 0.0
    word: Word | Literal[""] = ""
    line: int = field(default=0, compare=False)

    @property
    def place(self) -> tuple[str, ...]:
        """Keys in the table [contract]: role and metric, or one word."""
        role, _, metric = self.key.partition("/")
        return (role, metric) if metric else (role,)


def parsed(key: str, text: str, line: int = 0) -> Condition | None:
    """A condition from its text; None where it cannot be read."""
    if key in WORDS:
        asked = [word for word in WORDS[key] if word == text]
        return Condition(key, text, word=asked[0], line=line) if asked else None
    found = CONDITION.fullmatch(text)
    if found is None:
        return None
    sign, against = cast(Sign, found["sign"]), cast(Against, found["against"] or "")
    if not against:
        return Condition(key, text, sign, offset=float(found["number"].replace(" ", "")), line=line)
    offset = float((found["plus"] or "") + (found["offset"] or "0"))
    return Condition(key, text, sign, float(found["factor"] or 1), against, offset, line=line)
