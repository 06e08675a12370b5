"""The forget probes of an image study in two halves by what else they show, and real pictures that tell of one half.

What is judged is never in the data: neither its objects nor its prompts. Pure functions; knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backends.attacks.halves import Halves, halves
from backends.attacks.pictures import forgotten_in, mentions
from backends.errors import StudyError
from backends.image.real_pictures import RealPicture, real_pictures
from backends.study import Probe, Study

LEAST_PICTURES = 4


def picture_halves(study: Study) -> Halves:
    """Forget probes split by what they show beside the forgotten concept (objects, where a style is forgotten).

    Where a probe shows nothing else, prompts are split.

    Raises:
        StudyError: there are too few to halve, or no forgotten concept is known.
    """
    asked = [
        probe
        for each in study.probe_sets
        if each.role == "forget"
        for probe in each.probes
        if probe.prompt.strip() and forgotten_in(probe, study)
    ]
    if not asked:
        raise StudyError(
            "no forget probe says that it shows the forgotten concept",
            where=study.name,
            how="Name the concept in [forget], and add a column of that domain to the probes",
        )
    named = [replace(probe, subject=" ".join(_others(probe, study)) or probe.prompt) for probe in asked]
    split = halves(named)
    first = {probe.id for probe in split.a}
    return Halves(
        tuple(probe for probe in asked if probe.id in first),
        tuple(probe for probe in asked if probe.id not in first),
        split.notes,
    )


def pictures_without(study: Study, asked: Sequence[Probe]) -> list[RealPicture]:
    """Real pictures of the forgotten concept that show nothing of what is asked.

    Raises:
        StudyError: the study names no folder of such pictures, or too few are left.
    """
    folder = study.denoising.forget if study.denoising is not None else ""
    if not folder:
        raise StudyError(
            "real pictures of the concept are needed",
            where=study.name,
            how="Add [denoising] with forget, a folder of pictures",
        )
    prompts = {probe.prompt.strip().casefold() for probe in asked}
    others = {name for probe in asked for name in _others(probe, study)}
    concepts = {forgotten_in(probe, study) for probe in asked}
    kept = [
        each
        for each in real_pictures(Path(folder))
        if each.prompt.strip().casefold() not in prompts
        and not any(mentions(each.prompt, name) for name in others)
        and any(mentions(each.prompt, name) for name in concepts)
    ]
    if len(kept) < LEAST_PICTURES:
        raise StudyError(
            f"{len(kept)} real pictures show the concept and nothing of what is asked, and {LEAST_PICTURES} are needed",
            where=folder,
            how="Add pictures, with texts that name the concept",
        )
    return kept


def _others(probe: Probe, study: Study) -> list[str]:
    """What a probe shows beside the forgotten concept."""
    forgotten = study.forget_concepts
    return [name for domain, name in sorted(probe.concepts.items()) if forgotten.get(domain) != name]
