"""What the values of a whole probe file tell about its columns, where names do not: see `columns.ColumnFacts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backends.probes.choices import choice_columns, in_columns, names_an_option, place_of
from backends.probes.columns import AmbiguousColumns, ColumnFacts, plan
from backends.probes.conversations import is_conversation
from backends.probes.names import ANSWER_KEYS, CONVERSATIONS, INDEX, LABELS, PROMPTS, SAME, canonical
from backends.probes.rows import Row, RowProblem
from backends.probes.settings import COLUMNS as SETTINGS
from backends.probes.values import list_of, texts_of

_OF_TEXT = frozenset(
    [
        "answer",
        "paraphrased_prompt",
        "paraphrased_answer",
        "perturbed_answers",
        "options",
        "key_fact",
        "accepted_answers",
        "answer_prefix",
    ]
)
_CLASSES = frozenset(("0", "1", "-1", "0.0", "1.0", "true", "false"))


def column_facts(
    rows: Sequence[Row], columns: Sequence[str], *, table: bool, pictures: bool | None, own_seeds: bool
) -> ColumnFacts:
    """The facts of a file.

    Args:
        rows: those that could be read, their columns renamed as the study says.
        columns: all of them.
        table: cells hold lists as text.
        pictures: the prompts are for image models; None asks the columns.
        own_seeds: the seeds and guidance of rows are used.

    Raises:
        Ask: two columns could be the same.
    """
    facts = ColumnFacts(
        tuple(columns),
        own_seeds=own_seeds,
        conversations=frozenset(
            column
            for column in columns
            if canonical(column) in (*CONVERSATIONS, *PROMPTS)
            and is_conversation(
                _read(next(_values(rows, column), None), table=table or canonical(column) in CONVERSATIONS)
            )
        ),
        index=frozenset(
            column for column in columns if INDEX.fullmatch(column.strip().lower()) and _counts(rows, column)
        ),
        classes=frozenset(
            column for column in columns if canonical(column) in LABELS and _is_class(rows, column)
        ),
        lists=frozenset(column for column in columns if _is_plain_list(rows, column, table=table)),
    )
    facts = replace(facts, choices=_choices(rows, facts))
    return replace(facts, pictures=_for_pictures(facts) if pictures is None else pictures)


def first_number(rows: Iterable[Mapping[str, Any]], answers: str, count: int, usual: int | None) -> int:
    """From which number on the true choice is counted: 0 where one is 0, 1 where one is as high as there are choices.

    Args:
        rows: values by column.
        answers: column of the answers.
        count: how many choices there are.
        usual: where neither is there; None asks.

    Raises:
        Ask: it cannot be told.
    """
    numbers = {
        int(text) for row in rows if len(text := str(row.get(answers)).strip()) < 4 and text.isdecimal()
    }
    if not numbers or 0 in numbers:
        return 0
    if count in numbers and max(numbers) == count:
        return 1
    if usual is None:
        raise AmbiguousColumns(
            f"the numbers in `{answers}` may count the options from 0 or from 1",
            "Write the letter or the text of the true option",
            answers,
        )
    return usual


def options_are_named(rows: Sequence[Row], options: str, answers: str, *, table: bool) -> int | None:
    """Whether answers name one of the row's options by letter or number: from which number, or None for texts.

    Raises:
        Ask: from which number they count cannot be told.
    """
    named, most, by_number = False, 0, False
    for row in rows:
        value, answer = row.values.get(options), row.values.get(answers)
        if value is None or answer is None:
            continue
        value = _read(value, table=table)
        if isinstance(value, dict):
            named = True
            continue
        try:
            texts = texts_of(options, value, table=table)
        except RowProblem:
            continue
        if names_an_option(answer, texts):
            named, most = True, max(most, len(texts))
            by_number = by_number or str(answer).strip().isdecimal()
        elif not isinstance(answer, str) or answer.strip() not in texts:
            return None
    if not named:
        return None
    return first_number((row.values for row in rows), answers, most, None) if by_number else 0


def _choices(rows: Sequence[Row], facts: ColumnFacts) -> dict[str, str]:
    """Columns that hold one choice each, where the answer of at least one row is one of them."""
    found = choice_columns(facts.columns)
    key = next(
        (column for name in ANSWER_KEYS for column in facts.columns if facts.known(column) == name), ""
    )
    if not found or not key:
        return {}
    first = first_number((row.values for row in rows), key, len(found), 1 if "1" in found.values() else 0)
    return found if any(_fits(row, found, key, first) for row in rows) else {}


def _fits(row: Row, found: Mapping[str, str], key: str, first: int) -> bool:
    try:
        place_of(row.values.get(key), in_columns(row.values, found, first))
    except RowProblem:
        return False
    return True


def check_letters(rows: Sequence[Row], choices: str, answers: str, *, table: bool) -> None:
    """Refuse answers that seem to count `choices` from 1: the field's files count them from 0.

    Raises:
        Ask: one answer is as high as there are choices, none is 0, and there are several.
    """
    numbers: list[int] = []
    last = False
    for row in rows:
        text, held = str(row.values.get(answers)).strip(), _read(row.values.get(choices), table=table)
        if len(text) < 4 and text.isdecimal() and isinstance(held, list):
            numbers.append(int(text))
            last = last or int(text) == len(held)
    if last and len(numbers) > 1 and 0 not in numbers:
        raise AmbiguousColumns(
            f"the numbers in `{answers}` seem to count the choices from 1, and are read from 0",
            "Write letters, or count from 0",
            answers,
        )


def _for_pictures(facts: ColumnFacts) -> bool:
    """A file without answers, choices or questions by name is one of prompts for pictures."""
    drawn = set(SETTINGS) | {"sd_seed", "case_number"}
    names = {facts.known(column) for column in facts.columns}
    as_text = plan(facts.columns, facts)
    meant = {SAME.get(name, name) for name in as_text.alike.values()}
    if as_text.answered or _OF_TEXT & (meant | {target for target in as_text.becomes.values() if target}):
        return False
    if {"chosen", "rejected"} & names:
        return False
    if drawn & names:
        return True
    return "prompt" in names or not as_text.prompted


def _values(rows: Sequence[Row], column: str) -> Iterator[Any]:
    return (value for row in rows if (value := row.values.get(column)) is not None and value != "")


def _read(value: Any, *, table: bool) -> Any:
    try:
        if not table or not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
            return value
        return list_of("", value, table=table)
    except RowProblem:
        return value


def _counts(rows: Sequence[Row], column: str) -> bool:
    found = False
    for value in _values(rows, column):
        found = True
        text = str(value).strip()
        if isinstance(value, bool) or not text.removesuffix(".0").isdecimal():
            return False
    return found


def _is_plain_list(rows: Sequence[Row], column: str, *, table: bool) -> bool:
    first = _read(next(_values(rows, column), None), table=table)
    return isinstance(first, list) and not is_conversation(first)


def _is_class(rows: Sequence[Row], column: str) -> bool:
    result = {str(value).strip().lower() for value in _values(rows, column)}
    return bool(result) and result <= _CLASSES
