"""What a report must not be taken to show: probes without evidence, questions without an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.export.report_parts import question_name
from app.looks.names import ROLE_NAMES
from app.shared.verdict_words import apart_sentence
from backends.errors import CheckpointError
from backends.study import Probe, Study
from backends.study.targets import apart_models
from cache.analysis.derive import role_probes
from cache.analysis.verdict.findings import Question
from cache.analysis.verdict.rules import Verdict
from cache.store import Store
from cache.store.reading import evidence_for, images_for


class Gap(NamedTuple):
    """Probes of a role for which the cache has nothing, or a part only, of a model.

    Attributes:
        model: its name.
        role: of the probes.
        answered: probes with evidence.
        asked: probes of the role.
    """

    model: str
    role: str
    answered: int
    asked: int

    @property
    def sentence(self) -> str:
        """Such as: NPO 45: 29 of 36 forget probes answered."""
        return f"{self.model}: {self.answered:,} of {self.asked:,} {ROLE_NAMES[self.role].lower()} probes answered."


def gaps(study: Study, store: Store, models: Sequence[str]) -> list[Gap]:
    """Where models have evidence on a part of a role's probes, or on none, forget probes first."""
    roles = sorted(role_probes(study).items(), key=lambda item: item[0] != "forget")
    return [
        Gap(model, role, answered, len(probes))
        for role, probes in roles
        for model in models
        if (answered := _answered(study, store, model, probes)) < len(probes)
    ]


def unanswered(found: Sequence[Gap], model: str) -> int:
    """How many forget probes a model has not answered."""
    return sum(each.asked - each.answered for each in found if each.model == model and each.role == "forget")


def _answered(study: Study, store: Store, model: str, probes: Sequence[Probe]) -> int:
    """Probes with all that the model has of any of them: scores, where there is an answer to score, and texts."""
    try:
        if study.modality == "image":
            return len(images_for(study, store, model, probes))
        known = evidence_for(study, store, model, probes, pieces=False)
    except CheckpointError:
        return 0
    scored = any(each.scores for each in known.values())
    written = any(each.answers for each in known.values())
    return sum(
        probe.id in known
        and bool(known[probe.id].scores or not scored or not probe.answer)
        and bool(known[probe.id].answers or not written)
        for probe in probes
    )


def untested(
    study: Study,
    told: Mapping[str, Verdict],
    first: Sequence[str],
    found: Sequence[Gap],
    lacking: Sequence[str],
) -> list[str]:
    """What a reader must not take for shown, what bears on the first page before the rest.

    Args:
        study: the study.
        told: verdicts by name.
        first: models whose verdicts stand on the first page.
        found: probes without evidence.
        lacking: titles of metrics that have no value.
    """
    rest = [spec.name for spec in study.models if spec.part == "unlearned" and spec.name not in first]
    absent = [spec.name for spec in study.models if spec.name not in told]
    lines = [each.sentence for each in found]
    lines += _questions(study, told, first, "All methods above")
    lines += [f"Not evaluated at all: {', '.join(absent)}."] if absent else []
    if not study.retained:
        lines.append("There is no retained model, so what a model that never saw the data does is unknown.")
    apart = apart_models(study, told)
    lines += [apart_sentence(apart)] if apart else []
    if study.modality == "image":
        lines.append(
            "Whether the models give away what they were trained on: no membership test is made of pictures."
        )
    lines.append(
        "Other ways of asking (paraphrased by an attacker, in other languages, after further training, from inside the "
        "network) than those of the probes and questions above."
        if study.modality == "text"
        else "Other ways of asking (paraphrased by an attacker, found by optimisation, after further training, from "
        "inside the network) than those of the prompts and questions above."
    )
    lines += _questions(study, told, rest, "All other checkpoints")
    return lines + ([f"Optional metrics without a value: {'; '.join(lacking)}."] if lacking else [])


def _questions(study: Study, told: Mapping[str, Verdict], models: Sequence[str], every: str) -> list[str]:
    """Questions without an answer, models with the same ones together."""
    groups: dict[tuple[Question, ...], list[str]] = {}
    known = [name for name in models if name in told]
    for name in known:
        # No metric asks an image model about membership, which is said once.
        asked = (q for q in told[name].untested if study.modality == "text" or q != "membership")
        if questions := tuple(asked):
            groups.setdefault(questions, []).append(name)
    return [
        f"{every if len(names) == len(known) > 1 else ', '.join(names)}: no answer to "
        + "; ".join(f"“{question_name(question, study.modality).lower()}”" for question in questions)
        + "."
        for questions, names in groups.items()
    ]
