"""What the attacks on image models share: the forgotten concept of a probe, real pictures of it, and their cards."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

from backends.attacks.attack import AskingAttack, AttackCard, Family, Surroundings
from backends.errors import StudyError
from backends.image.real_pictures import METADATA, RealPicture, real_pictures
from backends.study import Probe, Study

FILES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
PICTURES = "real pictures of the concept ([denoising] forget, or a folder `real` of its judge)"
SAYS = ("attack_success",)
RATES = ("judge_confidence",)

Ask = Callable[[Probe, Surroundings], Sequence[Probe]]


def asking(
    key: str, title: str, ask: Ask, reading: str, source: str, *, family: Family = "asking", **more: Any
) -> AskingAttack:
    """An attack that asks an image model in another way."""
    fields: dict[str, Any] = {
        "access": ("prompt box",),
        "injects": "nothing",
        "cost": "one picture for each probe and seed",
    } | more
    card = AttackCard(
        key=key,
        title=title,
        family=family,
        modality="image",
        reading=reading,
        source=source,
        says=SAYS,
        rates=RATES,
        **fields,
    )
    return AskingAttack(card, ask)


def forgotten_in(probe: Probe, study: Study) -> str:
    """The concept that the probe asks for and the study's models were to forget; "" where there is none."""
    asked = (name for domain, name in study.forget_concepts.items() if probe.concepts.get(domain) == name)
    return next(asked, "")


def mentions(text: str, concept: str) -> bool:
    """Whether a text names a concept, as a word of its own."""
    return re.search(rf"\b{re.escape(concept)}\b", text, re.IGNORECASE) is not None


def real_picture(probe: Probe, study: Study) -> Path | None:
    """A real picture of what the probe asks for; None where the study has none.

    It is one of [denoising] `forget` with the probe's own prompt; else one whose text names all concepts of the probe;
    else one whose text names the forgotten one, or one of the folder that the judge of that concept is tested on. Which
    one of several is decided by the probe alone, the same for all models and attacks.
    """
    concept = forgotten_in(probe, study)
    named = study.denoising.forget if study.denoising is not None else ""
    pictures = _pictures(named, _changed(named)) if named else ()
    asked = probe.prompt.strip().casefold()
    choices: list[list[Path]] = [
        [each.path for each in pictures if each.prompt.strip().casefold() == asked],
        [
            each.path
            for each in pictures
            if probe.concepts and all(mentions(each.prompt, name) for name in probe.concepts.values())
        ],
        [each.path for each in pictures if concept and mentions(each.prompt, concept)],
        _of_judge(study, concept) if concept else [],
    ]
    found = next((sorted(each) for each in choices if each), [])
    return found[int(blake3(probe.digest().encode()).hexdigest(), 16) % len(found)] if found else None


@functools.lru_cache(maxsize=4)
def _pictures(folder: str, _: int) -> tuple[RealPicture, ...]:
    """Every probe of every attack looks into the same folder; its second argument is when that changed."""
    try:
        return tuple(real_pictures(Path(folder)))
    except StudyError:
        return ()


def _changed(folder: str) -> int:
    files = (Path(folder) / name for name in METADATA)
    return next((file.stat().st_mtime_ns for file in files if file.is_file()), 0)


def _of_judge(study: Study, concept: str) -> list[Path]:
    """Pictures of a concept among those that its judge is tested on."""
    domains = [domain for domain, name in study.forget_concepts.items() if name == concept]
    folders = [Path(judge.real) / concept for judge in study.judges if judge.domain in domains and judge.real]
    return [
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if path.suffix.lower() in FILES
    ]
