"""What a reader needs to know about a metric, as plain data, and the three shapes a metric can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backends.evidence import FloatArray, ImageEvidence, TextEvidence
from backends.study import Modality, Probe

Direction = Literal["lower", "higher", "zero", "neutral"]
"""Which values are better; zero: the nearer to 0, on either side; neutral: none, it describes and does not judge."""
Question = Literal[
    "memorisation", "knowledge", "utility", "forgetting", "privacy", "side effects", "collapse", "cost"
]
IntervalKind = Literal[
    "mean",
    "rate",
    "auc",
    "from AUCs",
    "match",
    "harmonic",
    "least",
    "relative",
    "extreme",
    "exact",
    "pictures",
    "no resamples",
    "p-value",
    "measured",
    "imported",
]
"""How a number gets its interval (`backends.metrics.intervals`)."""

DRAFT = 0
"""Version of a metric that is being tried out: its numbers are not kept, and follow every edit."""
FORGOTTEN_ROLES = frozenset({"forget", "holdout"})
"""Roles whose answers a well unlearned model does not know."""


@dataclass(frozen=True, slots=True)
class MetricCard:
    """What is measured and how to read it.

    Attributes:
        key: name in code and tables.
        title: name on axes.
        question: what it is evidence for.
        modality: of the studies that have it.
        formula: LaTeX.
        reading: one sentence for a person who sees a value.
        on_forget: which way is better on the forget probes.
        elsewhere: which way is better on all other probes.
        low: smallest possible value.
        high: largest possible value; None if there is none.
        ideal: what a perfectly unlearned model would have.
        needs: evidence and probe fields without which it is not defined.
        source: paper or code, with our deviations.
        trust: how far the field found it to be reliable; "" where nobody tested.
        roles: probe roles it is reported for; empty for all.
        p_value: its values are p-values, which differ by powers of ten.
        by_count: its values depend on how many pictures they are of.
        interval: how its numbers get their interval.
        reached: single values do come near both ends of the range. False where an end stands in the formula alone (a
            cosine below 0): an interval then takes the sample's own ends.
    """

    key: str
    title: str
    question: Question
    modality: Modality
    formula: str
    reading: str
    on_forget: Direction
    elsewhere: Direction
    low: float
    high: float | None
    ideal: str
    needs: tuple[str, ...]
    source: str
    trust: str = ""
    roles: frozenset[str] = frozenset()
    p_value: bool = False
    by_count: bool = False
    interval: IntervalKind = "mean"
    reached: bool = True

    def direction(self, role: str) -> Direction:
        """Which way is better on probes of this role: on forget probes, more forgotten is better."""
        return self.on_forget if role in FORGOTTEN_ROLES else self.elsewhere

    @property
    def reach(self) -> float | None:
        """Largest difference of two values; None if there is none."""
        return self.high - self.low if self.high is not None and np.isfinite(self.high - self.low) else None

    def reported_for(self, role: str) -> bool:
        """The metric has a value on probes of this role."""
        return not self.roles or role in self.roles


@dataclass(frozen=True, slots=True)
class Pictures:
    """What an image metric sees of one probe: the model's and the original's images by seed.

    Attributes:
        probe: the prompt and its concepts.
        images: seed -> what this model made.
        originals: seed -> what the original made from the same noise.
        forgotten: domain -> concept that was to be forgotten.
        pixels: reads an image, uint8 (H, W, 3); None where its file is gone.
        features: what networks made of images, prompts and pairs: (kind, subject) -> shape (D,), see
            `backends.image.networks.named`.
    """

    probe: Probe
    images: Mapping[int, ImageEvidence]
    originals: Mapping[int, ImageEvidence]
    forgotten: Mapping[str, str]
    pixels: Callable[[ImageEvidence], NDArray[np.uint8] | None] = lambda _: None
    features: Mapping[tuple[str, str], FloatArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextMetric:
    """One value for each probe from its text evidence, NaN where it is not defined; averaged over probes.

    Attributes:
        card: how to read it.
        value: of one probe.
        version: of the definition, those of other protocols included. Numbers are kept in caches: raise it whenever
            the definition gives other numbers, and they are computed again, those of this metric alone. `DRAFT` while
            it is being tried out.
    """

    card: MetricCard
    value: Callable[[Probe, TextEvidence], float]
    version: int = 1


@dataclass(frozen=True, slots=True)
class ImageMetric:
    """One value for each probe from its images (mean over seeds), NaN where not defined; averaged over probes.

    Attributes:
        card: how to read it.
        value: of one probe's images.
        version: as for `TextMetric`.
    """

    card: MetricCard
    value: Callable[[Pictures], float]
    version: int = 1


@dataclass(frozen=True, slots=True)
class StudyMetric:
    """One value for a model from other metrics' values; computed where those are.

    Attributes:
        card: how to read it.
        version: as for `TextMetric`; of a membership attack also of its scores, of a distance between sets of
            pictures also of its resamples.
    """

    card: MetricCard
    version: int = 1


Metric = TextMetric | ImageMetric | StudyMetric
