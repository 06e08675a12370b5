"""Values of cells as texts: answers and lists in the forms that data sets have them. Pure functions on values.

Numbers and flags are text, as JSON writes them. What cannot be told from the value alone is refused with its column.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Any, NamedTuple

from backends.probes.rows import RowProblem, shown

_SPACED = re.compile(r"""['"]\s+['"]""")
"""Two texts with only a space between: numpy's way of printing a list, in which their ends cannot be told."""


class Answers(NamedTuple):
    """The answer that is scored, and further ones that count as true."""

    answer: str
    accepted: tuple[str, ...] = ()


def text_of(column: str, value: Any) -> str:
    """A text, kept as it is.

    Raises:
        RowProblem: it is none, or cannot be written anywhere.
    """
    if not isinstance(value, str):
        raise RowProblem(f"`{column}` must be text, not {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        if "\udc80" <= value[error.start] <= "\udcff":
            raise RowProblem(f"`{column}` has bytes that are not UTF-8") from None
        raise RowProblem(f"`{column}` holds a lone surrogate (half a character)") from None
    return value


def plain_text(column: str, value: Any) -> str:
    """A text, a number or a flag as text.

    Raises:
        RowProblem: it is none of them, or no finite number.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise RowProblem(f"`{column}` is {value}, which is no finite number")
        return str(value)
    return text_of(column, value)


def answers_of(column: str, value: Any, *, table: bool, many: bool) -> Answers:
    """An answer, or the first of a list of accepted ones.

    Args:
        column: in which it stands.
        value: text, number, flag, a list of them, SQuAD's `{"text": [...]}`, TriviaQA's `{"value": ...}`
            with `aliases`, a turn or a list of one.
        table: it is a cell, so lists are written as text.
        many: such a column holds lists, so a text that is written like one is one.
    """
    if value is None:
        return Answers("")
    if isinstance(value, str) and table and (many or value.startswith(('{"', "{'"))):
        value = _written(column, value)
    if isinstance(value, dict):
        value = _in_object(column, value)
    if isinstance(value, list):
        texts = [
            _in_object(column, item) if isinstance(item, dict) else plain_text(column, item) for item in value
        ]
        flat = [text for each in texts for text in (each if isinstance(each, list) else [each])]
        told = list(dict.fromkeys(str(plain_text(column, text)) for text in flat))
        filled = [text for text in told if text.strip()]
        return Answers(filled[0], tuple(filled[1:])) if filled else Answers("")
    return Answers(plain_text(column, value))


def texts_of(column: str, value: Any, *, table: bool) -> tuple[str, ...]:
    """The texts of a list.

    Args:
        column: in which it stands.
        value: a list, one text, or an object whose names count from 0 or 1, as pandas writes a list by index.
        table: it is a cell, so a list is written as JSON, as Python prints it, or with `|` between.
    """
    if isinstance(value, str) and table:
        value = _written(column, value)
    if isinstance(value, dict) and value and _counts(value):
        value = list(value.values())
    items = [value] if isinstance(value, str | int | float) else value
    if not isinstance(items, list):
        raise RowProblem(f"`{column}` must be a list of texts, not {shown(value)}")
    texts = tuple(plain_text(column, item) for item in items)
    if not all(text.strip() for text in texts):
        raise RowProblem(f"`{column}` has an empty text in its list")
    return texts


def list_of(column: str, value: Any, *, table: bool) -> Any:
    """A value with what a cell of a table writes out, a list of objects for example, read."""
    return _written(column, value) if isinstance(value, str) and table else value


def _counts(value: dict[str, Any]) -> bool:
    numbers = [str(number) for number in range(len(value) + 1)]
    return list(value) in (numbers[:-1], numbers[1:])


def _in_object(column: str, value: dict[str, Any]) -> Any:
    """The answer or answers in an object."""
    for name in ("text", "value", "content", "answer"):
        if isinstance(value.get(name), str | int | float | list):
            first = value[name] if isinstance(value[name], list) else [value[name]]
            more = value.get("aliases")
            return [*first, *(more if isinstance(more, list) else [])]
    if value and _counts(value):
        return list(value.values())
    raise RowProblem(f"`{column}` must be text or a list of texts, not {shown(value)}")


def _written(column: str, cell: str) -> Any:
    """What a cell writes out: JSON, what Python prints, or texts with `|` between them."""
    text = cell.strip()
    if not text.startswith(("[", "{")):
        return [item.strip() for item in cell.split("|")]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if _SPACED.search(text) and "," not in _SPACED.sub(" ", text):
        raise RowProblem(
            f"`{column}` is a list as numpy prints it, without commas: write it as JSON ({shown(cell)})"
        )
    try:
        return ast.literal_eval(text)  # reads values, runs nothing
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return cell  # an answer may begin with a bracket
