"""Conversations as rows: chat `messages`, ShareGPT's `conversations`, history and system text. Pure functions.

The last turn of the assistant is the answer, the user's before it the prompt, and what was said earlier are turns.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from backends.probes.rows import RowProblem, shown
from backends.probes.values import text_of
from backends.study import Turns

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "bing", "bard"), "assistant"),
}
"""What tools call who speaks, and what chat templates do."""


class Conversation(NamedTuple):
    """What is asked, what is answered ("" where nothing is), and what was said before."""

    prompt: str
    answer: str
    turns: Turns


def is_conversation(value: Any) -> bool:
    """A list of turns, each with who speaks."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and ("role" in each or "from" in each) for each in value)
    )


def conversation(column: str, value: Any, last: Any = None) -> Conversation:
    """A conversation taken apart.

    Args:
        column: in which it stands.
        value: its turns.
        last: turns that follow in another column, as TRL's `completion` does; None for none.

    Raises:
        RowProblem: a turn is none, tools speak, or nothing is asked.
    """
    turns = [turn for each in [*value, *(last or [])] if (turn := _turn(column, each))[1].strip()]
    for before, after in pairwise(turns):
        if before[0] == after[0] != "system":
            raise RowProblem(f"`{column}` has two turns of the {before[0]} one after another")
    answer = turns.pop()[1] if turns and turns[-1][0] == "assistant" else ""
    if not turns or turns[-1][0] != "user":
        raise RowProblem(f"`{column}` has no turn of the user that is answered last")
    prompt = turns.pop()[1]
    return Conversation(prompt, answer, tuple(turns))


def history(column: str, value: Any) -> Turns:
    """Earlier turns as pairs of what was asked and answered, as LLaMA-Factory writes them.

    Raises:
        RowProblem: they are none.
    """
    if not isinstance(value, list):
        raise RowProblem(f"`{column}` must be a list of pairs, not {shown(value)}")
    turns: list[tuple[str, str]] = []
    for pair in value:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RowProblem(f"`{column}` must be a list of pairs, not {shown(value)}")
        turns += zip(("user", "assistant"), (text_of(column, text) for text in pair), strict=True)
    return tuple(turns)


def _turn(column: str, each: Any) -> tuple[str, str]:
    if not isinstance(each, dict):
        raise RowProblem(f"`{column}` has a turn that is no object: {shown(each)}")
    said = each.get("role", each.get("from"))
    role = ROLES.get(said.strip().lower()) if isinstance(said, str) else None
    if role is None:
        raise RowProblem(
            f"`{column}` has a turn of {shown(said)}, which is neither system, user nor assistant"
        )
    content = next((each[name] for name in ("content", "value", "text") if each.get(name) is not None), "")
    if isinstance(content, list):
        content = _joined(column, content)
    return role, text_of(column, content)


def _joined(column: str, parts: list[Any]) -> str:
    """The text of a turn in parts."""
    texts = []
    for part in parts:
        if (
            not isinstance(part, dict)
            or part.get("type", "text") != "text"
            or not isinstance(part.get("text"), str)
        ):
            raise RowProblem(f"`{column}` has a part that is no text: {shown(part)}")
        texts.append(part["text"])
    return "\n".join(texts)
