"""Rows of the field's benchmarks in this tool's columns: MUSE, WMDP and MMLU, RWKU, LUME, raw text, TOFU's options.

Only whole shapes are recognised; a column that merely has one of these names stays what it is. Files of TOFU need no
change but for `option1` to `option4`. Pure functions on rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from backends.study import RAW_TEXT

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
        format: of its prompts, see `Probe`; "" is the model's chat template.
        forbids: columns that its rows do not have.
        drops: columns that are of no use here.
    """

    needs: frozenset[str]
    names: Mapping[str, str]
    tags: tuple[str, ...] = ()
    format: str = ""
    forbids: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()


class Shaped(NamedTuple):
    """A row in our columns, the format of its prompt, and the benchmark it was recognised as ("" for none)."""

    values: Mapping[str, Any]
    format: str = ""
    shape: str = ""


def _shape(
    needs: str,
    names: Mapping[str, str],
    *tags: str,
    format: str = "",
    forbids: str = "",
    drops: str = "",
) -> Shape:
    return Shape(
        frozenset(needs.split()),
        MappingProxyType(dict(names)),
        tags,
        format,
        frozenset(forbids.split()),
        frozenset(drops.split()),
    )


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "MUSE VerbMem": _shape("prompt gt", {"gt": "answer"}, format=RAW_TEXT),
        "RWKU": _shape("query answer", {"query": "prompt"}, "level", "type"),
        "LUME": _shape("input output task", {"input": "prompt", "output": "answer"}, "task"),
        # I2P and the lists of UnlearnDiffAtk, Ring-A-Bell and Six-CD; their seeds and guidance become tags where they
        # are not what the pictures are drawn with (see `probe_settings`)
        "prompts of UnlearnDiffAtk, I2P or Six-CD": _shape(
            "case_number prompt evaluation_seed",
            {"case_number": "id", "target": "subject"},
            *("evaluation_seed", "evaluation_guidance", "categories", "class"),
            drops="hard inappropriate_percentage nudity_percentage q16_percentage sd_safety_level sd_guidance_scale "
            "sd_seed sd_image_width sd_image_height sd_model lexica_url image_size",
        ),
        # MUSE's raw, privleak, scal and sust sets, the corpora of WMDP, RWKU's membership sets
        "raw text": _shape(
            "text", {"text": "answer"}, "ngram", format=RAW_TEXT, forbids="prompt question query input"
        ),
    }
)
"""By name; the first whose columns are all there and whose names are not taken fits."""


def in_our_columns(values: Mapping[str, Any], used: Collection[str] = ()) -> Shaped:
    """The row with a recognised benchmark's columns renamed; as it is where none is recognised.

    Columns that are used otherwise take part in recognising the row, and are left out of it.
    """
    for name, shape in SHAPES.items():
        taken = set(shape.names.values()) & values.keys()
        if shape.needs <= values.keys() and not taken and not shape.forbids & values.keys():
            row = {shape.names.get(column, column): v for column, v in values.items()}
            row = {
                column: v
                for column, v in row.items()
                if column not in shape.tags and column not in shape.drops and column not in used
            }
            told = [tag for tag in shape.tags if tag not in used and values.get(tag) not in (None, "")]
            tags = [f"{tag} {values[tag]}" for tag in told]
            row |= {"tags": tags} if tags and "tags" not in row else {}
            row |= {"prompt": ""} if "prompt" not in row else {}
            return Shaped(row, shape.format, name)
    return Shaped({column: v for column, v in values.items() if column not in used})


def shape_column(shape: str, column: str) -> str:
    """What a column of a recognised benchmark is taken for, or ""."""
    if shape not in SHAPES:
        return ""
    if column in SHAPES[shape].drops:
        return "not used"
    return "tag" if column in SHAPES[shape].tags else SHAPES[shape].names.get(column, "")


def with_choices(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The row with its choices taken apart into the true answer and the wrong options, and its prompt's format.

    WMDP and MMLU give `choices` and the place of the true one in `answer` (from 0, or a letter): they become the prompt
    of lm-evaluation-harness, whose answer is a letter, so that the accuracy is the one that is published. TOFU's real
    authors and world facts give `option1` to `option4`, one of which is the answer: the options' texts are scored.

    Raises:
        RowProblem: the answer is none of the choices.
    """
    if "choices" in values and "options" not in values:
        return _lettered(values), RAW_TEXT
    numbered = [name for name in NUMBERED if name in values]
    if len(numbered) > 1 and "options" not in values:
        rest = {name: value for name, value in values.items() if name not in numbered}
        wrong = [values[name] for name in numbered if values[name] not in (None, values.get("answer"))]
        return rest | {"options": wrong}, ""
    return values, ""


def _lettered(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Question, lettered choices, "Answer:"; the subject, where there is one, in a line before them."""
    choices = values["choices"]
    if not isinstance(choices, list) or not 2 <= len(choices) <= len(LETTERS):
        raise RowProblem(f"`choices` must be a list of two to {len(LETTERS)} texts")
    place = _place(values.get("answer"), choices)
    name = "prompt" if "prompt" in values else "question"
    subject = str(values.get("subject") or "").replace("_", " ").strip()
    before = (
        f"The following are multiple choice questions (with answers) about {subject}.\n\n" if subject else ""
    )
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    asked = str(values.get(name) or "").strip()
    letters = LETTERS[: len(choices)]
    rest = {key: value for key, value in values.items() if key != "choices"}
    return rest | {
        name: "\n".join([before + asked, *lines, "Answer:"]) if asked else "",
        "answer": letters[place],
        "options": [*letters[:place], *letters[place + 1 :]],
    }


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
