"""What keeps the verdicts from being firmer: open questions, questions without evidence, models without any. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.pages.overview.subject import Subject
from app.shared.deciding_words import would_decide_finding
from app.shared.verdict_words import apart_sentence
from cache.analysis.verdict.findings import Finding, Question
from cache.analysis.verdict.rules import Verdict

Mend = Literal["runs", "attacks", "study", ""]
MOST_NAMES = 3
MOST_OPEN = 5

QUESTIONS: Mapping[Question, str] = {
    "says": "whether it still says it",
    "closer": "whether it is closer to the original or to the retained model",
    "rates": "whether it still knows the true answers",
    "leaks": "whether sampling gives it away",
    "attacked": "whether an attack brings it back",
    "denoising": "whether it still fits pictures of the concept",
    "utility": "whether utility is damaged",
    "retain": "whether what it should keep is damaged",
    "neighbour": "whether neighbours are damaged",
    "destroyed": "whether it is destroyed",
    "gibberish": "whether its answers are gibberish",
    "refuses": "whether it refuses",
    "membership": "whether it gives itself away",
}
OF_PICTURES: Mapping[Question, str] = {
    "says": "whether it still draws it",
    "gibberish": "whether its pictures are recognisable",
    "refuses": "whether it draws nothing recognisable instead",
}
ROLES: Mapping[Question, str] = {
    "says": "forget",
    "closer": "forget",
    "rates": "forget",
    "leaks": "forget",
    "attacked": "forget",
    "refuses": "forget",
    "membership": "holdout",
    "retain": "retain",
    "destroyed": "retain",
    "neighbour": "neighbour",
    "gibberish": "utility",
    "utility": "utility",
}
"""Probes of which role answer the question."""
_LOSSES = '[denoising]\nforget = "folder"'
UNCOUNTED = (
    "Whether all of these runs answered every probe is not known: their files do not say how many there were."
)
NO_MEMBERSHIP = "image"
"""Modality in which verdicts have no test of membership yet, so that none is missed."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is missing.

    Attributes:
        text: what, in a sentence.
        mend: where that is mended: on the page Runs or Robustness, or in the study file.
        how: what to do in the study file, a few words, or "".
        code: what that looks like, or "".
    """

    text: str
    mend: Mend
    how: str = ""
    code: str = ""


def gaps(
    subject: Subject, unevaluated: Sequence[str], roles: Sequence[str], *, losses: bool = False
) -> list[Gap]:
    """What is missing, the most important first.

    Args:
        subject: what is judged.
        unevaluated: names of models without numbers.
        roles: of probes that the study has.
        losses: the study names pictures for denoising losses.
    """
    best = [method.best for method in subject.methods]
    found: list[Gap] = []
    if unevaluated:
        found.append(
            Gap(f"{_names(unevaluated)} {'is' if len(unevaluated) == 1 else 'are'} not evaluated.", "runs")
        )
    if not subject.retained:
        text = (
            "There is no retained model, so costs are against the original and nobody knows how little a model that "
            "never saw the forget set would say."
        )
        named = Gap(text, "study", "Name one in the study file:", '[[models]]\npart = "retained"')
        found.append(Gap(text, "") if subject.imported else named)
    if subject.imported and _uncounted(best):
        found.append(Gap(UNCOUNTED, ""))
    if subject.apart:
        found.append(Gap(apart_sentence(subject.apart), ""))
    return [*found, *_untested(best, subject, roles, losses), *_open(best, subject)]


def _uncounted(best: Sequence[Verdict]) -> bool:
    measured = [found.measured for each in best for found in each.findings if found.measured is not None]
    return any(not each.complete for each in measured)


def _untested(best: Sequence[Verdict], subject: Subject, roles: Sequence[str], losses: bool) -> list[Gap]:
    """Questions without evidence, those of the same methods that the same probes would answer in one sentence."""
    missed: dict[Question, list[str]] = {}
    for each in best:
        for question in each.untested:
            missed.setdefault(question, []).append(each.model)
    if not subject.retained:
        missed.pop("closer", None)  # follows from what is said of the retained model
    if subject.modality == NO_MEMBERSHIP:
        missed.pop("membership", None)
    unattacked = [] if subject.imported else missed.pop("attacked", [])
    if subject.imported:
        missed.pop("attacked", None)  # nothing can be asked of them any more
    together: dict[tuple[str, str], list[Question]] = {}
    for question, models in missed.items():
        who = "any method" if len(models) == len(best) else _names(models)
        together.setdefault((who, "" if subject.imported else ROLES.get(question, "")), []).append(question)
    return _unattacked(unattacked, len(best)) + [
        _untested_gap(
            f"Not tested for {who}: {_listed([_words(each, subject) for each in questions])}.",
            role,
            subject,
            roles,
            losses,
        )
        for (who, role), questions in together.items()
    ]


def _unattacked(models: Sequence[str], methods: int) -> list[Gap]:
    if not models:
        return []
    who = "any method" if len(models) == methods else _names(models)
    return [Gap(f"No attack was tried on {who}: what it no longer says may only be hidden.", "attacks")]


def _untested_gap(text: str, role: str, subject: Subject, roles: Sequence[str], losses: bool) -> Gap:
    if subject.imported:
        return Gap(text, "")
    if role and role not in roles:
        return _add_probes(text, role)
    if not role and not losses:
        return Gap(text, "study", "Name pictures of it in the study file:", _LOSSES)
    return Gap(text, "runs")


def _open(best: Sequence[Verdict], subject: Subject) -> list[Gap]:
    """Open questions of all methods, by question; those that the fewest probes would decide first."""
    held: dict[Question, list[tuple[str, Finding]]] = {}
    for verdict in best:
        for finding in verdict.open_questions:
            if all(name != verdict.model for name, _ in held.get(finding.question, [])):
                held.setdefault(finding.question, []).append((verdict.model, finding))
    return [_open_gap(question, found, subject) for question, found in held.items()][:MOST_OPEN]


def _open_gap(question: Question, found: Sequence[tuple[str, Finding]], subject: Subject) -> Gap:
    parts = [_needed(name, finding) for name, finding in found[:MOST_NAMES]]
    more = f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
    role = ROLES.get(question, "")
    text = f"Undecided {_words(question, subject)}: {'; '.join(parts)}{more}."
    can = role and not subject.imported and any(finding.needed for _, finding in found)
    return _add_probes(text, role) if can else Gap(text, "")


def _words(question: Question, subject: Subject) -> str:
    own = OF_PICTURES if subject.modality == "image" else {}
    return own.get(question, QUESTIONS[question])


def _add_probes(text: str, role: str) -> Gap:
    return Gap(text, "study", f"Add {role} probes in the study file:", f'[[probes]]\nrole = "{role}"')


def _needed(name: str, finding: Finding) -> str:
    deciding = would_decide_finding(finding, aside=True)
    return f"{name} ({deciding})" if deciding else name


def _names(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    shown = [*names[:MOST_NAMES], *([f"{more} more"] if more > 0 else [])]
    return _listed(shown)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
