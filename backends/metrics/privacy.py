"""Membership inference: can it be told from the model that the forget set was once trained on?

Each attack gives every probe one score from its token scores; higher means less like a training member. How well the
forget probes are told from the holdout probes (people of the same kind that no model was trained on) is the attack's
AUC. The measure of a well unlearned model is the retained model's AUC, not 0.5: the two sets may differ anyway.

All scores are over the answer's tokens without the end-of-turn token; open-unlearning's loss and zlib include it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.evidence import FloatArray, TokenScores, mean_logprob
from backends.metrics.card import MetricCard, StudyMetric

MIN_K_SHARE = 0.4
"""Share of the least probable tokens that Min-K % looks at; 0.4 as MUSE and open-unlearning have it."""

VARIANCE_FLOOR = 1e-6
"""Below this variance of log p, Min-K %++ divides by its root; as in open-unlearning."""


def loss_score(logprobs: FloatArray) -> float:
    """Mean negative log-likelihood of the answer, nats; NaN without tokens.

    Args:
        logprobs: shape (N,), nats.

    Source: Yeom et al. 2018.
    """
    return -mean_logprob(logprobs)


def zlib_score(logprobs: FloatArray, text: str) -> float:
    """Mean negative log-likelihood over the bytes of the zlib-compressed answer: plain texts are likely anyway.

    Args:
        logprobs: shape (N,), nats.
        text: the answer.

    Source: Carlini et al. 2021, section 4.2; as open-unlearning divides (mean, not sum, over the tokens).
    """
    return loss_score(logprobs) / _compressed_size(text)


@lru_cache(maxsize=20_000)  # every model is scored on the same answers
def _compressed_size(text: str) -> int:
    return len(zlib.compress(text.encode()))


def min_k_score(logprobs: FloatArray, share: float = MIN_K_SHARE) -> float:
    """Min-K %: minus the mean of the lowest log-probabilities, nats; NaN without tokens.

    Args:
        logprobs: shape (N,), nats.
        share: of the tokens that count; at least one does.

    Source: Shi et al. 2024, eq. 1.
    """
    return _lowest(logprobs, share)


def min_k_plus_plus_score(
    logprobs: FloatArray, mean: FloatArray, variance: FloatArray, share: float = MIN_K_SHARE
) -> float:
    """Min-K %++: as Min-K %, each log-probability first standardised by the model's own distribution at its place.

    Args:
        logprobs: shape (N,), nats.
        mean: expectation of log p under p, shape (N,).
        variance: variance of log p under p, shape (N,).
        share: of the tokens that count; at least one does.

    Source: Zhang et al. 2024, eq. 3.
    """
    standardised = (logprobs - mean) / np.sqrt(np.maximum(variance, VARIANCE_FLOOR))
    return _lowest(standardised, share)


def auc(forget: NDArray[np.float64], holdout: NDArray[np.float64]) -> float:
    """How often a holdout probe scores above a forget probe, ties half: the AUC of an attack; NaN without both.

    1 means that the forget set is plainly known, 0.5 that it cannot be told from the holdout.

    Args:
        forget: scores, shape (F,), NaN left out.
        holdout: scores, shape (H,), NaN left out.

    Source: Mann-Whitney; equals scikit-learn's `roc_auc_score` with 0 for forget and 1 for holdout.
    """
    forget, holdout = forget[~np.isnan(forget)], np.sort(holdout[~np.isnan(holdout)])
    if not len(forget) or not len(holdout):
        return math.nan
    below = sum(int(np.searchsorted(holdout, forget, side).sum()) for side in ("left", "right"))
    pairs = len(forget) * len(holdout)
    return (pairs - below / 2) / pairs


def _lowest(values: NDArray[np.floating[Any]], share: float) -> float:
    if not len(values):
        return math.nan
    count = max(1, int(len(values) * share))
    return -float(np.add.reduce(np.sort(values)[:count], dtype=np.float64)) / count


def _min_k_plus_plus(scores: TokenScores, _text: str) -> float:
    return min_k_plus_plus_score(scores.logprobs, scores.mean, scores.variance)


ATTACKS: Mapping[str, Callable[[TokenScores, str], float]] = MappingProxyType(
    {
        "mia_loss": lambda scores, _: -scores.mean_logprob,
        "mia_zlib": lambda scores, text: -scores.mean_logprob / _compressed_size(text),
        "mia_min_k": lambda scores, _: min_k_score(scores.logprobs),
        "mia_min_k_plus_plus": _min_k_plus_plus,
    }
)
"""Attack by the key of its metric: (token scores of the true answer, the answer) -> score."""


ATTACK_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "mia_loss": "loss",
        "mia_zlib": "zlib",
        "mia_min_k": "Min-40 %",
        "mia_min_k_plus_plus": "Min-40 %++",
        "mia_reference": "reference",
        "mia_gradnorm": "gradient norm",
    }
)
"""Every attack that has an AUC; the reference attack is made of two models' losses."""


