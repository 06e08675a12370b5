"""What each column of a probe file becomes: decided from all of its names together, and asked where unclear.

A `ColumnPlan` is made once for rows that have the same columns. Values are looked at only as far as names do not tell
(`ColumnFacts`): whether a column holds conversations, counts rows, or says which choice is true.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from backends.files.plain import storable
from backends.probes.benchmarks import RAW, SHAPES, BenchmarkShape, fitting_shape
from backends.probes.names import (
    ACCEPTED,
    ANSWER_KEYS,
    ANSWERS,
    CAPTIONS,
    LABELS,
    LANGUAGES,
    OTHER_PROMPTS,
    OURS,
    PROMPTS,
    REWORDINGS,
    SAME,
    SYSTEMS,
    canonical,
)
from backends.probes.settings import COLUMNS as SETTINGS

LABEL = "#label"
CONVERSATION = "#conversation"
INPUT = "#input"
CHOICE = "#choice"
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        CONVERSATION: "conversation: prompt, answer and earlier turns",
        INPUT: "prompt, under the instruction",
        "#system": "system text, an earlier turn",
        "#history": "earlier turns",
        "#choices": "choices, answered by letter",
        "#examples": "worked examples before the question",
        "#worked": "worked examples before the question",
        "#targets": "answer and options",
        "accepted_answers": "accepted answers",
        "answer_prefix": "answer_prefix: the given beginning of every answer",
        "#translated": "question in another language, which attacks ask",
        "#alias": "question by another name, which attacks ask",
        "#hop": "question with another step, which attacks ask",
        "#misspelled": "question with misspellings, which attacks ask",
        "#language": "language of the translated question",
    }
)
"""How a table says what a column becomes, where our own name does not."""

SPELT_BY_CHANCE = ("id",)
"""Too short to tell a misspelling from a word of its own (`idx`)."""


class AmbiguousColumns(Exception):
    """What cannot be known from a file, and how a person says it."""

    def __init__(self, what: str, how: str, column: str = "") -> None:
        self.what = what
        self.how = how
        self.column = column
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What the values of a whole file tell about its columns.

    Attributes:
        columns: all of them, in order.
        pictures: the prompts are for image models.
        own_seeds: the seeds and guidance that rows bring along are used.
        conversations: columns with lists of turns.
        choices: columns that hold one choice each, and its name.
        index: columns that count rows.
        classes: columns with nothing but 0 and 1, or flags.
        lists: columns with lists in them.
        skipped: columns that the study leaves out, under their own names.
    """

    columns: tuple[str, ...]
    pictures: bool = False
    own_seeds: bool = True
    conversations: frozenset[str] = frozenset()
    choices: Mapping[str, str] = field(default_factory=dict)
    index: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()

    def known(self, column: str) -> str:
        """The known name of a column, unless another column is called that."""
        name = canonical(column)
        return column if name != column and name in self.columns else name


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What rows with the same columns become.

    Attributes:
        becomes: column -> our name, one of the `#` targets, or None for left out.
        says: column -> what a person is told.
        shape: of a benchmark, or "".
        format: of the prompts.
        tags: column -> name before the value.
        settings: column -> setting of the picture.
        alike: column -> the known one that it resembles.
    """

    becomes: Mapping[str, str | None]
    says: Mapping[str, str]
    shape: str = ""
    format: str = ""
    tags: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    alike: Mapping[str, str] = field(default_factory=dict)

    @property
    def prompted(self) -> bool:
        """Something is asked, or a text is taken without a prompt."""
        return bool({"prompt", CONVERSATION} & set(self.becomes.values())) or self.shape == RAW

    @property
    def answered(self) -> bool:
        """Some column holds answers, or their choices."""
        return bool({"answer", CONVERSATION, "#targets"} & set(self.becomes.values()))


def plan(columns: Sequence[str], facts: ColumnFacts) -> ColumnPlan:
    """What rows with these columns become.

    Raises:
        Ask: two columns could be the same.
    """
    draft = _Draft(columns, facts)
    draft.take_shape()
    if not facts.pictures:
        draft.take_answers()
    draft.take_prompts()
    draft.take_rest()
    return draft.plan()


class _Draft:
    """A plan in the making: each column is taken once, the surest first."""

    def __init__(self, columns: Sequence[str], facts: ColumnFacts) -> None:
        self._columns = [column for column in columns if column not in facts.skipped]
        self._facts = facts
        self._here = {facts.known(column): column for column in self._columns}
        self._name = fitting_shape(self._here, pictures=facts.pictures)
        self._shape = SHAPES[self._name] if self._name else BenchmarkShape(frozenset(), {})
        drawn = facts.pictures and facts.own_seeds
        self._settings = {**SETTINGS, **self._shape.settings} if drawn else {}
        self._becomes: dict[str, str | None] = {}
        self._says: dict[str, str] = {}
        self._alike: dict[str, str] = {}

    def plan(self) -> ColumnPlan:
        """What was decided, in the order of the columns."""
        here = self._here
        return ColumnPlan(
            {column: self._becomes[column] for column in self._columns},
            {column: self._says[column] for column in self._columns},
            self._name,
            self._shape.format,
            tuple(here[tag] for tag in self._shape.tags if tag in here and tag not in self._settings),
            {here[name]: setting for name, setting in self._settings.items() if name in here},
            self._alike,
        )

    def take_shape(self) -> None:
        """The columns of a benchmark."""
        for name, target in self._shape.names.items():
            self._take(name, target, "raw text, scored without a prompt" if self._name == RAW else "")
        for name in self._here:
            if name in self._shape.drops:
                self._take(name, None, "not used")
            elif name in self._settings:
                self._take(name, None, self._settings[name])
            elif name in self._shape.tags:
                self._take(name, None, "tag")

    def take_answers(self) -> None:
        """Which column holds the answers, and which the choices among which they are."""
        here, facts = self._here, self._facts
        if self._has("answer", "#targets"):
            return
        if "options" not in here and ("choices" in here or self._choices_here()):
            self._take("choices", "#choices")
            for column, name in {} if "choices" in here else facts.choices.items():
                self._take(facts.known(column), CHOICE, f"choice {name}, scored as text")
            self._take(self._first(ANSWER_KEYS), "answer", "answer: which choice is true")
            return
        if "answer" in here:
            self._take("answer", "answer")
            self._take(self._first(ACCEPTED), "accepted_answers")
            return
        if self._talks() and not set(PROMPTS) & here.keys():
            return
        better = self._free(ANSWERS)
        found = better or self._free(LABELS)
        if len(found) > 1:
            raise _which("answer", here[found[0]], here[found[1]])
        if found:
            self._check_answer(here[found[0]], found[0], sure=bool(better))
            self._take(found[0], "answer")

    def _check_answer(self, column: str, name: str, *, sure: bool) -> None:
        if not sure and column in self._facts.classes:
            raise AmbiguousColumns(
                f"the column `{column}` holds only 0 and 1, so it may be a class label, not an answer",
                f'Say what it is: columns = {{ {_key(column)} = "answer" }}, or {_key(column)} = "" to leave it out',
                column,
            )
        if name in ("response", "completion", "output") and column in self._facts.lists:
            raise AmbiguousColumns(
                f"the column `{column}` holds lists: accepted answers, or preference pairs",
                f'If all of them are true: columns = {{ {_key(column)} = "answer" }}',
                column,
            )

    def take_prompts(self) -> None:
        """Which column holds the prompts."""
        here, facts = self._here, self._facts
        if self._has("prompt") or self._name == RAW:
            return
        told = [name for name in PROMPTS if name in here]
        talks = [] if facts.pictures else self._talks()
        if talks and not (told and self._has("answer")):
            self._take(talks[0], CONVERSATION)
            for name in told:
                self._take(name, None, f"left out: `{here[talks[0]]}` has it")
            return
        others = self._free(OTHER_PROMPTS)
        if told:
            for name in told:
                self._take(name, "prompt")
        elif others == ["instruction", "input"]:
            self._take("instruction", "prompt")
            self._take("input", INPUT)
        elif len(others) > 1:
            raise _which("prompt", here[others[0]], here[others[1]])
        elif others:
            self._take(others[0], "prompt")
        elif facts.pictures:
            self._take(self._first(CAPTIONS), "prompt")
        elif self._has("answer"):
            self._take("text", "prompt")

    def take_rest(self) -> None:
        """Columns that are neither prompt nor answer."""
        facts = self._facts
        for name, column in self._here.items():
            ours = SAME.get(name, name)
            if column in self._becomes:
                continue
            if column in facts.index:
                self._take(name, None, "left out: row numbers")
            elif name in OURS:
                self._take(name, ours)
            elif name in REWORDINGS:
                self._take(name, REWORDINGS[name])
            elif name and name == self._language():
                self._take(name, "#language")
            elif name in SYSTEMS and not facts.pictures:
                self._take(name, "#system")
            elif name == "history" and not facts.pictures and column in facts.lists:
                self._take(name, "#history")
            elif not column:
                self._take(name, None, "left out: it has no name")
            elif storable(column) != column:
                self._take(name, None, "left out: its name holds a lone surrogate")
            elif meant := _meant(column):
                self._alike[column] = meant
                self._take(name, None, f"left out: is it `{meant}`?")
            else:
                self._take(name, LABEL, "concept" if facts.pictures else "label, not used for scoring")

    def _take(self, name: str, target: str | None, said: str = "") -> None:
        if name in self._here:
            column = self._here[name]
            self._becomes[column] = target
            self._says[column] = said or MEANINGS.get(target or "", target or "left out")

    def _has(self, *targets: str) -> bool:
        return not set(targets).isdisjoint(self._becomes.values())

    def _first(self, names: Sequence[str]) -> str:
        return next(iter(self._free(names)), "\0")

    def _free(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self._here and self._here[name] not in self._becomes]

    def _choices_here(self) -> bool:
        return bool(self._facts.choices) and set(self._facts.choices) <= set(self._here.values())

    def _language(self) -> str:
        """The column that names the language of translated questions; "" where there are none."""
        translated = any(REWORDINGS.get(name) == "#translated" for name in self._here)
        return next((name for name in LANGUAGES if translated and name in self._here), "")

    def _talks(self) -> list[str]:
        """Columns that hold conversations and are not called prompt."""
        held = self._facts.conversations
        return [name for name, column in self._here.items() if column in held and name not in PROMPTS]


def _which(ours: str, first: str, second: str) -> AmbiguousColumns:
    return AmbiguousColumns(
        f"both `{first}` and `{second}` could be the {ours}s",
        f'Say which: columns = {{ {_key(first)} = "{ours}" }}',
        second,
    )


def _key(column: str) -> str:
    """A column as TOML writes a key."""
    return column if re.fullmatch(r"[A-Za-z0-9_-]+", column) else f'"{column}"'


def _meant(column: str) -> str:
    """The known column that this one seems to be, or ""."""
    plain = column.strip().lower().replace(" ", "_").replace("-", "_")
    if canonical(column) != column:
        return canonical(column)
    # Two swapped letters of a short word give 0.83, and so does a known word with another behind it (`prompt_id`).
    cutoff = 0.85 if "_" in plain else 0.8
    known = [
        name
        for name in (*OURS, "translated_question", "misspelled_question")
        if name not in (*SPELT_BY_CHANCE, "accepted_answers")
    ]
    return next(iter(difflib.get_close_matches(plain, known, n=1, cutoff=cutoff)), "")
