"""Questions with choices: which answer is true, and how it is asked. Pure functions on rows.

`choices` become the prompt of lm-evaluation-harness, whose answer is a letter, so that the accuracy is the one that is
published. Choices in columns of their own (`A` to `D`, `option1` to `option4`), in `options` or in TruthfulQA's targets
are texts that are scored: the answer is the text that a letter or number names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from backends.probes.rows import RowProblem, shown
from backends.probes.values import list_of, plain_text

LETTERS = "ABCDEFGHIJ"
_COLUMN = re.compile(
    r"(?:(?:option|choice|opt)[ _-]?)?([a-z])|(?:option|choice|opt)[ _-]?([1-9])", re.IGNORECASE
)


class Choices(NamedTuple):
    """Texts to choose from, what names each ("B", "2"), and from which number they are counted."""

    texts: Sequence[str]
    names: Sequence[str]
    first: int = 0


def choice_columns(columns: Sequence[str]) -> dict[str, str]:
    """Columns that hold one choice each, and what names it: `A` to `D`, `option1` to `option4`, `choice_a`.

    A single letter alone is no choice, nor are letters that do not follow one another from A, or numbers from 1.
    """
    result: dict[tuple[str, bool, bool], list[tuple[str, str]]] = {}
    for column in columns:
        if _COLUMN.fullmatch(column.strip()):
            before, name = column.strip()[:-1].lower(), column.strip()[-1]
            result.setdefault((before, name.isdecimal(), name.isupper()), []).append((name.upper(), column))
    for each in result.values():
        names = [name for name, _ in sorted(each)]
        if len(each) > 1 and names in (list(LETTERS[: len(each)]), [str(n + 1) for n in range(len(each))]):
            return {column: name for name, column in sorted(each)}
    return {}


def in_columns(values: Mapping[str, Any], columns: Mapping[str, str], first: int = 0) -> Choices:
    """The choices of a row that stand in columns of their own; empty ones are none."""
    held = [
        (name, values[column]) for column, name in columns.items() if values.get(column) not in (None, "")
    ]
    if len(held) < 2:
        raise RowProblem("it has fewer than two choices")
    return Choices([plain_text(name, text) for name, text in held], [name for name, _ in held], first)


def of_list(column: str, value: Any, *, table: bool) -> Choices:
    """The choices of a list, or of an object with their names and texts (ARC) or texts by name (MedQA)."""
    value = list_of(column, value, table=table)
    names: Sequence[str] = LETTERS
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        label = value.get("label")
        names = [str(name).strip().upper() for name in label] if isinstance(label, list) else LETTERS
        value = value["text"]
    elif isinstance(value, dict):
        names = [str(name).strip().upper() for name in value]
        value = list(value.values())
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS) or len(names) < len(value):
        raise RowProblem(f"`{column}` must be a list of two to {len(LETTERS)} texts, not {shown(value)}")
    return Choices([plain_text(column, text) for text in value], list(names)[: len(value)])


def place_of(answer: Any, choices: Choices) -> int:
    """Where the true choice stands, from 0: by number, by letter or by its text.

    Raises:
        RowProblem: it is none of them, or could be two.
    """
    text = str(answer).strip() if isinstance(answer, str | int) and not isinstance(answer, bool) else ""
    same = [place for place, choice in enumerate(choices.texts) if text and choice.strip() == text]
    named = re.sub(r"^\(?([A-Za-z0-9])[).:]?$", r"\1", text).upper()
    result: list[int] = []
    if isinstance(answer, int) or (named.isdecimal() and len(named) < 4):
        place = int(named) - choices.first
        result = [place] if 0 <= place < len(choices.texts) else []
    if named in choices.names and not (isinstance(answer, int) and result):
        result = [choices.names.index(named)]
    if result and same and result[0] not in same and isinstance(answer, str):
        raise RowProblem(
            f"its answer {shown(answer)} is the text of one choice and the name of another; write the "
            "letter of the true one"
        )
    if result or same:
        return (result or same)[0]
    raise RowProblem(
        f"its answer {shown(answer)} is not one of the {len(choices.texts)} choices, neither by number (from "
        f"{choices.first}), letter nor text"
    )


def as_texts(choices: Choices, answer: Any) -> tuple[str, list[str]]:
    """The text of the true choice, and those of the others."""
    true = choices.texts[place_of(answer, choices)]
    return true, [text for text in choices.texts if text != true]


def as_letters(choices: Choices, answer: Any) -> tuple[str, list[str]]:
    """The letter of the true choice, and those of the others."""
    place = place_of(answer, choices)
    letters = LETTERS[: len(choices.texts)]
    return letters[place], [*letters[:place], *letters[place + 1 :]]


def lettered_prompt(question: str, choices: Choices, topic: str, examples: Any) -> str:
    """Question, lettered choices and "Answer:"; the topic in a line before them, with worked examples below it.

    Args:
        question: the question.
        choices: lettered in their order.
        topic: "abstract_algebra", or "" for no line.
        examples: list of questions with `question`, `choices` and `answer`, or None.

    Raises:
        RowProblem: an example is none.
    """
    topic = topic.replace("_", " ").strip()
    head = f"The following are multiple choice questions (with answers) about {topic}.\n\n" if topic else ""
    return head + "".join(map(_example, examples or [])) + _lettered(question, choices)


def _example(example: Any) -> str:
    if not isinstance(example, dict) or not {"question", "choices", "answer"} <= example.keys():
        raise RowProblem(f"its worked example {shown(example)} has no question, choices and answer")
    choices = of_list("choices", example["choices"], table=False)
    letter, _ = as_letters(choices, example["answer"])
    return f"{_lettered(plain_text('question', example['question']).strip(), choices)} {letter}\n\n"


def _lettered(question: str, choices: Choices) -> str:
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices.texts, strict=False)]
    return "\n".join([question, *lines, "Answer:"])


def of_targets(value: Any) -> tuple[str, list[str], list[str]]:
    """TruthfulQA's targets: the first true one, further true ones, and the false ones.

    Raises:
        RowProblem: they are none, or none of them is true.
    """
    texts, labels = (value.get("choices"), value.get("labels")) if isinstance(value, dict) else (None, None)
    if not isinstance(texts, list) or not isinstance(labels, list) or len(texts) != len(labels):
        raise RowProblem(f"its targets must have `choices` and as many `labels`, not {shown(value)}")
    true = [plain_text("choices", text) for text, label in zip(texts, labels, strict=True) if label == 1]
    false = [plain_text("choices", text) for text, label in zip(texts, labels, strict=True) if label != 1]
    if not true:
        raise RowProblem("none of its targets is marked as true")
    return true[0], true[1:], false


def names_an_option(answer: Any, options: Sequence[str]) -> bool:
    """An answer beside a list of options is the letter or number of one of them, and no text of its own."""
    text = str(answer).strip() if isinstance(answer, str | int) and not isinstance(answer, bool) else ""
    if not text or text in options or len(options) < 2:
        return False
    if re.fullmatch(r"\(?[A-Ja-j][).]?", text):
        return LETTERS.index(text.strip("().").upper()) < len(options) and not all(
            len(o) == 1 for o in options
        )
    return (
        text.isdecimal() and int(text[:9]) <= len(options) and not any(o.strip().isdecimal() for o in options)
    )