def _auc_card(key: str, name: str, formula: str, source: str, trust: str, *needs: str) -> StudyMetric:
    return StudyMetric(
        MetricCard(
            key=key,
            title=f"Membership AUC, {name}",
            question="privacy",
            modality="text",
            formula=formula,
            reading="How well the attack separates the forget set from the holdout set: 1 means clearly "
            "memorised, 0.5 is chance.",
            on_forget="lower",
            elsewhere="lower",
            low=0.0,
            high=1.0,
            ideal="the retained model's value; below it, the model reveals that it was unlearned",
            needs=("answer", "holdout probes", *needs),
            source=source,
            trust=trust,
            roles=frozenset({"forget"}),
            interval="auc",
        )
    )


def _auc_formula(score: str) -> str:
    return rf"P\left(s_{{\text{{holdout}}}} > s_{{\text{{forget}}}}\right),\quad s = {score}"


MIA_REFERENCE = _auc_card(
    "mia_reference",
    "reference",
    _auc_formula(r"-\frac{1}{N}\sum_t \left(\log p_t - \log p_t^{\text{ret}}\right)"),
    "Carlini et al. 2021; the retained model is the reference, so its own value is 0.5 by definition",
    "",
    "retained model",
)
MIA_GRADNORM = replace(
    _auc_card(
        "mia_gradnorm",
        "gradient norm",
        _auc_formula(
            r"\frac{1}{|\theta|}\sum_{W \in \theta} \left\lVert \nabla_W \mathcal{L}(y \mid x) \right\rVert_2"
        ),
        "open-unlearning's mia_gradnorm (p = 2), with dropout off; one backward pass for each probe, so only on "
        "request",
        "",
        "`gradients = true` in the study",
    ),
    version=2,  # 1 counted the last label under open-unlearning's protocol
)
MIA_LOSS = _auc_card(
    "mia_loss",
    "loss",
    _auc_formula(r"-\frac{1}{N}\sum_t \log p_t"),
    "Yeom et al. 2018; without the end-of-turn token",
    "faithful .90, withstands relearning .52, quantisation .93 (OpenUnlearning's meta-evaluation)",
)
MIA_ZLIB = _auc_card(
    "mia_zlib",
    "zlib",
    _auc_formula(r"-\frac{1}{N}\sum_t \log p_t \,/\, |\mathrm{zlib}(y)|"),
    "Carlini et al. 2021, section 4.2; without the end-of-turn token",
    "",
)
MIA_MIN_K = _auc_card(
    "mia_min_k",
    "Min-40 %",
    _auc_formula(r"-\frac{1}{K}\sum_{t \in \text{lowest } K} \log p_t,\ K = 0.4 N"),
    "Shi et al. 2024, with k = 40 % as in MUSE",
    "faithful .91, withstands relearning .53, quantisation .92 (OpenUnlearning's meta-evaluation)",
)
MIA_MIN_K_PLUS_PLUS = _auc_card(
    "mia_min_k_plus_plus",
    "Min-40 %++",
    _auc_formula(r"-\frac{1}{K}\sum_{t \in \text{lowest } K} \frac{\log p_t - \mu_t}{\sigma_t}"),
    "Zhang et al. 2024, eq. 3, with k = 40 %",
    "",
)
