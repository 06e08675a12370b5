"""Pages of `docs/` that are made from the code: `python -m app.export.reference` writes them, a test compares them.

`docs/study-file.md` ends with every key of a study file, from the types that it is read into; `docs/metrics.md` is the
metrics' cards.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from backends.metrics import METRICS, MetricCard
from backends.metrics.intervals import interval_method
from backends.study import (
    ROLES,
    Decoding,
    Denoising,
    Features,
    JudgeSpec,
    ModelSpec,
    Reading,
    Sampling,
    Study,
)
from backends.study.attack_choice import AttackChoice
from backends.study.file import RANGES
from backends.study.request import Request
from backends.study.strength import DIALLED
from backends.study.thresholds import Thresholds

DOCS = Path(__file__).resolve().parents[2] / "docs"
START = "<!-- What follows is made from the code by `python -m app.export.reference`. -->"
SCALARS: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
}
QUESTIONS: Mapping[str, str] = {
    "memorisation": "Memorisation",
    "knowledge": "Knowledge",
    "forgetting": "Forgetting of concepts",
    "utility": "Utility",
    "privacy": "Privacy",
    "side effects": "Side effects",
    "collapse": "Collapse",
    "cost": "Cost",
}
BETTER: Mapping[str, str] = {
    "lower": "lower",
    "higher": "higher",
    "zero": "nearest to 0",
    "neutral": "neither",
}


class Section(NamedTuple):
    """One table of a study file: header, a sentence, the type that it is read into, and where the two differ.

    Attributes:
        header: as it stands in the file.
        text: what the table is for.
        source: the type whose fields are the keys, or None.
        hidden: fields that are no keys.
        extra: (key, kind, default, meaning) of keys that are no fields, before the others.
        kinds: kind of keys that the file writes otherwise than the type.
    """

    header: str
    text: str
    source: type | None = None
    hidden: tuple[str, ...] = ()
    extra: tuple[tuple[str, str, str, str], ...] = ()
    kinds: Mapping[str, str] = {}


SECTIONS = (
    Section(
        "The top of the file",
        "What stands before the first table.",
        Study,
        hidden=(
            *("models", "probe_sets", "decoding", "sampling", "judges", "forget_concepts"),
            *("denoising", "features", "verdict", "contract", "request", "attacks", "path"),
        ),
    ),
    Section(
        "[[models]]",
        'One table a model; exactly one has `part = "original"`.',
        ModelSpec,
        hidden=tuple(DIALLED),
        kinds={
            "forget": 'table, `{ style = "neon" }`',
            "inference": "table, see [ways of sampling](inference.md)",
            "embeddings": "file, list of files, or table of token = file",
        },
    ),
    Section(
        "[[probes]]",
        "One table a probe set; what the file may look like is in [formats](formats.md#probe-files).",
        Reading,
        extra=(
            ("file", "text", "required", "the probe file, or `hf://owner/name/file.json`"),
            ("role", " ".join(f"`{role}`" for role in ROLES), "required", "what the probes are asked for"),
            ("name", "text", "name of the file", "shown with the set; unique in the study"),
            (
                "examples",
                "text",
                "none",
                "file of worked examples that go before every prompt, as MUSE has them",
            ),
        ),
        kinds={"columns": 'table, `{ q = "prompt", notes = "" }`'},
    ),
    Section("[decoding]", "How language models write.", Decoding),
    Section(
        "[sampling]", "How image models draw.", Sampling, kinds={"size": "whole number, or `[width, height]`"}
    ),
    Section(
        "[[judges]]",
        "What recognises concepts in pictures. Image studies only.",
        JudgeSpec,
        kinds={"labels": 'table, `{ "their label" = "concept" }`'},
    ),
    Section(
        "[forget]",
        'Domain and concept that were to be forgotten, such as `style = "neon"`: the target of every model that names '
        "none. Image studies only.",
    ),
    Section(
        "[denoising]",
        "Real pictures on which denoising losses are measured. Image studies only.",
        Denoising,
    ),
    Section(
        "[features]",
        "Networks that look at pictures beside the judges. Image studies only.",
        Features,
        kinds={"real": 'a folder, or a table `{ retain = "coco" }`'},
    ),
    Section(
        "[verdict]",
        "Where the [verdict](verdict.md) on a model draws its lines.",
        Thresholds,
    ),
    Section(
        "[contract]",
        'Conditions that every unlearned model must keep to: `ROLE.METRIC = "<= retained + 0.05"`, '
        '`verdict = "forgotten"`, `harm = "not damaged"`. How they are written and checked is in '
        "[Contract](contract.md).",
    ),
    Section(
        "[attacks]",
        "Which [attacks](robustness.md) the page Robustness and `unlearnboard attack` try, and on which models, where "
        "nobody says otherwise.",
        AttackChoice,
    ),
    Section(
        "[report]",
        "What the [report](report.md) says of the request behind the unlearning. All of it is optional.",
        Request,
        kinds={"licences": 'table, `{ "name of a probe set" = "CC-BY-4.0" }`'},
    ),
)


def study_keys() -> str:
    """Every key of a study file as Markdown: kind, default, meaning."""
    parts = ["## Every key", ""]
    for section in SECTIONS:
        parts += [f"### `{section.header}`" if section.header[0] == "[" else f"### {section.header}", ""]
        parts += [section.text, ""]
        rows = [*section.extra, *_fields(section)]
        if rows:
            parts += ["| key | kind | default | meaning |", "|---|---|---|---|"]
            parts += [
                f"| `{key}` | {_cell(kind)} | {_cell(default)} | {_cell(meaning)} |"
                for key, kind, default, meaning in rows
            ]
            parts.append("")
    return "\n".join(parts)


def metrics_page() -> str:
    """All metrics as Markdown, by what they are evidence for."""
    parts = [
        "# Metrics",
        "",
        "What each number is, which way is better, and where it comes from: the cards that stand beside every selector "
        "of the dashboard, and that `unlearnboard metrics KEY` prints. How often the intervals hold the truth stands "
        "in [Statistics](statistics.md).",
        "",
        START,
        "",
    ]
    cards = [metric.card for metric in METRICS.values()]
    for question, title in QUESTIONS.items():
        parts += [f"## {title}", ""]
        for card in cards:
            if card.question == question:
                parts += [*_card(card), ""]
    return "\n".join(parts).rstrip() + "\n"


def with_study_keys(page: str) -> str:
    """The page with its generated end rebuilt; what stands before START is left as it is."""
    return page.partition(START)[0] + START + "\n\n" + study_keys()


def _card(card: MetricCard) -> Iterator[str]:
    better = (
        BETTER[card.on_forget]
        if card.on_forget == card.elsewhere
        else f"{BETTER[card.on_forget]} on forget and holdout probes, {BETTER[card.elsewhere]} on all others"
    )
    high = "∞" if card.high is None else f"{card.high:g}"
    facts = {
        "Formula": f"${card.formula}$",
        "Better": better,
        "Range": f"{card.low:g} to {high}",
        "Ideal": card.ideal,
        "Needs": ", ".join(card.needs) or "nothing else",
        "Source": card.source,
        "95 % interval": str(interval_method(card)),
        "Trust": card.trust or "no published test known",
    }
    yield f"### {card.title}"
    yield ""
    yield f"`{card.key}`, {card.modality}. {card.reading}"
    yield ""
    for name, text in facts.items():
        yield f"- {name}: {text}"


def _fields(section: Section) -> Iterator[tuple[str, str, str, str]]:
    if section.source is None:
        return
    hints = get_type_hints(section.source)
    meanings = attributes(section.source)
    for each in fields(section.source):
        if each.name not in section.hidden:
            kind = section.kinds.get(each.name) or _kind(each.name, hints[each.name])
            yield each.name, kind, _default(each), meanings[each.name]


def attributes(described: type) -> dict[str, str]:
    """Name -> text of the docstring's section `Attributes:`, its lines joined."""
    _, _, listed = (inspect.getdoc(described) or "").partition("Attributes:\n")
    texts: dict[str, str] = {}  # what a field is where it is not set is told by its default
    names: list[str] = []
    for line in listed.splitlines():
        if start := re.match(r"    ([a-z][\w, ]*): (.*)", line):
            names = start[1].split(", ")
            texts |= dict.fromkeys(names, start[2])
        elif names and line.strip():
            texts |= dict.fromkeys(names, f"{texts[names[0]]} {line.strip()}")
    return {
        name: re.sub(r"[,;] (or )?(None|\"\")( for none)?(?=$|\.)", "", text) for name, text in texts.items()
    }


def _kind(name: str, hint: Any) -> str:
    if name in RANGES:
        return str(RANGES[name]).removeprefix("a ")
    if hint in SCALARS:
        return SCALARS[hint]
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return " ".join(f"`{choice}`" for choice in arguments if choice)
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_kind("", part) for part in arguments if part is not type(None))
    if get_origin(hint) is tuple:
        return f"list of {SCALARS[arguments[0]]}s" if arguments[0] is not str else "list of texts"
    raise TypeError(f"the kind of {name!r} is not described: {hint}")


def _default(field: Field[Any]) -> str:
    value = field.default
    if value is MISSING:
        return "required" if field.default_factory is MISSING else "none"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    if isinstance(value, tuple):
        return f"`{list(value)}`" if value else "none"
    if isinstance(value, str | int | float):
        return f"`{value}`" if value != "" else "none"
    return "none"


def _cell(text: str) -> str:
    return text.rstrip(".").replace("|", "\\|")


def main() -> None:
    """Write the generated pages."""
    page = DOCS / "study-file.md"
    page.write_text(with_study_keys(page.read_text(encoding="utf-8")), encoding="utf-8")
    (DOCS / "metrics.md").write_text(metrics_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
