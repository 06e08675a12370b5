"""One row of a probe file into one probe, as the plan for its columns says. Knows nothing of files.

A row that cannot be used raises `RowProblem`; a further column never does: what cannot be kept of it is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backends.probes.benchmarks import WRITTEN
from backends.probes.choices import as_letters, as_texts, in_columns, lettered_prompt, of_list, of_targets
from backends.probes.columns import CHOICE, CONVERSATION, INPUT, LABEL, ColumnPlan
from backends.probes.conversations import conversation, history, is_conversation
from backends.probes.rewordings import rewordings_of
from backends.probes.rows import EmptyPrompt, RepeatedKeys, Row, RowProblem, shown
from backends.probes.settings import OwnSettings, own_settings
from backends.probes.values import Answers, answers_of, list_of, plain_text, text_of, texts_of
from backends.study import RAW_TEXT, Probe, Role, Turns

MANY = ("answers", "references", "targets", "labels")
"""Columns of answers whose cells hold lists."""
LONGEST_LABEL = 100_000
"""Characters; what is longer is no label that anybody reads or filters by."""


@dataclass(slots=True)
class LostValues:
    """Values of one further column that could not be kept: what they are, how many, and where the first is."""

    what: str
    where: str
    count: int = 1


@dataclass(slots=True)
class ReadingLog:
    """What was met on the way through a file.

    Attributes:
        labels: columns of which something was kept as a label or concept.
        left_out: column -> values of it that could not be kept.
        lists: columns whose lists were written as objects by index, and where first.
    """

    labels: set[str] = field(default_factory=set)
    left_out: dict[str, LostValues] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)

    def leave_out(self, column: str, what: str, where: str) -> None:
        """One value of a column cannot be kept."""
        known = self.left_out.setdefault(column, LostValues(what, where, 0))
        known.count += 1


@dataclass(frozen=True, slots=True)
class RowLayout:
    """How rows of one kind are read.

    Attributes:
        plan: what their columns become.
        role: of the probes.
        format: that the study gives, or "".
        table: cells hold lists as text.
        choices: columns that hold one choice each, and its name.
        first: the number of the first choice in columns.
        options: the number of the first option, where answers name one; None where they are texts.
        by_number: some answers are numbers of choices in columns.
    """

    plan: ColumnPlan
    role: Role
    format: str
    table: bool
    choices: Mapping[str, str]
    first: int
    options: int | None
    by_number: bool

    @property
    def prompt_column(self) -> str:
        """The column that prompts come from, or ""."""
        found = (column for column, target in self.plan.becomes.items() if target in ("prompt", CONVERSATION))
        return next(found, "")


def build(row: Row, default_id: str, way: RowLayout, seen: ReadingLog) -> Probe:
    """The probe of a row.

    Args:
        row: that could be read.
        default_id: where it has none of its own.
        way: how it is read.
        seen: records what was left out.

    Raises:
        RowProblem: it cannot be used.
    """
    ours, theirs, labels = _sorted(row, way, seen)
    form = way.format or way.plan.format
    prompt, turns = _asked(ours, theirs, way)
    answers = Answers("")
    options: tuple[str, ...] = ()
    if "#choices" in ours:
        prompt, answers, options = _lettered(prompt, ours, theirs, way, row)
        form = way.format or RAW_TEXT
    elif way.choices and CHOICE in way.plan.becomes.values():
        choices = in_columns(row.values, way.choices, way.first)
        answer, wrong = as_texts(choices, ours.pop("answer", None))
        answers, options = Answers(answer), tuple(wrong)
    elif "#targets" in ours:
        true, others, false = of_targets(list_of(theirs["#targets"], ours["#targets"], table=way.table))
        answers, options = Answers(true, tuple(others)), tuple(false)
    elif way.options is not None and ours.get("options") is not None and "answer" in ours:
        choices = of_list(theirs["options"], ours["options"], table=way.table)._replace(first=way.options)
        answer, wrong = as_texts(choices, ours["answer"])
        answers, options = Answers(answer), tuple(wrong)
    else:
        answers = _answers(ours, theirs, way)
        if "options" in ours:
            options = texts_of(theirs["options"], ours["options"], table=way.table)
            options = tuple(text for text in options if text != answers.answer)
    more = _list("accepted_answers", ours, theirs, way, row, seen)
    accepted = tuple(dict.fromkeys(text for text in (*answers.accepted, *more) if text != answers.answer))
    alone = form == RAW_TEXT and not prompt
    if alone and not answers.answer.strip():
        raise EmptyPrompt("its text is empty")
    if not alone and not prompt.strip():
        raise EmptyPrompt("its prompt is empty")
    own = own_settings(row.values, way.plan.settings) if way.plan.settings else OwnSettings()
    return Probe(
        id=_optional("id", ours, theirs, row, seen) or default_id,
        role=way.role,
        prompt=prompt,
        answer=answers.answer,
        paraphrased_prompt=_text("paraphrased_prompt", ours, theirs),
        paraphrased_answer=_one(ours, theirs, way),
        perturbed_answers=_list("perturbed_answers", ours, theirs, way, row, seen),
        options=options,
        key_fact=plain_text(theirs["key_fact"], ours["key_fact"]) if "key_fact" in ours else "",
        subject=_optional("subject", ours, theirs, row, seen, strip=False),
        tags=_tags(ours, theirs, way, row, seen),
        concepts=labels,
        format=form,
        seed=own.seed,
        guidance=own.guidance,
        turns=turns,
        accepted=accepted,
        answer_prefix=_text("answer_prefix", ours, theirs),
        rewordings=rewordings_of(ours, theirs, table=way.table),
    )


def _sorted(
    row: Row, way: RowLayout, seen: ReadingLog
) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """The values by what they become, the columns that they come from, and the labels."""
    ours: dict[str, Any] = {}
    theirs: dict[str, str] = {}
    labels: dict[str, str] = {}
    becomes = way.plan.becomes
    twice = row.values.names if isinstance(row.values, RepeatedKeys) else ()
    for column, value in row.values.items():
        target = becomes.get(column)
        if target is None or value is None or target == CHOICE:
            continue
        if column in twice:
            if target != LABEL:
                raise RowProblem(f"`{column}` is given twice")
            seen.leave_out(column, "given twice", row.where)
        elif target == LABEL:
            if label := _label(column, value, row.where, seen):
                labels[column] = label
        elif target in ours:
            raise RowProblem(f"both `{column}` and `{theirs[target]}` are given")
        else:
            ours[target] = value
            theirs[target] = column
    return ours, theirs, labels


def _label(column: str, value: Any, where: str, seen: ReadingLog) -> str:
    """A short text or number of a further column; anything else is left out, and counted."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            seen.leave_out(column, "text with a lone surrogate", where)
            return ""
        text = value.strip()
        if len(text) > LONGEST_LABEL:
            seen.leave_out(column, f"texts of more than {LONGEST_LABEL:,} characters", where)
            return ""
    elif isinstance(value, bool):
        seen.leave_out(column, "true or false", where)
        return ""
    elif isinstance(value, int | float):
        if not math.isfinite(value):
            seen.leave_out(column, str(value).replace("nan", "NaN"), where)
            return ""
        text = str(value)
    else:
        seen.leave_out(
            column, "lists or objects" if isinstance(value, list | dict) else type(value).__name__, where
        )
        return ""
    if text:
        seen.labels.add(column)
    return text


