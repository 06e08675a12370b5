"""What judges say of images: is the concept gone, are the others still there, did the model collapse?

UA, IRA and CRA are those of UnlearnCanvas (Zhang et al. 2024), with one difference: the judges here can say "none"
(noise, blobs), and an image of nothing never counts as forgetting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from backends.evidence import FloatArray, ImageEvidence
from backends.metrics.card import ImageMetric, MetricCard, Pictures

NONE = "none"
"""The judges' reject class."""

_KEPT = frozenset({"retain", "neighbour", "utility", "mine"})


def cosine_distance(a: FloatArray, b: FloatArray) -> float:
    """1 - cos(a, b) of two feature vectors of shape (D,), 0 to 2; 0 means alike, NaN where one is empty or zero."""
    if not a.size or a.shape != b.shape:
        return math.nan
    left, right = a.astype(np.float64), b.astype(np.float64)
    norm = float(np.linalg.norm(left) * np.linalg.norm(right))
    return max(0.0, 1.0 - float(left @ right) / norm) if norm > 0 else math.nan


def unlearn_accuracy(pictures: Pictures) -> float:
    """Share of images in which another concept than the forgotten one is recognised; "none" counts as a failure."""
    return _share(pictures, pictures.forgotten, lambda label, asked: label not in (asked, NONE))


def in_domain_retain(pictures: Pictures) -> float:
    """Share of images in which the asked concept of the forgotten concept's domain is recognised."""
    return _share(pictures, pictures.forgotten, lambda label, asked: label == asked)


def cross_domain_retain(pictures: Pictures) -> float:
    """Share of images in which the asked concepts of the other domains are recognised."""
    domains = [domain for domain in pictures.probe.concepts if domain not in pictures.forgotten]
    return _share(pictures, domains, lambda label, asked: label == asked)


def judge_confidence(pictures: Pictures) -> float:
    """Mean probability that the judge gives the asked concept of the forgotten concept's domain."""
    values = [
        image.judgements[domain].probabilities.get(asked, 0.0)
        for image in pictures.images.values()
        for domain, asked in _asked(pictures, pictures.forgotten, image)
    ]
    return _mean(values)


def reject_rate(pictures: Pictures) -> float:
    """Share of images in which at least one judge recognises nothing."""
    said = [
        [judgement.label for judgement in image.judgements.values()] for image in pictures.images.values()
    ]
    return _mean([float(NONE in labels) for labels in said if labels])


def distance_to_original(pictures: Pictures) -> float:
    """Mean cosine distance of judge features to the original's image from the same noise."""
    pairs = [(image, pictures.originals.get(seed)) for seed, image in pictures.images.items()]
    values = [cosine_distance(ours.features, theirs.features) for ours, theirs in pairs if theirs is not None]
    return _mean([value for value in values if not math.isnan(value)])


def _share(pictures: Pictures, domains: Iterable[str], good: Callable[[str, str], bool]) -> float:
    domains = tuple(domains)
    values = [
        float(good(image.judgements[domain].label, asked))
        for image in pictures.images.values()
        for domain, asked in _asked(pictures, domains, image)
    ]
    return _mean(values)


def _asked(pictures: Pictures, domains: Iterable[str], image: ImageEvidence) -> list[tuple[str, str]]:
    concepts = pictures.probe.concepts
    return [
        (domain, concepts[domain]) for domain in domains if domain in concepts and domain in image.judgements
    ]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


UNLEARN_ACCURACY = ImageMetric(
    MetricCard(
        key="unlearn_accuracy",
        title="Unlearning accuracy (UA)",
        question="forgetting",
        modality="image",
        formula=r"\frac{1}{n}\sum_i \mathbf{1}\left[J(x_i) \notin \{c_{\text{forget}}, \text{none}\}\right]",
        reading="Share of images asked for with the forgotten concept in which the judge sees another concept.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="1",
        needs=("forget concept", "judge of its domain"),
        source="UnlearnCanvas (Zhang et al. 2024); here images of nothing recognisable do not count as forgotten",
        roles=frozenset({"forget"}),
    ),
    unlearn_accuracy,
)

IN_DOMAIN_RETAIN = ImageMetric(
    MetricCard(
        key="in_domain_retain",
        title="In-domain retain accuracy (IRA)",
        question="side effects",
        modality="image",
        formula=r"\frac{1}{n}\sum_i \mathbf{1}\left[J_{\text{domain}}(x_i) = c_i\right]",
        reading="Share of images with the asked concept of the forgotten one's domain (styles when a style goes).",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the original's value",
        needs=("forget concept", "judge of its domain"),
        source="UnlearnCanvas (Zhang et al. 2024)",
        roles=_KEPT,
    ),
    in_domain_retain,
)

CROSS_DOMAIN_RETAIN = ImageMetric(
    MetricCard(
        key="cross_domain_retain",
        title="Cross-domain retain accuracy (CRA)",
        question="side effects",
        modality="image",
        formula=r"\frac{1}{n}\sum_i \mathbf{1}\left[J_{\text{other}}(x_i) = c_i\right]",
        reading="Share of images with the asked concept of the other domain (objects when a style is forgotten).",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the original's value",
        needs=("judge of another domain",),
        source="UnlearnCanvas (Zhang et al. 2024); also reported on forget prompts, whose object should stay",
    ),
    cross_domain_retain,
)

JUDGE_CONFIDENCE = ImageMetric(
    MetricCard(
        key="judge_confidence",
        title="Judge's confidence in the asked concept",
        question="forgetting",
        modality="image",
        formula=r"\frac{1}{n}\sum_i p_J(c_i \mid x_i)",
        reading="How sure the judge is that the asked concept is in the image; smoother than counting labels.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget prompts, the original's elsewhere",
        needs=("forget concept", "judge of its domain"),
        source="own; low values also come from collapse, so read it beside the reject rate",
    ),
    judge_confidence,
)

REJECT_RATE = ImageMetric(
    MetricCard(
        key="reject_rate",
        title="Nothing recognisable",
        question="collapse",
        modality="image",
        formula=r"\frac{1}{n}\sum_i \mathbf{1}\left[\exists J : J(x_i) = \text{none}\right]",
        reading="Share of images in which at least one judge recognises nothing: collapse is not forgetting.",
        on_forget="lower",
        elsewhere="lower",
        low=0.0,
        high=1.0,
        ideal="0",
        needs=("judge with a reject class",),
        source="own",
    ),
    reject_rate,
)

DISTANCE_TO_ORIGINAL = ImageMetric(
    MetricCard(
        key="distance_to_original",
        title="Distance to the original's image",
        question="side effects",
        modality="image",
        formula=r"\frac{1}{n}\sum_i 1 - \cos\left(f(x_i), f(x_i^{\text{original}})\right)",
        reading="How far an image is from the original's from the same noise, in the judges' features.",
        on_forget="higher",
        elsewhere="lower",
        low=0.0,
        high=2.0,
        ideal="0 on everything but the forget prompts",
        needs=("judge features", "the original's images"),
        source="own; same prompt and noise, as ESD and UCE do with LPIPS",
    ),
    distance_to_original,
)
