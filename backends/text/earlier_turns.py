"""What was said before a prompt, as a chat template takes it or as plain text. Knows nothing of tokens or models."""

from __future__ import annotations

from backends.study import RAW_TEXT, Turns

REASONING = ("<think>", "</think>")
"""Marks of thoughts, which templates leave out of earlier answers on purpose."""


def as_plain_text(turns: Turns, form: str) -> str:
    """Earlier turns in front of a prompt that is asked without a chat template, as worked examples stand there.

    Args:
        turns: (role, text) in order.
        form: what is put around a prompt; every question has it.

    Returns:
        The system text and each question with its answer, an empty line after each; "" where there are no turns.
    """
    parts: list[str] = []
    for role, text in turns:
        if role == "system":
            parts.append(f"{text}\n\n")
        elif role == "user":
            parts.append(form.replace(RAW_TEXT, text))
        else:
            space = "" if not parts or parts[-1][-1:].isspace() else " "
            parts.append(f"{space}{text}\n\n")
    return "".join(parts)


def left_out(turns: Turns, rendered: str) -> str:
    """Role of the first turn that is not in what a chat template made of it, or ""."""
    for role, text in turns:
        if text.strip() not in rendered and not any(mark in text for mark in REASONING):
            return role
    return ""
