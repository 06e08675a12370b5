"""Worked examples that go before every prompt of a probe set, as MUSE's `knowmem.py` puts its `*_qa_icl` files there.

Knows nothing about models or protocols: what comes out is a prompt format, see `Probe`.
"""

from __future__ import annotations

from pathlib import Path

from backends.errors import StudyError
from backends.probes.reading import read_probes
from backends.study import RAW_TEXT

QUESTION = "Question: {prompt}\nAnswer: "
"""MUSE's form of a question, and of each example, which its answer and an empty line follow."""


def format_with_examples(path: Path, form: str = "") -> str:
    """The prompt format in which the questions and answers of a file come first, each in the form of the question.

    Args:
        path: a probe file; of its rows the prompts and answers are taken.
        form: of a question; "" is MUSE's.

    Raises:
        StudyError: the file cannot be used, or an example has no answer or holds the place of the prompt.
    """
    form = form or QUESTION
    parts: list[str] = []
    for probe in read_probes(path, "utility").probes:
        if not probe.answer:
            raise StudyError(
                "a worked example has no answer",
                where=f"{path}, {probe.id}",
                how="Add one, or remove the example",
            )
        if RAW_TEXT in probe.prompt + probe.answer:
            raise StudyError(
                f"a worked example holds {RAW_TEXT}", where=f"{path}, {probe.id}", how="Reword it"
            )
        parts.append(f"{form.replace(RAW_TEXT, probe.prompt)}{probe.answer}\n\n")
    return "".join([*parts, form])