def _asked(ours: dict[str, Any], theirs: Mapping[str, str], way: RowLayout) -> tuple[str, Turns]:
    """The prompt, and what was said before it; an answer that stands in the conversation is put among `ours`."""
    turns: Turns = ()
    if CONVERSATION in ours or (way.plan.prompted and is_conversation(ours.get("prompt"))):
        target = CONVERSATION if CONVERSATION in ours else "prompt"
        column = theirs[target]
        value = list_of(column, ours[target], table=way.table or target == CONVERSATION)
        if not isinstance(value, list) or not value:
            raise RowProblem(f"`{column}` must be a list of turns, not {shown(value)}")
        last = ours.pop("answer") if is_conversation(ours.get("answer")) else None
        talk = conversation(column, value, last)
        if talk.answer and "answer" in ours:
            raise RowProblem(f"both `{column}` and `{theirs['answer']}` have an answer")
        if talk.answer:
            ours["answer"] = talk.answer
        prompt, turns = talk.prompt, talk.turns
    else:
        prompt = _text("prompt", ours, theirs)
    if "#history" in ours:
        turns = (
            *history(theirs["#history"], list_of(theirs["#history"], ours["#history"], table=way.table)),
            *turns,
        )
    if "#system" in ours and (said := text_of(theirs["#system"], ours["#system"])).strip():
        turns = (("system", said), *turns)
    if INPUT in ours and (said := text_of(theirs[INPUT], ours[INPUT])).strip():
        prompt = f"{prompt}\n\n{said}"
    if "#worked" in ours and (said := text_of(theirs["#worked"], ours["#worked"])).strip():
        prompt = f"{said.strip()}\n\nQ: {prompt}\nA:"
    return prompt, turns


