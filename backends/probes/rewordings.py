"""Further questions for a probe's answer, from columns of their own, see `Probe.rewordings`. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from backends.probes.rows import RowProblem, shown
from backends.probes.values import list_of, text_of
from backends.study import Probe

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "#translated": "translated",
        "#alias": "alias",
        "#hop": "hop",
        "#misspelled": "misspelled",
    }
)
"""What a column becomes, and the kind of its texts."""
LANGUAGE = "#language"
UNSAID_LANGUAGE = "another language"


def rewordings_of(
    ours: Mapping[str, Any], theirs: Mapping[str, str], *, table: bool
) -> tuple[tuple[str, str], ...]:
    """A row's further questions, (kind, text), empty ones left out.

    A cell holds one text or a list of them; that of translations may also be an object with a text for each language.

    Args:
        ours: the row's values by what they become.
        theirs: the columns that they come from.
        table: lists and objects are written as text.

    Raises:
        RowProblem: a value is something else.
    """
    result: list[tuple[str, str]] = []
    for target, kind in KINDS.items():
        if target not in ours:
            continue
        column = theirs[target]
        value = _written(column, ours[target], table=table)
        if kind == "translated":
            languages = value if isinstance(value, dict) else {_language(ours, theirs): value}
            for language, said in languages.items():
                result += [(f"{kind}:{language}", text) for text in _texts(column, said)]
        else:
            result += [(kind, text) for text in _texts(column, value)]
    return tuple(result)


def rewordings_note(probes: Sequence[Probe]) -> str:
    """How many further questions of each kind there are, in a sentence; "" without any."""
    counts = Counter(kind for probe in probes for kind, _ in probe.rewordings)
    told = ", ".join(f"{kind.replace(':', ': ')} ({count:,})" for kind, count in counts.items())
    return f"further questions for the same answers, which only attacks ask: {told}" if told else ""


def _language(ours: Mapping[str, Any], theirs: Mapping[str, str]) -> str:
    said = text_of(theirs[LANGUAGE], ours[LANGUAGE]).strip() if LANGUAGE in ours else ""
    return said or UNSAID_LANGUAGE


def _written(column: str, value: Any, *, table: bool) -> Any:
    """A list or object that a cell of a table writes out; a bar in a question is no border of texts."""
    if not table or not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    return list_of(column, value, table=True)


def _texts(column: str, value: Any) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise RowProblem(f"`{column}` must be a question or a list of them, not {shown(value)}")
    return [text for each in texts if (text := text_of(column, each)).strip()]
