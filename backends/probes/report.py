"""What a person should know of how a probe file was read, in sentences: what may be wrong first, then what was done."""

from __future__ import annotations

import re
from collections.abc import Sequence

from backends.files.plain import storable
from backends.probes.benchmarks import RAW
from backends.probes.building import ReadingLog
from backends.probes.columns import ColumnFacts, ColumnPlan
from backends.probes.names import LABELS
from backends.probes.rewordings import rewordings_note
from backends.study import Probe

_LETTER = re.compile(r"\(?[A-Ja-j][).]?")
_SHORT = 300
_MANY, _FEW = 10, 5
UNSURE = (
    "NO ANSWERS FOUND: these are read as prompts for image models; a study of language models reads them as "
    "questions (--modality text)"
)


def alarms(
    probes: Sequence[Probe], plan: ColumnPlan, facts: ColumnFacts, labels: Sequence[str], *, asked: bool
) -> tuple[str, ...]:
    """What makes numbers wrong or missing, if it is not meant.

    Args:
        probes: of the file.
        plan: for all of its columns.
        facts: of the file.
        labels: columns that are kept as labels.
        asked: somebody said whether the probes are for image models.
    """
    if not probes:
        return ()
    if facts.pictures:
        drawn = asked or any(probe.own for probe in probes) or plan.shape
        return () if drawn else (UNSURE,)
    result = []
    if not any(probe.answer for probe in probes):
        named = labels or list(plan.alike)
        what = "NO ANSWERS FOUND: answers are generated for these probes, but nothing is scored."
        if named:
            what += f" Left over: {', '.join(named[:8])}. If a column holds the answers, map it: "
            what += f'columns = {{ "{named[0]}" = "answer" }}'
        result.append(what)
    answered = [probe for probe in probes if probe.answer]
    if answered and all(_LETTER.fullmatch(probe.answer) and not probe.options for probe in answered):
        result.append(
            "EVERY ANSWER IS A LETTER, and no choices were found: the letters are scored as they stand. If they name "
            "choices, give these in `choices` or in columns A, B, C, D"
        )
    if label := _classes(answered, plan, facts):
        result.append(
            f"THE ANSWERS IN `{label}` ARE THE SAME FEW WORDS: are they classes? Then leave them out: "
            f'columns = {{ "{label}" = "" }}'
        )
    if plan.shape == RAW and all(_is_question(probe.answer) for probe in probes):
        result.append(
            "EVERY TEXT IS A QUESTION: they are scored as raw text. If they are questions to answer: "
            'columns = { text = "prompt" }'
        )
    return tuple(result)


def notes(probes: Sequence[Probe], plan: ColumnPlan, facts: ColumnFacts, seen: ReadingLog) -> tuple[str, ...]:
    """What was done with what is not plain, and what was left out."""
    result = [
        f'`{column}` looks like `{meant}` and is left out; to take it: columns = {{ "{column}" = "{meant}" }}'
        for column, meant in plan.alike.items()
    ]
    result += [
        f"`{column}`: {lost.what} are not kept as a label ({_rows(lost.count)}, the first is {lost.where})"
        for column, lost in seen.left_out.items()
    ]
    result += [
        f"`{column}` is an object that counts its texts, from {where} on: they are taken in its order"
        for column, where in seen.lists.items()
    ]
    if not facts.pictures:
        result += _of_answers(probes)
    result += [said] if (said := rewordings_note(probes)) else []
    return tuple(map(storable, result))


def _classes(answered: Sequence[Probe], plan: ColumnPlan, facts: ColumnFacts) -> str:
    """The column of answers that is called label or target, where it has hardly any answers to many questions."""
    source = next((column for column, target in plan.becomes.items() if target == "answer"), "")
    told = len({probe.answer for probe in answered})
    few = len(answered) > 1 and (told == 1 or (len(answered) >= _MANY and told <= _FEW))
    choices = any(probe.options for probe in answered)
    return source if few and not choices and facts.known(source) in LABELS else ""


def _of_answers(probes: Sequence[Probe]) -> list[str]:
    result = []
    empty = [probe for probe in probes if not probe.answer]
    if empty and len(empty) < len(probes):
        result.append(f"{_rows(len(empty))} without an answer, which are not scored, first {empty[0].id}")
    if more := sum(1 for probe in probes if probe.accepted):
        result.append(
            f"{_rows(more)} with several accepted answers: the first is scored, each counts as correct in "
            "a generated answer"
        )
    if talks := sum(1 for probe in probes if probe.turns):
        result.append(f"{_rows(talks)} with earlier turns, which precede the prompt")
    begun = [probe for probe in probes if probe.answer_prefix]
    if begun:
        result.append(f"{_rows(len(begun))} whose answer is begun with a given text, which is not scored")
    if joined := [probe for probe in begun if _one_word(probe.answer_prefix, probe.answer)]:
        result.append(
            f"{_rows(len(joined))} without a space between the given beginning and the answer, which are one text, "
            f"first {joined[0].id}: end the beginning or begin the answer with a space, if words part there"
        )
    return result


def _one_word(prefix: str, answer: str) -> bool:
    """Letters or digits meet where the answer goes on."""
    return prefix[-1:].isalnum() and answer[:1].isalnum()


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _is_question(text: str) -> bool:
    return text.rstrip().endswith("?") and len(text) < _SHORT
