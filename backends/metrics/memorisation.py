"""How well a model knows given answers token by token: probability, exact memorisation, extraction strength.

All are over the answer's tokens without the end-of-turn token. Open-unlearning's probability includes it (its
memorisation scores do not); here the end's log-probability is kept apart, so that a metric of the answer does not move
with the habit of ending a turn.
"""

from __future__ import annotations

import math

import numpy as np

from backends.evidence import ANSWER, PARAPHRASE, BoolArray, FloatArray, TextEvidence, mean_logprob
from backends.metrics.card import MetricCard, TextMetric
from backends.study import Probe


def probability(logprobs: FloatArray) -> float:
    """Length-normalised probability of an answer, exp((1/N) sum log p), 0 to 1; higher means better known.

    Args:
        logprobs: shape (N,), nats.

    Source: TOFU (Maini et al. 2024), section 2.2.1, P(a|q)^(1/|a|).
    """
    return math.exp(mean_logprob(logprobs))


def exact_memorization(hits: BoolArray) -> float:
    """Share of answer tokens that are the model's first choice, 0 to 1; higher means better memorised.

    Args:
        hits: shape (N,), argmax equals reference token.

    Source: Tirumala et al. 2022, eq. 1.
    """
    return int(np.count_nonzero(hits)) / len(hits) if len(hits) else math.nan


def extraction_strength(hits: BoolArray) -> float:
    """Share of the answer that the model completes on its own, greedily: 0 recites nothing, 1 recites all.

    ES = 1 - k / N, with k the smallest prefix length from which every argmax equals the reference token. A model whose
    last token is wrong has k = N and scores a true 0; open-unlearning stops at k = N - 1 and gives it 1 / N.

    Args:
        hits: shape (N,), argmax equals reference token.

    Source: Carlini et al. 2021; Wang et al. 2025, eq. 3.
    """
    if not len(hits):
        return math.nan
    if hits.all():
        return 1.0
    return 1.0 - (len(hits) - int(hits[::-1].argmin())) / len(hits)


def _probability(_probe: Probe, evidence: TextEvidence) -> float:
    return math.exp(evidence.mean_logprobs.get(ANSWER, math.nan))


def _paraphrased_probability(_probe: Probe, evidence: TextEvidence) -> float:
    return math.exp(evidence.mean_logprobs.get(PARAPHRASE, math.nan))


def _loss(_probe: Probe, evidence: TextEvidence) -> float:
    return -evidence.mean_logprobs.get(ANSWER, math.nan)


def _exact_memorization(_probe: Probe, evidence: TextEvidence) -> float:
    return exact_memorization(evidence.scores[ANSWER].hits) if ANSWER in evidence.scores else math.nan


def _extraction_strength(_probe: Probe, evidence: TextEvidence) -> float:
    return extraction_strength(evidence.scores[ANSWER].hits) if ANSWER in evidence.scores else math.nan


PROBABILITY = TextMetric(
    MetricCard(
        key="probability",
        title="Probability of the true answer",
        question="memorisation",
        modality="text",
        formula=r"\exp\left(\frac{1}{N}\sum_{t=1}^{N} \log p(y_t \mid x, y_{<t})\right)",
        reading="Geometric mean of the probabilities of the true answer's tokens.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("answer",),
        source="TOFU (Maini et al. 2024), without the end-of-turn token",
        trust="faithful .82, withstands relearning .64, quantisation .92 (OpenUnlearning's meta-evaluation)",
    ),
    _probability,
)

PARAPHRASED_PROBABILITY = TextMetric(
    MetricCard(
        key="paraphrased_probability",
        title="Probability of the paraphrased answer",
        question="memorisation",
        modality="text",
        formula=r"\exp\left(\frac{1}{N}\sum_{t=1}^{N} \log p(\hat y_t \mid x, \hat y_{<t})\right)",
        reading="Probability of a paraphrase of the true answer: knowledge that does not depend on one wording.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("paraphrased_answer",),
        source="TOFU (Maini et al. 2024), without the end-of-turn token",
    ),
    _paraphrased_probability,
)

LOSS = TextMetric(
    MetricCard(
        key="loss",
        title="Log perplexity of the true answer",
        question="memorisation",
        modality="text",
        formula=r"-\frac{1}{N}\sum_{t=1}^{N} \log p(y_t \mid x, y_{<t})",
        reading="Mean loss per token, in nats; its exponential is the perplexity.",
        on_forget="higher",
        elsewhere="lower",
        low=0.0,
        high=None,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("answer",),
        source="cross-entropy without the end-of-turn token; averaged over probes before any exponential",
        trust="unbounded: far above the retained model's value is damage, not forgetting",
    ),
    _loss,
)

EXACT_MEMORIZATION = TextMetric(
    MetricCard(
        key="exact_memorization",
        title="Exact memorisation",
        question="memorisation",
        modality="text",
        formula=r"\frac{1}{N}\sum_{t=1}^{N} \mathbf{1}\left[\arg\max p(\cdot \mid x, y_{<t}) = y_t\right]",
        reading="Share of the true answer's tokens that are the model's first choice, given the true tokens before.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("answer",),
        source="Tirumala et al. 2022, without the end-of-turn token",
        trust="faithful .82, withstands relearning .61, quantisation .98 (OpenUnlearning's meta-evaluation)",
    ),
    _exact_memorization,
)

EXTRACTION_STRENGTH = TextMetric(
    MetricCard(
        key="extraction_strength",
        title="Extraction strength",
        question="memorisation",
        modality="text",
        formula=r"1 - \frac{1}{N}\min\left\{k : \forall t > k,\ \arg\max p(\cdot \mid x, y_{<t}) = y_t\right\}",
        reading="Share of the true answer that the model completes on its own from the shortest sufficient beginning.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("answer",),
        source="Carlini et al. 2021; Wang et al. 2025, eq. 3; a wrong last token gives 0, not 1/N",
        trust="faithful .89, withstands relearning .77, quantisation .97 (OpenUnlearning's meta-evaluation)",
    ),
    _extraction_strength,
)
