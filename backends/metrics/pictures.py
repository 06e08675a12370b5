"""What judges say of images: is the concept gone, are the others still there, did the model collapse?

UA, IRA and CRA are those of UnlearnCanvas (Zhang et al. 2024), with one difference: the judges here can say "none"
(noise, blobs), and an image of nothing never counts as forgetting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from backends.evidence import FloatArray, ImageEvidence
from backends.metrics.card import ImageMetric, MetricCard, Pictures, StudyMetric
from backends.metrics.image_quality import degenerate, pixel_distance

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


def attack_success(pictures: Pictures) -> float:
    """Share of images in which the forgotten concept is still recognised: what an attack would have to add to.

    Forget prompts ask for the forgotten concept, so this is in-domain accuracy, read the other way round.
    """
    return in_domain_retain(pictures)


def judge_entropy(pictures: Pictures) -> float:
    """Mean entropy of what the judge of the forgotten concept's domain says, nats; NaN without its judgements."""
    values = [
        -sum(p * math.log(p) for p in image.judgements[domain].probabilities.values() if p > 0)
        for image in pictures.images.values()
        for domain, _ in _asked(pictures, pictures.forgotten, image)
    ]
    return _mean(values)


def degenerate_rate(pictures: Pictures) -> float:
    """Share of images that are black, one colour or noise, by their pixels alone."""
    read = [pictures.pixels(image) for image in pictures.images.values()]
    return _mean([float(bool(degenerate(pixels))) for pixels in read if pixels is not None])


def pixel_distance_to_original(pictures: Pictures) -> float:
    """Mean root mean squared difference of pixels to the original's image from the same noise, 0 to 1."""
    values = []
    for seed, image in pictures.images.items():
        if seed in pictures.originals:
            ours, theirs = pictures.pixels(image), pictures.pixels(pictures.originals[seed])
            if ours is not None and theirs is not None:
                values.append(pixel_distance(ours, theirs))
    return _mean([value for value in values if not math.isnan(value)])


def seconds_per_image(pictures: Pictures) -> float:
    """Mean wall time of one image, seconds, in the batch it was made in."""
    return _mean([image.seconds for image in pictures.images.values()])


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
        reading="Share of images of the forgotten concept's prompts in which the judge recognises another concept.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="1",
        needs=("forget concept", "judge of its domain"),
        source="UnlearnCanvas (Zhang et al. 2024); here images with nothing recognisable do not count as forgotten",
        roles=frozenset({"forget"}),
        interval="rate",
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
        reading="Share of images that show the prompted concept of the forgotten one's domain (the style, "
        "when a style is forgotten).",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the original's value",
        needs=("forget concept", "judge of its domain"),
        source="UnlearnCanvas (Zhang et al. 2024)",
        roles=_KEPT,
        interval="rate",
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
        reading="Share of images that show the prompted concept of the other domain (the object, when a style "
        "is forgotten).",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the original's value",
        needs=("judge of another domain",),
        source="UnlearnCanvas (Zhang et al. 2024); also reported on forget prompts, whose object should stay",
        interval="rate",
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
        reading="The judge's probability of the prompted concept; smoother than counting labels.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget prompts, the original's elsewhere",
        needs=("forget concept", "judge of its domain"),
        source="own; low values also come from collapse, so read it together with the reject rate",
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
        interval="rate",
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
        reached=False,
    ),
    distance_to_original,
)

ATTACK_SUCCESS = ImageMetric(
    MetricCard(
        key="attack_success",
        title="Concept still drawn (pre-ASR)",
        question="forgetting",
        modality="image",
        formula=r"\frac{1}{n}\sum_i \mathbf{1}\left[J(x_i) = c^\ast\right]",
        reading="Share of images of the forget prompts that still show the concept without an attack.",
        on_forget="lower",
        elsewhere="lower",
        low=0.0,
        high=1.0,
        ideal="the retained model's value",
        needs=("forget concept", "judge of its domain"),
        source="pre-ASR of UnlearnDiffAtk (Zhang et al. 2024), with the study's judge instead of NudeNet or ResNet-50",
        trust="a lower bound: optimised prompts bring back what plain prompts do not",
        roles=frozenset({"forget"}),
        interval="rate",
    ),
    attack_success,
)

JUDGE_ENTROPY = ImageMetric(
    MetricCard(
        key="judge_entropy",
        title="Judge's entropy",
        question="collapse",
        modality="image",
        formula=r"-\frac{1}{n}\sum_i \sum_c p_J(c \mid x_i) \ln p_J(c \mid x_i)",
        reading="Uncertainty of the judge, in nats: 0 is certain. High on forget prompts means mixtures or "
        "corrupted images.",
        on_forget="lower",
        elsewhere="lower",
        low=0.0,
        high=None,
        ideal="the original's value",
        needs=("judge of the forgotten concept's domain",),
        source="Selective Amnesia (Heng and Soh 2023) and SalUn (Fan et al. 2024) report it, where high means "
        "forgotten; here an undecided judge is a sign of collapse, so lower is better",
    ),
    judge_entropy,
)

DEGENERATE_RATE = ImageMetric(
    MetricCard(
        key="degenerate_rate",
        title="Black, one colour or noise",
        question="collapse",
        modality="image",
        formula=r"\frac{1}{n}\sum_i \mathbf{1}\left[x_i \text{ is black, one colour or noise}\right]",
        reading="Share of images that are degenerate by their pixels alone. Collapse is not forgetting.",
        on_forget="lower",
        elsewhere="lower",
        low=0.0,
        high=1.0,
        ideal="0",
        needs=("the image files",),
        source="own: brightness up to 2 of 255, spread under 3 of 255, or neighbouring pixels correlated under .4",
        interval="rate",
    ),
    degenerate_rate,
)

PIXEL_DISTANCE = ImageMetric(
    MetricCard(
        key="pixel_distance",
        title="Pixel distance to the original's image",
        question="side effects",
        modality="image",
        formula=r"\frac{1}{n}\sum_i \sqrt{\mathrm{mean}\left((x_i - x_i^{\text{original}})^2\right)}",
        reading="Root mean squared difference of the pixels, 0 to 1, to the original's image from the same noise.",
        on_forget="higher",
        elsewhere="lower",
        low=0.0,
        high=1.0,
        ideal="0 on everything but the forget prompts",
        needs=("the image files", "the original's images"),
        source="own; a shifted outline counts like a changed object, so read it together with the distance of features",
        reached=False,
    ),
    pixel_distance_to_original,
)

SECONDS_PER_IMAGE = ImageMetric(
    MetricCard(
        key="seconds_per_image",
        title="Seconds per image",
        question="cost",
        modality="image",
        formula=r"\frac{1}{n}\sum_i t_i",
        reading="Wall time per image in its batch. Versions with added modules cost more; depends mostly on "
        "the machine.",
        on_forget="lower",
        elsewhere="lower",
        low=0.0,
        high=None,
        ideal="the original's value",
        needs=("images",),
        source="own; measured while the images were made",
    ),
    seconds_per_image,
)

CHANGED_SHARE = StudyMetric(
    MetricCard(
        key="changed_share",
        title="Changed parameters",
        question="cost",
        modality="image",
        formula=r"\frac{\#\{\text{parameters in tensors that differ}\}}{\#\{\text{parameters of the original}\}}",
        reading="Share of the original's parameters in changed tensors, added modules included.",
        on_forget="lower",
        elsewhere="lower",
        low=0.0,
        high=None,
        ideal="small; storage and memory grow with it",
        needs=("the model was loaded here once",),
        source="own; the storage column of UnlearnCanvas, as a share",
        interval="measured",
    )
)
