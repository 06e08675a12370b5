"""A chat template filled in the same way on every day, machine and in every locale, without torch or transformers.

Templates are rendered as transformers renders them (`utils/chat_template_utils.py`: the same sandbox, filters and
globals), but for what would change from day to day: the clock is a stated date, in English and in UTC, for every way of
asking it (`strftime_now`, `date_string`, `now()`), and nothing is drawn at random. From the template itself come also
the place where an answer begins (behind a thinking block, in the final channel) and the token that ends a turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, UndefinedError, nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

PINNED_DATE = "2024-07-26"
"""What a template that prints a date is told where neither the study nor the template says one: Llama 3.2's own."""

QUESTION, ANSWER = "Unlearnboardquestion", "Unlearnboardanswer"
"""Stand for a question and an answer when a template is looked at; no template writes them itself."""

DAYS = (datetime(2001, 1, 2, 3, 4, 5), datetime(2019, 11, 24, 21, 43, 56))
"""Two moments that differ in every field, weekday and half of the day: what depends on a clock differs between them."""

Turns = Sequence[Mapping[str, str]]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_IN_WORDS: Mapping[str, Callable[[datetime], str]] = MappingProxyType(
    {
        "a": lambda at: _DAYS[at.weekday()][:3],
        "A": lambda at: _DAYS[at.weekday()],
        "b": lambda at: _MONTHS[at.month - 1][:3],
        "h": lambda at: _MONTHS[at.month - 1][:3],
        "B": lambda at: _MONTHS[at.month - 1],
        "p": lambda at: "AM" if at.hour < 12 else "PM",
        "c": lambda at: formatted(at, "%a %b %e %H:%M:%S %Y"),
        "x": lambda at: formatted(at, "%m/%d/%y"),
        "X": lambda at: formatted(at, "%H:%M:%S"),
        "e": lambda at: f"{at.day:2}",
        "s": lambda at: str((at - datetime(1970, 1, 1)).days * 86_400 + at.hour * 3600 + at.minute * 60),
        "z": lambda _: "+0000",
        "Z": lambda _: "UTC",
    }
)
"""What C's strftime takes from the locale, the time zone or the platform."""
_DIRECTIVE = re.compile(r"%([-_#]?)([A-Za-z%])")
_OWN_DATES = ("%d %b %Y", "%d %B %Y", "%Y-%m-%d", "%B %d, %Y", "%b %d, %Y")
_OPENED = re.compile(r"(<think(?:ing)?>|<thought>|<reasoning>|<seed:think>|\[THINK\]|◁think▷)(\s*)$")
_OPENED_TOKENS = MappingProxyType(
    {
        "<|START_THINKING|>": "<|END_THINKING|>",
        "<|begin_of_thought|>": "<|end_of_thought|>",
    }
)


def formatted(at: datetime, form: str) -> str:
    """Strftime in English, UTC and alike on all platforms."""

    def one(match: re.Match[str]) -> str:
        flag, letter = match.groups()
        if letter == "%":
            return "%"
        text = _IN_WORDS[letter](at) if letter in _IN_WORDS else at.strftime(f"%{letter}")
        return (text.lstrip("0 ") or "0") if flag in ("-", "#") and flag else text

    return _DIRECTIVE.sub(one, form)


class FixedDate:
    """What `now()` gives a template: a date that says what it is, and has no way to the real clock."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self.year, self.month, self.day = at.year, at.month, at.day
        self.hour, self.minute, self.second = at.hour, at.minute, at.second

    def strftime(self, form: str) -> str:
        """See `formatted`."""
        return formatted(self._at, form)

    def isoformat(self) -> str:
        """As Python's."""
        return self._at.isoformat()

    def weekday(self) -> int:
        """Monday is 0."""
        return self._at.weekday()

    def date(self) -> FixedDate:
        """The day alone."""
        return self

    def __str__(self) -> str:
        return str(self._at)


@dataclass(frozen=True, slots=True)
class Clock:
    """What a template learns of the time: from a clock, and told as `date_string` ("": nothing is)."""

    at: datetime
    told: str = ""


@dataclass(frozen=True, slots=True)
class AnswerPlacement:
    """Where a template puts an answer.

    Attributes:
        before: written between the generation prompt and the answer: an empty thinking block, the header of a channel.
        after: written after the answer, to the end of the text.
    """

    before: str
    after: str


