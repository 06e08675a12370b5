"""Rows of the field's benchmarks in this tool's columns: MUSE, WMDP and MMLU, RWKU, LUME, TOFU's options.

Only whole shapes are recognised; a column that merely has one of these names stays what it is. Files of TOFU need no
change but for `option1` to `option4`. Pure functions on rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

LETTERS = "ABCDEFGHIJ"
NUMBERED = tuple(f"option{number}" for number in range(1, 10))
CHOICES = ("choices", *NUMBERED)
"""Columns that `with_choices` takes apart."""


class RowProblem(Exception):
    """Why one row cannot be used; collected, so that a person sees the first few at once."""


class Shape(NamedTuple):
    """A benchmark's columns.

    Attributes:
        needs: columns by which its rows are recognised.
        names: its columns and ours.
        tags: columns that become tags ("level 2"), so that they can be filtered by.
    """

    needs: frozenset[str]
    names: Mapping[str, str]
    tags: tuple[str, ...] = ()


def _shape(needs: str, names: Mapping[str, str], *tags: str) -> Shape:
    return Shape(frozenset(needs.split()), MappingProxyType(dict(names)), tags)


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "MUSE VerbMem": _shape("prompt gt", {"gt": "answer"}),
        "RWKU": _shape("query answer", {"query": "prompt"}, "level", "type"),
        "LUME": _shape("input output task", {"input": "prompt", "output": "answer"}, "task"),
    }
)
"""By name; the first whose columns are all there and whose names are not taken fits."""


def in_our_columns(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with a recognised benchmark's columns renamed; as it is where none is recognised."""
    for shape in SHAPES.values():
        taken = {ours for theirs, ours in shape.names.items()} & values.keys()
        if shape.needs <= values.keys() and not taken:
            row = {shape.names.get(name, name): v for name, v in values.items() if name not in shape.tags}
            tags = [f"{name} {values[name]}" for name in shape.tags if values.get(name) not in (None, "")]
            return row | ({"tags": tags} if tags and "tags" not in row else {})
    return values


def with_choices(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with its choices taken apart into the true answer and the wrong options.

    WMDP and MMLU give `choices` and the place of the true one in `answer` (from 0, or a letter); TOFU's real authors
    and world facts give `option1` to `option4`, one of which is the answer.

    Raises:
        RowProblem: the answer is none of the choices.
    """
    if "choices" in values and "options" not in values:
        choices = values["choices"]
        if not isinstance(choices, list) or len(choices) < 2:
            raise RowProblem("`choices` must be a list of two or more texts")
        place = _place(values.get("answer"), choices)
        rest = {name: value for name, value in values.items() if name != "choices"}
        return rest | {"answer": choices[place], "options": [*choices[:place], *choices[place + 1 :]]}
    numbered = [name for name in NUMBERED if name in values]
    if len(numbered) > 1 and "options" not in values:
        rest = {name: value for name, value in values.items() if name not in numbered}
        wrong = [values[name] for name in numbered if values[name] not in (None, values.get("answer"))]
        return rest | {"options": wrong}
    return values


def _place(answer: Any, choices: list[Any]) -> int:
    """Where the true answer stands among the choices."""
    text = str(answer).strip() if isinstance(answer, str | int) and not isinstance(answer, bool) else ""
    if text.isdecimal() and int(text) < len(choices):
        return int(text)
    if len(text) == 1 and text.upper() in LETTERS[: len(choices)]:
        return LETTERS.index(text.upper())
    if answer in choices:
        return choices.index(answer)
    raise RowProblem(f"its answer is none of the {len(choices)} choices, neither by number, letter nor text")
