"""Metrics of denoising losses on real pictures: what a diffusion model still fits, and whom it still remembers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from backends.metrics.card import MetricCard, StudyMetric

Losses = NDArray[np.float64]


def loss_difference(model: Losses, original: Losses) -> Losses:
    """Per picture: mean over timesteps of the model's loss minus the original's, shape (N,), of arrays (N, T)."""
    difference: Losses = (model - original).mean(axis=1)
    return difference


def mean_losses(losses: Losses) -> Losses:
    """Per picture, over timesteps, shape (N,), of (N, T): the score of the loss attack, lower means more like a member.

    Source: Matsumoto et al. 2023; Carlini et al. 2023, section 5.2.
    """
    means: Losses = losses.mean(axis=1)
    return means


DENOISING_DIFFERENCE = StudyMetric(
    MetricCard(
        key="denoising_difference",
        title="Denoising loss above the original's",
        question="forgetting",
        modality="image",
        formula=r"\frac{1}{n}\sum_i \frac{1}{T}\sum_t \ell_t(x_i; \theta) - \ell_t(x_i; \theta_{\text{original}})",
        reading="How much worse the model predicts the noise in real pictures, with the same noise. Higher means more "
        "forgotten on forget pictures, and harm elsewhere.",
        on_forget="higher",
        elsewhere="lower",
        low=-math.inf,
        high=None,
        ideal="the retained model's value on forget pictures, 0 elsewhere",
        needs=("[denoising] with pictures of the role",),
        source="own; the loss of Ho et al. 2020, eq. 14, at the study's timesteps, paired with the original's",
        roles=frozenset({"forget", "retain", "holdout"}),
    )
)

DENOISING_AUC = StudyMetric(
    MetricCard(
        key="denoising_auc",
        title="Membership from denoising loss (AUC)",
        question="privacy",
        modality="image",
        formula=r"P\left(\bar\ell(x_{\text{forget}}) < \bar\ell(x_{\text{holdout}})\right)",
        reading="Probability that a forget picture has a lower loss than an unseen one: at .5 they are "
        "indistinguishable, above it the pictures are still remembered, below it they stand out as "
        "erased.",
        on_forget="lower",
        elsewhere="lower",
        low=0.0,
        high=1.0,
        ideal="the retained model's value",
        needs=("[denoising] with forget and holdout pictures",),
        source="Matsumoto et al. 2023; Carlini et al. 2023: loss threshold attack, losses averaged over timesteps",
        roles=frozenset({"forget"}),
        interval="auc",
    )
)
