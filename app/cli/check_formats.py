"""A checked contract for a terminal, JSON, Markdown, JUnit and GitHub Actions. Names of models are hostile text."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from app.cli.terminal import printable
from app.shared.contract_words import condition_text, said
from cache.analysis.contract import Checked, outcome_of

if TYPE_CHECKING:
    from backends.study import Study

WIDEST = 40
"""Characters of a model's name in the terminal."""


def as_table(study: Study, checked: Sequence[Checked]) -> Iterator[str]:
    """A line for each condition and model, then one for all; no line begins with a name."""
    names = _short({each.model: printable(each.model) for each in checked})
    name_width = max(len(name) for name in names.values())
    texts = {each.condition: printable(condition_text(each.condition)) for each in checked}
    text_width = max(len(text) for text in texts.values())
    for each in checked:
        name, text = names[each.model], texts[each.condition]
        yield f"{each.outcome:<9}  {name:<{name_width}}  {text:<{text_width}}  {said(each)}".rstrip()
    yield summary(study, checked)


def as_json(study: Study, checked: Sequence[Checked]) -> dict[str, Any]:
    """Everything as JSON knows it; null for numbers that are not known or not finite."""
    return {
        "study": study.name,
        "outcome": outcome_of(checked),
        "conditions": [
            {
                "model": each.model,
                "key": each.condition.key,
                "condition": each.condition.text,
                "line": each.condition.line,
                "outcome": each.outcome,
                **{
                    name: _plain(number)
                    for name, number in (
                        ("value", each.value),
                        ("held_against", each.line),
                        ("difference", each.difference),
                        ("low", each.low),
                        ("high", each.high),
                    )
                },
                "units": each.units,
                "things": each.things,
                "needed": each.needed or None,
                "why": each.why,
            }
            for each in checked
        ],
    }


def as_markdown(study: Study, checked: Sequence[Checked]) -> str:
    """A table with a line above it."""
    rows = [
        f"| {each.outcome} | {_code(each.model)} | {_code(condition_text(each.condition))} | {_cell(said(each))} |"
        for each in checked
    ]
    return "\n".join(
        [_cell(summary(study, checked)), "", "| | model | condition | found |", "|---|---|---|---|", *rows]
    )


def as_junit(study: Study, checked: Sequence[Checked]) -> bytes:
    """JUnit XML: a test suite for each model, a test for each condition.

    What is broken is a failure. What is undecided is an error: the test could not tell, which is not a pass.
    """
    root = ElementTree.Element("testsuites", {"name": printable(study.name), **_counts(checked)})
    for model in dict.fromkeys(each.model for each in checked):
        own = [each for each in checked if each.model == model]
        suite = ElementTree.SubElement(root, "testsuite", {"name": printable(model), **_counts(own)})
        for each in own:
            name = printable(condition_text(each.condition))
            case = ElementTree.SubElement(suite, "testcase", classname=printable(model), name=name)
            if each.outcome != "holds":
                kind = "failure" if each.outcome == "broken" else "error"
                ElementTree.SubElement(case, kind, type=each.outcome, message=printable(said(each)))
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def as_annotations(study: Study, checked: Sequence[Checked]) -> Iterator[str]:
    """A workflow command of GitHub Actions for every condition that does not hold, at its line of the study file."""
    for each in checked:
        if each.outcome != "holds":
            command = "error" if each.outcome == "broken" else "warning"
            file = _property(_from_here(study.path))
            title = _property(f"Contract {each.outcome}")
            message = f"{each.model}: {condition_text(each.condition)}: {each.outcome}, {said(each)}"
            yield f"::{command} file={file},line={each.condition.line},title={title}::{_message(message)}"


def summary(study: Study, checked: Sequence[Checked]) -> str:
    """One sentence on all of it."""
    counts = Counter(each.outcome for each in checked)
    told = ", ".join(f"{counts[name]} {name}" for name in ("holds", "broken", "undecided") if counts[name])
    models = len({each.model for each in checked})
    told = told.replace(" holds", " hold" if counts["holds"] != 1 else " holds")
    return f"Contract of {printable(study.name)}: {told} ({models} {'model' if models == 1 else 'models'})."


def _counts(checked: Sequence[Checked]) -> dict[str, str]:
    counts = Counter(each.outcome for each in checked)
    return {
        "tests": str(len(checked)),
        "failures": str(counts["broken"]),
        "errors": str(counts["undecided"]),
    }


def _code(text: str) -> str:
    """A name in a Markdown table: GitHub makes no mention, link or emoji of what stands in code."""
    return f"<code>{_cell(text)}</code>"


def _cell(text: str) -> str:
    """Text in a Markdown table: no character of it is taken for Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>#|~&@:$])", lambda found: f"&#{ord(found[0])};", printable(text))


def _message(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _from_here(path: Path | None) -> str:
    """The file as GitHub names it: from the top of the checkout, where it is below it."""
    if path is None:
        return "study.toml"
    top = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else str(path)


def _short(names: Mapping[str, str]) -> dict[str, str]:
    """Names cut in the middle, where they end differently; in full where two would look alike."""
    cut = {name: _cut(text) for name, text in names.items()}
    counts = Counter(cut.values())
    return {name: text if counts[text] == 1 else names[name] for name, text in cut.items()}


def _cut(name: str) -> str:
    half = (WIDEST - 1) // 2
    return name if len(name) <= WIDEST else f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[half + 1 - WIDEST :]}"


def _plain(number: float) -> float | None:
    return number if math.isfinite(number) else None