def _lettered(
    prompt: str, ours: Mapping[str, Any], theirs: Mapping[str, str], way: RowLayout, row: Row
) -> tuple[str, Answers, tuple[str, ...]]:
    """A question with `choices`: asked with them, answered by a letter."""
    choices = of_list(theirs["#choices"], ours["#choices"], table=way.table)
    letter, wrong = as_letters(choices, ours.get("answer"))
    examples = None
    topic = ours.get("subject")
    if "#examples" in ours:
        examples = list_of(theirs["#examples"], ours["#examples"], table=way.table)
        topic = next((row.values[tag] for tag in way.plan.tags if row.values.get(tag)), topic)
        if not isinstance(examples, list):
            raise RowProblem(f"`{theirs['#examples']}` must be a list of questions, not {shown(examples)}")
    asked = prompt.strip()
    told = topic if isinstance(topic, str) else ""
    return lettered_prompt(asked, choices, told, examples) if asked else "", Answers(letter), tuple(wrong)


def _answers(ours: Mapping[str, Any], theirs: Mapping[str, str], way: RowLayout) -> Answers:
    if "answer" not in ours:
        return Answers("")
    column = theirs.get("answer", "answer")
    many = column.strip().lower() in MANY
    return answers_of(column, ours["answer"], table=way.table, many=many)


def _one(ours: Mapping[str, Any], theirs: Mapping[str, str], way: RowLayout) -> str:
    """The paraphrased answer; a list of one is taken, of several nobody said which."""
    if "paraphrased_answer" not in ours:
        return ""
    column = theirs["paraphrased_answer"]
    answers = answers_of(column, ours["paraphrased_answer"], table=way.table, many=False)
    if answers.accepted:
        raise RowProblem(f"`{column}` has several texts, and only one is scored; keep one")
    return answers.answer


def _text(name: str, ours: Mapping[str, Any], theirs: Mapping[str, str]) -> str:
    return text_of(theirs[name], ours[name]) if name in ours else ""


def _list(
    name: str, ours: Mapping[str, Any], theirs: Mapping[str, str], way: RowLayout, row: Row, seen: ReadingLog
) -> tuple[str, ...]:
    if name not in ours:
        return ()
    if isinstance(ours[name], dict):
        seen.lists.setdefault(theirs[name], row.where)
    value = ours[name]
    if way.table and way.plan.shape == WRITTEN and isinstance(value, str):
        value = [text.strip() for text in value.split(";") if text.strip()]
    return texts_of(theirs[name], value, table=way.table)


def _optional(
    name: str,
    ours: Mapping[str, Any],
    theirs: Mapping[str, str],
    row: Row,
    seen: ReadingLog,
    *,
    strip: bool = True,
) -> str:
    """An id or subject: what is no text or number is left out and counted, as of any further column."""
    if name not in ours:
        return ""
    value = ours[name]
    if isinstance(value, str) and not strip:
        return text_of(theirs[name], value)
    return _label(theirs[name], value, row.where, seen)


def _tags(
    ours: Mapping[str, Any], theirs: Mapping[str, str], way: RowLayout, row: Row, seen: ReadingLog
) -> tuple[str, ...]:
    if "tags" in ours:
        try:
            return texts_of(theirs["tags"], ours["tags"], table=way.table)
        except RowProblem:
            seen.leave_out(theirs["tags"], "no list of texts", row.where)
            return ()
    told = [tag for tag in way.plan.tags if row.values.get(tag) not in (None, "")]
    return tuple(
        f"{tag} {shown(value) if isinstance(value := row.values[tag], list | dict) else value}"
        for tag in told
    )
