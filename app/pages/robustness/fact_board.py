"""One fact under attack as the answer cards draw it: how it was asked, and what the models said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.looks.model_looks import look_of
from app.looks.names import detail_of
from app.looks.safe_text import visible
from app.shared.heat_map import heat_legends, heat_rows, share
from backends.errors import CheckpointError
from backends.evidence import ANSWER, TextEvidence
from backends.metrics.memorisation import probability
from backends.metrics.similarity import contains_fact
from backends.study import Probe, Study
from cache.store import Store
from cache.store.reading import evidence_for

SPEAKERS = {"system": "System", "user": "Question", "assistant": "Answer"}
BEGUN = "Answer, begun"
NOT_RECORDED = "No answer of it to this question was recorded."


def conversation(probe: Probe) -> list[list[str]]:
    """Who says what when a probe is asked: system text, earlier turns, the question, what the answer begins with."""
    lines = [[SPEAKERS.get(role, role), visible(text)] for role, text in probe.turns]
    if probe.format:
        lines.append(["Written as", visible(probe.format)])
    lines.append([SPEAKERS["user"], visible(probe.prompt)])
    if probe.answer_prefix:
        lines.append([BEGUN, visible(probe.answer_prefix)])
    return lines


def fact_board(
    study: Study,
    asked: Study,
    names: Mapping[str, str],
    probe: Probe,
    store: Store,
    *,
    leak: bool,
    dark: bool,
) -> dict[str, Any]:
    """What the component draws.

    Args:
        study: the study, for looks.
        asked: the derived study that evidence is of; the study itself for the plain question.
        names: models that are shown: name in the study -> name in the derived one, original first.
        probe: as the attack asks it.
        store: the cache.
        leak: the heat map instead of answers.
        dark: theme.
    """
    evidence = {name: _evidence(asked, store, own, probe) for name, own in names.items()}
    base = evidence[study.original.name].scores.get(ANSWER) if study.original.name in evidence else None
    return {
        "asked": conversation(probe),
        "reference": {"parts": _marked(visible(probe.answer), visible(probe.key_fact))},
        "legends": heat_legends(dark, bool(probe.key_fact)) if leak else [],
        "marks": {},
        "cards": [_card(study, name, of, base, probe, leak=leak, dark=dark) for name, of in evidence.items()],
    }


def _evidence(study: Study, store: Store, name: str, probe: Probe) -> TextEvidence:
    try:
        return evidence_for(study, store, name, [probe]).get(probe.id, TextEvidence())
    except CheckpointError:  # the sidebar says which model cannot be read, and why
        return TextEvidence()


def _card(
    study: Study, name: str, held: TextEvidence, base: Any, probe: Probe, *, leak: bool, dark: bool
) -> dict[str, Any]:
    spec = study.model(name)
    look = look_of(spec, study)
    scores = held.scores.get(ANSWER)
    rows = []
    if leak and scores is not None:
        rows = heat_rows(scores, None if spec.part == "original" else base, probe.key_fact, dark=dark)
    nothing = scores is None if leak else not held.answers
    return {
        "name": name,
        "title": visible(name),
        "detail": visible(detail_of(spec)),
        "part": spec.part,
        "look": {"symbol": look.symbol, "colour": look.on(dark)},
        "message": NOT_RECORDED if nothing else "",
        "tone": "quiet",
        "answers": []
        if leak
        else [
            {
                "text": visible(each.text) or "(an empty answer)",
                "segments": None,
                "given": visible(probe.answer_prefix),
                "growing": False,
                "label": "",
            }
            for each in held.answers[:1]
        ],
        "rows": rows,
        "measures": _measures(held, probe),
        "note": "",
    }


def _measures(held: TextEvidence, probe: Probe) -> list[dict[str, str]]:
    found = []
    scores = held.scores.get(ANSWER)
    if scores is not None:
        help_text = "Probability of the reference answer, per token (geometric mean), whether or not the model says it."
        found.append(
            {
                "name": "Still knows",
                "value": share(probability(scores.logprobs)),
                "tone": "",
                "help": help_text,
            }
        )
    if probe.key_fact and held.answers:
        said = contains_fact(probe.key_fact, held.answers[0].text)
        words = "yes" if said else "no"
        help_text = f"Whether the answer says the key fact: {visible(probe.key_fact)}"
        found.append({"name": "Says the fact", "value": words, "tone": words, "help": help_text})
    return found


def _marked(answer: str, fact: str) -> Sequence[Sequence[str]]:
    """The reference answer, its key fact marked."""
    start = answer.casefold().find(fact.casefold()) if fact else -1
    if start < 0 or len(answer.casefold()) != len(answer):
        return [["plain", answer]]
    end = start + len(fact)
    return [["plain", answer[:start]], ["key", answer[start:end]], ["plain", answer[end:]]]
