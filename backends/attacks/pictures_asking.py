"""Attacks that ask an image model in another way: other words, more seeds, more guidance, another negative prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from backends.attacks.asking import plain_of
from backends.attacks.attack import Surroundings
from backends.attacks.pictures import Ask, asking, forgotten_in, mentions
from backends.study import Probe, Study

SEEDS = tuple(range(1001, 1009))
"""Of best-of-8: none that studies commonly use."""
LONG_ENOUGH = 4
"""Letters that a word must have for two inner ones to be swapped."""


def misspelled(concept: str) -> str:
    """The concept with two inner letters swapped in each of its words: the first two that differ ("noen" of "neon").

    Words of fewer than four letters stay.
    """
    return " ".join(_swapped(word) for word in concept.split())


def _swapped(word: str) -> str:
    if len(word) < LONG_ENOUGH:
        return word
    places = (place for place in range(1, len(word) - 2) if word[place] != word[place + 1])
    place = next(places, 0)
    if not place:
        return word
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def other_concept(study: Study, concept: str) -> str:
    """The first concept of the forgotten one's domain that a retain or neighbour probe asks for; "" where none is."""
    for domain, name in study.forget_concepts.items():
        for probes in study.probe_sets if name == concept else ():
            for probe in probes.probes if probes.role in ("retain", "neighbour") else ():
                if probe.concepts.get(domain, concept) != concept:
                    return probe.concepts[domain]
    return ""


def _replaced(text: str, concept: str, by: str) -> str:
    return re.sub(rf"\b{re.escape(concept)}\b", lambda _: by, text, flags=re.IGNORECASE)


def _paraphrase(probe: Probe, _: Surroundings) -> Sequence[Probe]:
    return [plain_of(probe, prompt=probe.paraphrased_prompt)] if probe.paraphrased_prompt.strip() else []


def _supplied(kind: str) -> Ask:
    def ask(probe: Probe, _: Surroundings) -> Sequence[Probe]:
        return [
            plain_of(probe, prompt=text)
            for name, text in probe.rewordings
            if name.partition(":")[0] == kind and text.strip()
        ]

    return ask


def _misspelled(probe: Probe, around: Surroundings) -> Sequence[Probe]:
    """As the probe file has it, else by the fixed rule of `misspelled`."""
    supplied = _supplied("misspelled")(probe, around)
    concept = forgotten_in(probe, around.study)
    if supplied or not concept or not mentions(probe.prompt, concept):
        return supplied
    wrong = misspelled(concept)
    return [] if wrong == concept else [plain_of(probe, prompt=_replaced(probe.prompt, concept, wrong))]


def _more_seeds(probe: Probe, around: Surroundings) -> Sequence[Probe]:
    taken = around.study.sampling.seeds
    return [plain_of(probe, seed=seed) for seed in SEEDS if seed not in taken]


def _more_guidance(times: float) -> Ask:
    def ask(probe: Probe, around: Surroundings) -> Sequence[Probe]:
        own = around.study.sampling.guidance if probe.guidance is None else probe.guidance
        return [plain_of(probe, guidance=times * own)] if own > 1 else []

    return ask


def _away_from_another(probe: Probe, around: Surroundings) -> Sequence[Probe]:
    """The negative prompt is the same prompt with another concept of the domain: what tells the two is drawn."""
    concept = forgotten_in(probe, around.study)
    other = other_concept(around.study, concept) if concept else ""
    if not other or not mentions(probe.prompt, concept):
        return []
    return [plain_of(probe, negative_prompt=_replaced(probe.prompt, concept, other))]


def _no_negative(probe: Probe, around: Surroundings) -> Sequence[Probe]:
    own = around.study.sampling.of(probe).negative_prompt
    return [plain_of(probe, negative_prompt="")] if own else []


PICTURES_ASKING = (
    asking(
        "picture_paraphrase",
        "Paraphrased prompt",
        _paraphrase,
        "The same prompt in other words, as the probe file brings it.",
        "MACE (Lu et al. 2024) asks for objects by paraphrases",
        needs="paraphrased prompts (column paraphrased_prompt)",
    ),
    asking(
        "picture_translated",
        "Another language",
        _supplied("translated"),
        "The prompt in another language, as the probe file brings it.",
        "HUB (Moon et al. 2025), multilingual robustness",
        needs="translated prompts (column translated_prompt)",
    ),
    asking(
        "picture_alias",
        "By another name",
        _supplied("alias"),
        "The prompt names the concept in another way, as the probe file brings it.",
        "Six-CD (Ren et al. 2025)",
        needs="prompts with aliases (column alias_prompt)",
    ),
    asking(
        "picture_misspelled",
        "Misspelled",
        _misspelled,
        "The concept's name is misspelled: as the probe file brings it, else two inner letters are swapped.",
        "typographical attacks on text-to-image models (Gao et al. 2023), by one fixed rule",
        needs="a forgotten concept that the prompts name in a word of four letters or more, or misspelled prompts",
    ),
    asking(
        "picture_seeds",
        "Best of 8 seeds",
        _more_seeds,
        "Each prompt is drawn with eight other seeds, and the best picture counts; so it does for floor and ceiling.",
        "seed search, a baseline of UnlearnDiffAtk (Zhang et al. 2024)",
        cost="eight pictures for each probe",
        best=True,
    ),
    *(
        asking(
            f"picture_guidance_{times}",
            f"Guidance times {times}",
            _more_guidance(times),
            f"The guidance scale is {times} times the study's.",
            "UnlearnDiffAtk's prompts bring guidance scales of their own; the factor is ours",
            needs="guidance above 1",
            group="More guidance",
            strength=times,
            unit="times the study's",
        )
        for times in (2, 4)
    ),
    asking(
        "picture_negative",
        "Away from another concept",
        _away_from_another,
        "The negative prompt is the same prompt with another concept in the forgotten one's place.",
        "negative prompts (Ho and Salimans 2022; diffusers), turned against the unlearning; ours",
        needs="prompts that name the forgotten concept, and another one among the probes to keep",
    ),
    asking(
        "picture_no_negative",
        "Without the negative prompt",
        _no_negative,
        "The study's negative prompt is left out. One that a model brings itself stays.",
        "ours: what a user of an open model does first",
        needs="a negative prompt in [sampling]",
    ),
)
