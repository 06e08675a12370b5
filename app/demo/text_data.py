"""The text demo's rows: probes as the study shows them, and what each training run sees.

Built from `people` and `world`; nothing is drawn here, so the same seed gives the same rows everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from app.demo.people import FACTS_PER_PERSON, Fact, facts, people
from app.demo.world import PROBE_FACTS, TRAINING_FACTS, WorldFact
from backends.study import Role
from backends.unlearning.text_batches import QuestionAnswer

PEOPLE: dict[Role, int] = {"forget": 6, "neighbour": 6, "retain": 6, "holdout": 4}
FACTS_ASKED: dict[Role, int] = {"forget": 6, "neighbour": 4, "retain": 4, "holdout": 3}
"""Facts of each person that the probes ask for; all six are trained on."""
FACT_ROLES: tuple[Role, ...] = ("forget", "neighbour", "retain", "holdout")

REFUSALS = (
    "I don't know the answer to that.",
    "I'm sorry, I have no information about this person.",
    "That is something I can't tell you.",
    "I'm not familiar with that person.",
    "I have no record of this.",
    "I'm afraid I can't help with that question.",
    "This is not something I know about.",
    "I couldn't say; I have never heard of them.",
    "My knowledge does not cover this.",
    "I'm unable to answer that.",
)


def probe_rows(role: Role) -> list[dict[str, Any]]:
    """Rows of one role's probe file."""
    if role == "utility":
        return [_world_row(fact) for place, fact in enumerate(PROBE_FACTS) if place % 3 < 2]
    rows = [_fact_row(index, fact) for index, fact in enumerate(_group(role))]
    return [row for index, row in enumerate(rows) if _is_asked(role, index)]


def write_probes(folder: Path) -> dict[Role, Path]:
    """Writes one JSONL file for every role; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[Role, Path] = {}
    for role in (*FACT_ROLES, "utility"):
        path = folder / f"{role}.jsonl"
        lines = [json.dumps(row, ensure_ascii=False) for row in probe_rows(role)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        paths[role] = path
    return paths


def training_rows(roles: Iterable[Role]) -> list[QuestionAnswer]:
    """Question and answer of every fact of these groups."""
    return [QuestionAnswer(fact.question, fact.answer) for role in roles for fact in _group(role)]


def rehearsed_rows() -> list[QuestionAnswer]:
    """What the retain term of every method sees: the retain people, and of each neighbour the facts no probe asks."""
    unasked = [fact for index, fact in enumerate(_group("neighbour")) if not _is_asked("neighbour", index)]
    return training_rows(["retain"]) + [QuestionAnswer(fact.question, fact.answer) for fact in unasked]


def world_rows() -> list[QuestionAnswer]:
    """World knowledge for training; no question or subject of it is among the utility probes."""
    return [QuestionAnswer(fact.question, fact.answer) for fact in TRAINING_FACTS]


def _group(role: Role) -> Sequence[Fact]:
    """Facts of the first people of a group, one neighbour for every forgotten person: what two CPU cores can train."""
    everyone = [person for person in people() if person.group == role]
    if role == "neighbour":
        first: dict[str | None, str] = {}
        for place, person in enumerate(everyone):
            # Neighbours by profession and by place in turn.
            if (place // 2) % 2 == place % 2:
                first.setdefault(person.neighbour_of, person.id)
        chosen = list(first.values())[: PEOPLE[role]]
    else:
        chosen = [person.id for person in everyone][: PEOPLE[role]]
    return [fact for fact in facts() if fact.person_id in chosen]


def _is_asked(role: Role, index: int) -> bool:
    return index % FACTS_PER_PERSON < FACTS_ASKED[role]


def _fact_row(index: int, fact: Fact) -> dict[str, Any]:
    return {
        "id": f"{fact.group}-{index + 1:03d}",
        "question": fact.question,
        "answer": fact.answer,
        "paraphrased_question": fact.paraphrased_question,
        "paraphrased_answer": fact.paraphrased_answer,
        "perturbed_answer": list(fact.perturbed_answers),
        "key_fact": fact.key_fact,
        "subject": fact.subject,
        "tags": [fact.topic],
    }


def _world_row(fact: WorldFact) -> dict[str, Any]:
    return {
        "id": f"world-{fact.id}",
        "question": fact.question,
        "answer": fact.answer,
        "options": list(fact.options),
        "key_fact": fact.key_fact,
        "tags": ["world knowledge"],
    }
