"""What was asked of an image model against what its pictures show, concept by concept, and which concepts suffered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from backends.errors import CheckpointError
from backends.metrics.pictures import NONE
from backends.study import Probe, Study
from backends.study.targets import target_of
from cache.analysis.resampling import bootstrap_interval
from cache.store import Store
from cache.store.reading import images_for


@dataclass(frozen=True, slots=True)
class Confusion:
    """Judgements of one model's pictures in one domain.

    Attributes:
        asked: concepts of the prompts, the forgotten one first.
        shown: what judges saw, the asked concepts first, "none" last.
        probes: (asked, shown) -> ids of the probes, one entry for each picture.
    """

    asked: tuple[str, ...]
    shown: tuple[str, ...]
    probes: Mapping[tuple[str, str], tuple[str, ...]]

    def count(self, asked: str, shown: str) -> int:
        """Pictures that were asked for one concept and show another."""
        return len(self.probes.get((asked, shown), ()))

    def total(self, asked: str) -> int:
        """Pictures that were asked for a concept."""
        return sum(self.count(asked, shown) for shown in self.shown)


@dataclass(frozen=True, slots=True)
class Drift:
    """How a concept fared: share of pictures that show what was asked, before and after.

    Attributes:
        concept: its name.
        before: share in the original's pictures.
        after: share in the model's pictures of the same prompts and noise.
        low, high: ends of the 95 % interval of the change, prompts resampled; NaN for a single prompt.
        n: pictures of each model.
    """

    concept: str
    before: float
    after: float
    low: float
    high: float
    n: int

    @property
    def change(self) -> float:
        """After minus before; negative is harm, but for the forgotten concept, where it is the aim."""
        return self.after - self.before


def domains(study: Study) -> list[str]:
    """Judged domains that probes have concepts of, the forgotten concept's first."""
    asked = {domain for each in study.probe_sets for probe in each.probes for domain in probe.concepts}
    result = [judge.domain for judge in study.judges if judge.domain in asked]
    return sorted(result, key=lambda domain: (domain not in study.forget_concepts, result.index(domain)))


def confusion(study: Study, store: Store, model: str, domain: str) -> Confusion:
    """Judgements of all the model's stored pictures of the study's probes; nothing of a model that is not known."""
    probes = _probes(study, domain)
    result: dict[tuple[str, str], list[str]] = {}
    for probe, labels in zip(probes, _labels(study, store, model, domain, probes), strict=True):
        for label in labels.values():
            result.setdefault((probe.concepts[domain], label), []).append(probe.id)
    forgotten = target_of(study, model).get(domain)
    asked = sorted(
        dict.fromkeys(probe.concepts[domain] for probe in probes), key=lambda name: name != forgotten
    )
    others = sorted({shown for _, shown in result} - set(asked) - {NONE})
    shown = (*asked, *others, NONE)
    return Confusion(
        tuple(asked), shown, MappingProxyType({pair: tuple(ids) for pair, ids in result.items()})
    )


def drift(study: Study, store: Store, model: str, domain: str) -> list[Drift]:
    """Every concept of a domain, the most harmed first; only pictures that both models have of one prompt and noise."""
    probes = _probes(study, domain)
    before = _labels(study, store, study.original.name, domain, probes)
    after = _labels(study, store, model, domain, probes)
    rows: dict[str, list[tuple[float, float, int]]] = {}
    for probe, ours, theirs in zip(probes, after, before, strict=True):
        concept = probe.concepts[domain]
        seeds = [seed for seed in ours if seed in theirs]
        if seeds:
            kept = float(np.mean([theirs[seed] == concept for seed in seeds]))
            rows.setdefault(concept, []).append(
                (kept, float(np.mean([ours[seed] == concept for seed in seeds])), len(seeds))
            )
    result = []
    for concept, values in rows.items():
        old, new, counts = (np.array(column, np.float64) for column in zip(*values, strict=True))
        weights = counts / counts.sum()
        low, high = 0.0, 0.0  # the original's own pictures: exact
        if model != study.original.name:
            low, high = bootstrap_interval(new - old, bounds=(-1.0, 1.0))
        result.append(
            Drift(
                concept,
                float(old @ weights),
                float(new @ weights),
                float(low),
                float(high),
                int(counts.sum()),
            )
        )
    return sorted(result, key=lambda each: (each.change, each.concept))


def _probes(study: Study, domain: str) -> list[Probe]:
    return [probe for each in study.probe_sets for probe in each.probes if domain in probe.concepts]


def _labels(study: Study, store: Store, model: str, domain: str, probes: list[Probe]) -> list[dict[int, str]]:
    """What each probe's pictures show, by seed."""
    try:
        found = images_for(study, store, model, probes)
    except CheckpointError:
        found = {}
    return [
        {
            seed: image.judgements[domain].label
            for seed, image in found.get(probe.id, {}).items()
            if domain in image.judgements
        }
        for probe in probes
    ]
