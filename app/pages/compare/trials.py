"""Which two answers a person sees next, on which side, and without names. Pure: no Streamlit, no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from backends.errors import CheckpointError
from backends.study import Probe, Study
from cache.store import Store
from cache.store.ratings import Rating
from cache.store.reading import evidence_for, images_for

CATCH_SHARE = 1 / 6
"""Of the trials show one model twice: who calls one side better was not looking."""

Shown = Mapping[tuple[str, str, int], str]
"""(model, probe id, seed) -> what is shown: an answer's text, or the hash of a picture."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Two answers to one probe.

    Attributes:
        probe: what was asked.
        seed: of both answers.
        left, right: models; equal in a catch trial.
    """

    probe: Probe
    seed: int
    left: str
    right: str


def recorded(study: Study, store: Store, models: Sequence[str], probes: Sequence[Probe]) -> Shown:
    """Finished answers, or pictures, that are in the cache under the study's own settings."""
    found: dict[tuple[str, str, int], str] = {}
    for model in models:
        try:
            if study.modality == "text":
                for probe_id, evidence in evidence_for(study, store, model, probes, pieces=False).items():
                    for answer in evidence.answers:
                        found[model, probe_id, answer.seed] = answer.text
            else:
                for probe_id, pictures in images_for(study, store, model, probes, study.sampling).items():
                    for seed, picture in pictures.items():
                        found[model, probe_id, seed] = picture.image
        except CheckpointError:
            continue  # nothing of it can be in the cache
    return found


def next_trial(
    models: Sequence[str], probes: Sequence[Probe], shown: Shown, rated: Sequence[Rating], random: Random
) -> Trial | None:
    """A comparison that was rated least often; None where no two models have different answers to one probe.

    Args:
        models: to be compared.
        probes: to choose from.
        shown: what there is to show.
        rated: what was rated so far, by whoever rates now.
        random: decides between equals, on the sides, and on catch trials.
    """
    seeds = sorted({seed for _, _, seed in shown})
    open_trials = [
        Trial(probe, seed, first, second)
        for probe in probes
        for seed in seeds
        for first, second in combinations(models, 2)
        if _differ(shown, probe, seed, first, second)
    ]
    if not open_trials:
        return None
    counts = Counter(_place(each.probe, each.seed, each.left, each.right) for each in rated)
    fewest = min(counts[_of(trial)] for trial in open_trials)
    trial = random.choice([each for each in open_trials if counts[_of(each)] == fewest])
    left, right = random.sample((trial.left, trial.right), 2)
    if random.random() < CATCH_SHARE:
        right = left
    return Trial(trial.probe, trial.seed, left, right)


def _differ(shown: Shown, probe: Probe, seed: int, first: str, second: str) -> bool:
    ours, theirs = (shown.get((model, probe.id, seed)) for model in (first, second))
    return ours is not None and theirs is not None and ours != theirs


def _of(trial: Trial) -> tuple[str, int, str, str]:
    return _place(trial.probe.digest(), trial.seed, trial.left, trial.right)


def _place(probe: str, seed: int, left: str, right: str) -> tuple[str, int, str, str]:
    first, second = sorted((left, right))
    return probe, seed, first, second
