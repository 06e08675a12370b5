"""The rows of an unlearning run out of a study's probes, checked before anything is loaded."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict

from backends.errors import StudyError
from backends.study import Probe, Study
from backends.unlearning.recipes import Recipe
from backends.unlearning.text_batches import QuestionAnswer, row_fields
from backends.unlearning.text_method import TextMethod
from backends.unlearning.text_terms import TrainingRows

REFUSALS = (
    "I don't know.",
    "I'm not able to answer that question.",
    "I have no information about that.",
    "That's not something I know.",
    "I'm afraid I can't help with that.",
)
"""Answers that the Idk methods learn to give; TOFU has a hundred of this kind."""
_NAMED = 3
MEASURED = 32
"""Most rows of each kind that are measured at a checkpoint."""


def rows_of(
    study: Study, chosen: TextMethod, recipe: Recipe, retain: Sequence[Probe] | None = None
) -> TrainingRows:
    """What the run sees: the forget probes, and the retain probes or others in their place.

    Raises:
        StudyError: no forget rows, rows that are in both sets, no retain rows where the method needs them, or no
            alternate answers.
    """
    asked = _answered(study, "forget")
    kept = _answered(study, "retain") if retain is None else [probe for probe in retain if probe.answer]
    if not asked:
        raise StudyError(
            "there are no forget probes with answers, so there is nothing to unlearn", where=study.name
        )
    needs_retain = recipe.objective.alpha > 0 or recipe.objective.keep > 0
    if needs_retain and not kept:
        raise StudyError(
            f"{recipe.name} trains on retain rows, but none have answers",
            where=study.name,
            how="Add retain probes, name a file with --retain, or choose GradAscent, UNDIAL or CEU",
        )
    both = {(probe.prompt, _whole(probe)) for probe in asked} & {
        (probe.prompt, _whole(probe)) for probe in kept
    }
    if both and needs_retain:
        named = "; ".join(prompt or answer for prompt, answer in sorted(both)[:_NAMED])
        what = f"{len(both)} rows are in both the forget and the retain set: {named}"
        raise StudyError(what, how="Remove them from one set")
    lacking = [probe.id for probe in asked if not probe.perturbed_answers]
    if "alternates" in chosen.needs and lacking:
        raise StudyError(
            f"{recipe.name} needs an alternate answer for every forget probe, and {len(lacking)} have none "
            f"({', '.join(lacking[:_NAMED])})",
            how="Add a column perturbed_answer",
        )
    return TrainingRows(
        forget=_questions(asked),
        retain=_questions(kept),
        refusals=REFUSALS,
        alternates=[
            probe.answer_prefix + probe.perturbed_answers[0] for probe in asked if probe.perturbed_answers
        ],
    )


def measured_rows(study: Study) -> tuple[list[QuestionAnswer], list[QuestionAnswer]]:
    """Rows that tell at a checkpoint how far the run is: of the forget set, and of the utility set or its stand-in.

    At most MEASURED of each, evenly taken; the second are the utility probes, else neighbours, else retain probes.
    """
    others = next(
        (found for role in ("utility", "neighbour", "retain") if (found := _answered(study, role))), []
    )
    return _some(_questions(_answered(study, "forget"))), _some(_questions(others))


def rows_digest(rows: TrainingRows) -> list[int]:
    """How many rows of each kind, and a number that changes with them."""
    text = json.dumps(asdict(rows, dict_factory=row_fields), ensure_ascii=False)
    return [len(rows.forget), len(rows.retain), zlib.crc32(text.encode())]


def _answered(study: Study, role: str) -> list[Probe]:
    return [probe for each in study.probe_sets if each.role == role for probe in each.probes if probe.answer]


def _questions(probes: Sequence[Probe]) -> list[QuestionAnswer]:
    return [QuestionAnswer(probe.prompt, _whole(probe), probe.turns) for probe in probes]


def _whole(probe: Probe) -> str:
    """The answer with what it begins with."""
    return probe.answer_prefix + probe.answer


def _some(rows: list[QuestionAnswer]) -> list[QuestionAnswer]:
    step = max(1, -(-len(rows) // MEASURED))
    return rows[::step]
