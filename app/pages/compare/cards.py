"""Columns of text as the answer-cards component draws them: plain lists and strings, colours included.

Nothing is computed about models here; this is the wording, rounding and colouring of what
`app/pages/compare/comparison.py` found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from app.looks.model_looks import look_of
from app.looks.names import detail_of
from app.looks.safe_text import visible, word_diff
from app.pages.compare.comparison import TextColumn, measures
from app.shared.heat_map import heat_legends, heat_rows, share
from backends.evidence import Answer
from backends.metrics.outcome import outcome
from backends.study import Probe, Study

View = Literal["answers", "diff_original", "diff_reference", "leak"]
VIEW_NAMES: dict[str, str] = {
    "answers": "Answers",
    "diff_original": "Diff to original",
    "diff_reference": "Diff to reference",
    "leak": "Leak heat map",
}


def board(
    study: Study, probe: Probe, columns: Sequence[TextColumn], view: View, *, dark: bool
) -> dict[str, Any]:
    """Everything the component draws for one prompt."""
    original = next((column for column in columns if column.spec.part == "original"), None)
    return {
        "reference": _reference(probe) if probe.answer else None,
        "legends": heat_legends(dark, bool(probe.key_fact)) if view == "leak" and probe.answer else [],
        "marks": _marks(view, probe),
        "cards": [_card(study, probe, column, original, view, dark) for column in columns],
    }


def _marks(view: View, probe: Probe) -> dict[str, str]:
    """What struck out and underlined words mean in the two diffs; nothing in the other views."""
    if view == "diff_original":
        return {"del": "only in the original’s answer", "ins": "only in this answer"}
    if view == "diff_reference" and probe.answer:
        return {"del": "only in the reference", "ins": "only in this answer"}
    return {}


def _card(
    study: Study, probe: Probe, column: TextColumn, original: TextColumn | None, view: View, dark: bool
) -> dict[str, Any]:
    look = look_of(column.spec, study)
    leak = view == "leak"
    message, tone = _message(column, probe, leak)
    return {
        "name": column.spec.name,
        "title": visible(column.spec.name),
        "detail": visible(detail_of(column.spec)),
        "part": column.spec.part,
        "look": {"symbol": look.symbol, "colour": look.on(dark)},
        "message": message,
        "tone": tone,
        "answers": []
        if leak
        else [_answer(answer, column, original, probe, view) for answer in column.answers],
        "rows": _rows(column, original, probe, dark) if leak else [],
        "measures": _measures(column, probe),
        "note": _note(column, probe),
    }


def _message(column: TextColumn, probe: Probe, leak: bool) -> tuple[str, str]:
    if column.problem:
        return column.problem, "error"
    if column.awaited and not column.answers:
        return visible(column.waits) or "Waiting …", "quiet"
    if leak and column.scores is None:
        if not probe.answer:
            return "Your own prompt has no reference answer to colour.", "quiet"
        if column.awaited:
            return "The reference is scored when all models have answered …", "quiet"
        if column.replay:
            return (
                "Recorded only: the weights are not on this machine, and this reference was not scored.",
                "quiet",
            )
        return "The reference was not scored with this model. Press Run.", "quiet"
    if not leak and not column.answers:
        if column.replay:
            return (
                "Recorded only: the weights are not on this machine, and no answer to this prompt was recorded.",
                "quiet",
            )
        if probe.role == "holdout":
            return (
                "Evaluations score holdout probes and write no answers to them. Press Run to see one.",
                "quiet",
            )
        return "No answer yet. Press Run.", "quiet"
    return "", ""


def _answer(
    answer: Answer, column: TextColumn, original: TextColumn | None, probe: Probe, view: View
) -> dict[str, Any]:
    growing = answer.seed in column.growing
    base = _base(answer, column, original, probe, view)
    segments = None
    if base is not None and not growing:
        segments = [[kind, visible(text)] for kind, text in word_diff(base, answer.text)]
    return {
        "text": visible(answer.text) or ("" if growing else "(an empty answer)"),
        "segments": segments,
        "given": visible(probe.answer_prefix),
        "growing": growing,
        "label": f"seed {answer.seed}" if len(column.answers) > 1 else "",
    }


def _base(
    answer: Answer, column: TextColumn, original: TextColumn | None, probe: Probe, view: View
) -> str | None:
    """What the answer is compared with, or None where it is shown plainly."""
    if view == "diff_reference":
        return probe.answer or None
    if view == "diff_original" and original is not None and column.spec != original.spec:
        return next((other.text for other in original.answers if other.seed == answer.seed), None)
    return None


def _rows(column: TextColumn, original: TextColumn | None, probe: Probe, dark: bool) -> list[dict[str, Any]]:
    if column.scores is None:
        return []
    base = original.scores if original is not None and original.spec != column.spec else None
    return heat_rows(column.scores, base, probe.key_fact, dark=dark)


def _measures(column: TextColumn, probe: Probe) -> list[dict[str, str]]:
    numbers = measures(column, probe)
    shown = []
    if numbers.rouge_l is not None:
        help_text = (
            "ROUGE-L recall: how much of the reference answer, in order, the answer contains. 1 = all of it."
        )
        shown.append({"name": "ROUGE-L", "value": f"{numbers.rouge_l:.2f}", "tone": "", "help": help_text})
    if numbers.probability is not None:
        help_text = (
            "Still knows: probability of the reference answer given the prompt, per token (geometric mean), whether or "
            "not the model says it. 1 = certain."
        )
        shown.append(
            {"name": "Still knows", "value": share(numbers.probability), "tone": "", "help": help_text}
        )
    if numbers.key_fact is not None:
        said = numbers.key_fact > 0
        count = len(column.answers)
        words = ("yes" if said else "no") if count == 1 else f"{round(numbers.key_fact * count)} of {count}"
        help_text = f"Whether the answer says the key fact: {visible(probe.key_fact)}"
        shown.append(
            {"name": "Says the fact", "value": words, "tone": "yes" if said else "no", "help": help_text}
        )
    return shown


def _note(column: TextColumn, probe: Probe) -> str:
    if column.growing:
        return "writing …"
    if not column.answers:
        return ""
    tokens = sum(answer.n_tokens for answer in column.answers)
    cut = (
        ["cut off at the length limit"] if any(answer.finish == "length" for answer in column.answers) else []
    )
    source = "recorded only" if column.replay else "fresh" if column.fresh else "from cache"
    # Answers of one batch are written side by side: the last one's time is the column's. A recorded answer's time is
    # that of a batch of an evaluation, which says nothing about the wait for this one.
    seconds = [f"{max(answer.seconds for answer in column.answers):.1f} s"] if column.fresh else []
    stopped = ["stopped, not saved"] if any(not answer.finish for answer in column.answers) else []
    return " · ".join([source, f"{tokens} tokens", *seconds, *cut, *stopped, *_kinds(column, probe)])


def _kinds(column: TextColumn, probe: Probe) -> list[str]:
    """That answers are refusals or gibberish, by the rules of `metrics.outcome`: "refusal", "2 of 3 gibberish"."""
    kinds = Counter(outcome(probe, answer.text) for answer in column.answers)
    several = f" of {len(column.answers)} " if len(column.answers) > 1 else ""
    return [
        f"{kinds[kind] if several else ''}{several}{kind}" for kind in ("refusal", "gibberish") if kinds[kind]
    ]


def _reference(probe: Probe) -> dict[str, Any]:
    """The reference answer, its key fact marked."""
    answer, fact = visible(probe.answer), visible(probe.key_fact)
    start = answer.casefold().find(fact.casefold()) if fact else -1
    if start < 0 or len(answer.casefold()) != len(answer):
        return {"parts": [["plain", answer]]}
    end = start + len(fact)
    return {"parts": [["plain", answer[:start]], ["key", answer[start:end]], ["plain", answer[end:]]]}
