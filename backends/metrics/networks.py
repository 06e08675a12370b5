"""What networks beside the judges say of images: do they fit the prompt, how far are they from the original's?

Everything is computed from vectors and distances that were kept; no network is known here.
"""

from __future__ import annotations

import math

import numpy as np

from backends.evidence import FloatArray
from backends.image.networks.named import CLIP, LPIPS, pair_subject, text_subject
from backends.metrics.card import ImageMetric, MetricCard, Pictures


def scaled_cosine(image: FloatArray, text: FloatArray) -> float:
    """100 max(cos(image, text), 0) of two embeddings of shape (D,), 0 to 100; NaN where one is zero or D differs.

    Source: Hessel et al. 2021, with torchmetrics' factor 100 in place of 2.5. Clipped image by image, as in the
    paper; torchmetrics clips the mean.
    """
    left, right = image.astype(np.float64), text.astype(np.float64)
    if not left.size or left.shape != right.shape:
        return math.nan
    norm = float(np.linalg.norm(left) * np.linalg.norm(right))
    return 100 * max(float(left @ right) / norm, 0.0) if norm > 0 else math.nan


def clip_score(pictures: Pictures) -> float:
    """Mean CLIP score of the images with their prompt; NaN where CLIP has not seen them."""
    text = pictures.features.get((CLIP, text_subject(pictures.probe.prompt)))
    if text is None:
        return math.nan
    seen = [pictures.features.get((CLIP, image.image)) for image in pictures.images.values()]
    return _mean([scaled_cosine(each, text) for each in seen if each is not None])


def perceptual_distance(pictures: Pictures) -> float:
    """Mean LPIPS distance to the original's image from the same noise; NaN where it was not measured."""
    result = [
        pictures.features.get((LPIPS, pair_subject(image.image, pictures.originals[seed].image)))
        for seed, image in pictures.images.items()
        if seed in pictures.originals
    ]
    return _mean([float(each[0]) for each in result if each is not None])


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


CLIP_SCORE = ImageMetric(
    MetricCard(
        key="clip_score",
        title="CLIP score with the prompt",
        question="utility",
        modality="image",
        formula=r"\frac{1}{n}\sum_i 100 \max\left(\cos\left(f_{\text{image}}(x_i), "
        r"f_{\text{text}}(\text{prompt}_i)\right), 0\right)",
        reading="How well the images fit their prompt, according to the study's CLIP model. Values of "
        "different CLIP models cannot be compared.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=100.0,
        ideal="the retained model's value on forget prompts, the original's elsewhere",
        needs=("[features] clip", "the image files"),
        source="Hessel et al. 2021, times 100 instead of 2.5 as in torchmetrics; clipped at 0 image by image; "
        "prompts are cut off at CLIP's length",
        trust="low values also come from collapse, so read it together with the reject rate",
        reached=False,
    ),
    clip_score,
)

PERCEPTUAL_DISTANCE = ImageMetric(
    MetricCard(
        key="lpips",
        title="LPIPS distance to the original's image",
        question="side effects",
        modality="image",
        formula=r"\frac{1}{n}\sum_i \sum_l \frac{1}{H_l W_l}\sum_{h,w}"
        r"\left\lVert w_l \odot (\hat y^l_{hw} - \hat y^l_{0hw}) \right\rVert_2^2",
        reading="Perceptual difference to the original's image from the same noise, learned from human judgements "
        "of distortions. 0 means identical.",
        on_forget="higher",
        elsewhere="lower",
        low=0.0,
        high=None,
        ideal="0 on everything but the forget prompts",
        needs=("[features] lpips", "the image files", "the original's images"),
        source="Zhang et al. 2018, by the package lpips (version 0.1 of its weights) with the network that the "
        "study names; as ESD and UCE report it, on images of the size they were made in, enlarged to 64 pixels where "
        "they are smaller",
        trust="learned from distortions of one picture, so far apart it says little about how far",
    ),
    perceptual_distance,
)
