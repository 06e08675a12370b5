"""The forget facts in two halves: one is what an attacker has, the other what is asked; and what may not cross over.

A subject is in one half with all of its facts, so that nothing about a person who is asked for was in the data.
Pure functions of probes; knows nothing about models.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backends.errors import StudyError
from backends.study import Probe, Study

LEAST, SMALL = 4, 8
"""Subjects that halves need, and below how many they are called small."""


@dataclass(frozen=True, slots=True)
class Halves:
    """Forget probes with answers in two halves.

    Attributes:
        a, b: probes in the order of the study; no subject is in both.
        notes: what a person should know of the split, in sentences.
    """

    a: tuple[Probe, ...]
    b: tuple[Probe, ...]
    notes: tuple[str, ...] = ()

    def ways(self) -> tuple[tuple[str, tuple[Probe, ...], tuple[Probe, ...]], ...]:
        """Both ways round: name, what the attacker has, what is asked."""
        return ("A to B", self.a, self.b), ("B to A", self.b, self.a)


def scored(study: Study, role: str = "forget") -> tuple[Probe, ...]:
    """Probes of a role that are questions with an answer."""
    return tuple(
        probe
        for each in study.probe_sets
        if each.role == role
        for probe in each.probes
        if probe.prompt.strip() and probe.answer.strip()
    )


def halves(probes: Sequence[Probe]) -> Halves:
    """Probes split by subject, the same split for the same probes whatever their order.

    Subjects are drawn in an order that their probes decide, those with most facts first, and each goes to the half that
    has fewer facts. A probe without a subject stands with those of the same answer.

    Raises:
        StudyError: there are fewer than `LEAST` subjects.
    """
    units: dict[str, list[Probe]] = {}
    for probe in probes:
        units.setdefault(_unit(probe), []).append(probe)
    named = all(probe.subject.strip() for probe in probes)
    what = "subjects" if named else "facts that stand alone"
    if len(units) < LEAST:
        raise StudyError(
            f"halves of the forget facts need at least {LEAST} {what}, and there are {len(units)}",
            how="Add facts about others" if named else "Add a column `subject` and facts about others",
        )
    seed = _digest(sorted(probe.digest() for probe in probes))
    order = sorted(units, key=lambda unit: (-len(units[unit]), _digest([seed, unit])))
    chosen: tuple[set[str], set[str]] = (set(), set())
    facts = [0, 0]
    for unit in order:
        place = int(facts[1] < facts[0] or (facts[0] == facts[1] and len(chosen[1]) < len(chosen[0])))
        chosen[place].add(unit)
        facts[place] += len(units[unit])
    notes = []
    if not named:
        notes.append(
            "Not all forget probes have a subject; those without are split as facts that stand alone, so that both "
            "halves may be about the same."
        )
    if len(units) < SMALL:
        notes.append(f"The halves are small: {len(chosen[0])} and {len(chosen[1])} {what}.")
    a, b = (tuple(probe for probe in probes if _unit(probe) in half) for half in chosen)
    return Halves(a, b, tuple(notes))


def without_scored(data: Sequence[Probe], asked: Iterable[Probe]) -> tuple[tuple[Probe, ...], int]:
    """What of an attack's data tells nothing of the facts that are asked, and how many rows were left out."""
    names = {plain for probe in asked for plain in _telling(probe)}
    kept = tuple(probe for probe in data if not _tells(probe, names))
    return kept, len(data) - len(kept)


def _tells(probe: Probe, names: set[str]) -> bool:
    """Whether a row's question, answer or earlier turns hold a scored answer, key fact or subject, as whole words."""
    said = " ".join([probe.prompt, probe.answer, *(text for _, text in probe.turns)])
    text = f" {_plain(said)} "
    # Scripts without spaces have no word borders: there a name counts wherever it stands.
    return any(f" {name} " in text or (not name.isascii() and name in text) for name in names)


def _telling(probe: Probe) -> list[str]:
    given = (probe.subject, probe.key_fact, probe.prompt, *probe.references)
    return [plain for text in given if (plain := _plain(text))]


def _plain(text: str) -> str:
    """Words in small letters with one space between."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _unit(probe: Probe) -> str:
    subject = _plain(probe.subject)
    return f"subject {subject}" if subject else f"fact {_plain(probe.key_fact or probe.answer)}"


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()