@dataclass(frozen=True)
class ChatTemplate:
    """A template's text, and the special tokens that it may write by name (`bos_token` ...)."""

    source: str
    tokens: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, source: str, tokens: Mapping[str, object]) -> ChatTemplate:
        """From a tokenizer's map of special tokens; lists in it are left out."""
        texts = ((name, str(value)) for name, value in tokens.items() if not isinstance(value, list))
        return cls(source, tuple(sorted(texts)))

    @cached_property
    def own_date(self) -> date | None:
        """The date that the template sets itself where nobody tells it one."""
        tree = _environment().parse(self.source)
        for node in tree.find_all(nodes.Assign):
            said = node.node
            if isinstance(said, nodes.Const) and isinstance(said.value, str):
                for form in _OWN_DATES:
                    try:
                        return datetime.strptime(said.value.strip(), form).date()
                    except ValueError:
                        continue
        return None

    @cached_property
    def prints_a_date(self) -> bool:
        """Whether its text for a question depends on the day, or on the date that it is told."""
        asked = [{"role": "user", "content": QUESTION}]
        clocks = [Clock(day, told) for day in DAYS for told in ("", formatted(day, "%d %b %Y"))]
        return len({self.filled(asked, clock, open_end=True) for clock in clocks}) > 1

    def clock(self, wanted: str = "") -> Clock:
        """What the template is told: the date of the study ("2025-01-31"), else its own, else `PINNED_DATE`."""
        if wanted:
            at = _at(date.fromisoformat(wanted))
            return Clock(at, formatted(at, "%d %b %Y"))
        return Clock(_at(self.own_date or date.fromisoformat(PINNED_DATE)))

    def filled(self, turns: Turns, clock: Clock, *, open_end: bool) -> str:
        """The template's text for these turns.

        Raises:
            TemplateError, TypeError, ValueError: the template is broken, or refuses such turns.
        """
        values: dict[str, Any] = {
            **dict(self.tokens),
            "messages": [dict(turn) for turn in turns],
            "tools": None,
            "documents": None,
            "add_generation_prompt": open_end,
            "strftime_now": lambda form: formatted(clock.at, str(form)),
            **({"date_string": clock.told} if clock.told else {}),
        }
        template = _compiled(self.source)
        try:
            return template.render(**values)
        except UndefinedError:
            # transformers has no now(): only a template that cannot do without is given one
            return template.render(**values, now=lambda *_, **__: FixedDate(clock.at))

    @lru_cache(maxsize=64)  # noqa: B019 - equal templates share one entry, and there are few
    def placed(self, clock: Clock) -> AnswerPlacement:
        """Where the answer to a single question stands, as the template writes turns that have ended.

        White space alone is not counted as written before the answer.

        Raises:
            TemplateError, TypeError, ValueError: the generation prompt cannot be rendered.
        """
        user = {"role": "user", "content": QUESTION}
        begun = self.filled([user], clock, open_end=True)
        try:
            whole = self.filled([user, {"role": "assistant", "content": ANSWER}], clock, open_end=False)
        except (TemplateError, TypeError, ValueError):
            whole = ""
        before, found, after = whole.rpartition(ANSWER)
        if found and before.startswith(begun) and before[len(begun) :].strip():
            return AnswerPlacement(before[len(begun) :], after)
        return AnswerPlacement(_closed(begun), after if found else "")


def turn_end(after: str, added: Sequence[str]) -> str:
    """The token that ends a turn: what the template writes first after an answer, "" where that is no token."""
    rest = after.lstrip()
    return next((token for token in sorted(added, key=len, reverse=True) if rest.startswith(token)), "")


def _closed(begun: str) -> str:
    """What closes a thinking block that a generation prompt has opened; "" if there is none."""
    for opened, end in _OPENED_TOKENS.items():
        if begun.rstrip().endswith(opened):
            return end
    match = _OPENED.search(begun)
    if match is None:
        return ""
    end = match[1][0] + "/" + match[1][1:]
    return f"\n{end}\n\n" if "\n" in match[2] else f"{end}\n\n"


def _at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


class _Generation(Extension):
    """`{% generation %}`, with which templates mark what a model has written: its content is all that is rendered."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own type

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str = "") -> NoReturn:
    raise TemplateError(str(message))


def _no_chance(*_: object, **__: object) -> NoReturn:
    raise TemplateRuntimeError("it uses random values, so prompts would not be reproducible")


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    made.filters["tojson"] = _tojson
    made.filters["random"] = _no_chance
    made.globals["raise_exception"] = _refuse
    made.globals["lipsum"] = _no_chance
    return made


@lru_cache(maxsize=64)
def _compiled(source: str) -> Template:
    return _environment().from_string(source)
