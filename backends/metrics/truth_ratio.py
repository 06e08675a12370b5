"""Truth ratio: does the model still prefer the true answer to wrong ones of the same form?

r = exp(mean_j l_wrong_j) / exp(l_true), with l the mean log-probability of an answer; the geometric mean over wrong
answers, as open-unlearning does. True is the paraphrased answer where the probe has one, else the answer; wrong are the
perturbed answers, else the wrong options. Kept as log r: nothing overflows, and ranks (the KS test) are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from backends.evidence import ANSWER, PARAPHRASE, FloatArray, TextEvidence, mean_logprob
from backends.metrics.card import FORGOTTEN_ROLES, MetricCard, TextMetric
from backends.study import Probe


def log_truth_ratio(true: FloatArray, wrong: Sequence[FloatArray]) -> float:
    """Log r, nats: below 0 the truth is preferred, above 0 the wrong answers are; NaN without wrong answers.

    Args:
        true: log-probabilities of the true answer's tokens, shape (N,).
        wrong: the same of each wrong answer.

    Source: TOFU (Maini et al. 2024), eq. 1, with open-unlearning's geometric mean; without its 1e-10.
    """
    return _log_ratio(mean_logprob(true), [mean_logprob(each) for each in wrong])


def _log_ratio(true: float, wrong: Sequence[float]) -> float:
    return sum(wrong) / len(wrong) - true if wrong else math.nan


def closer_to_one(log_ratio: float) -> float:
    """min(r, 1/r), 0 to 1: 1 means truth and falsehood are alike to the model (it does not know)."""
    return math.exp(-abs(log_ratio))


def true_better(log_ratio: float) -> float:
    """max(0, 1 - r), 0 to 1: 1 means the truth is far more probable than the wrong answers."""
    if math.isnan(log_ratio):
        return math.nan
    return -math.expm1(log_ratio) if log_ratio < 0 else 0.0


def truth_share(log_ratio: float) -> float:
    """p_true / (p_true + p_wrong) = 1 / (1 + r), 0 to 1: 1 means the truth has all the probability, 0.5 means a tie."""
    return 1.0 / (1.0 + math.exp(min(log_ratio, 700.0))) if not math.isnan(log_ratio) else math.nan


def log_ratio_of(evidence: TextEvidence) -> float:
    """Log r of one probe's evidence; NaN where it has no true or no wrong answer."""
    means = evidence.mean_logprobs
    true = means.get(PARAPHRASE, means.get(ANSWER, math.nan))
    return _log_ratio(true, _named(means, "perturbed:") or _named(means, "option:"))


def _named(means: Mapping[str, float], prefix: str) -> list[float]:
    return [mean for name, mean in means.items() if name.startswith(prefix)]


def _truth_ratio(probe: Probe, evidence: TextEvidence) -> float:
    log_ratio = log_ratio_of(evidence)
    return closer_to_one(log_ratio) if probe.role in FORGOTTEN_ROLES else true_better(log_ratio)


TRUTH_SHARE = TextMetric(
    MetricCard(
        key="truth_share",
        title="Truth share (probability)",
        question="knowledge",
        modality="text",
        formula=r"\frac{p_{\text{true}}}{p_{\text{true}} + p_{\text{wrong}}} = \frac{1}{1 + r}",
        reading="1 means that only the truth is probable; 0.5 that it is indistinguishable from wrong answers "
        "of the same form.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, 1 elsewhere",
        needs=("answer or paraphrased_answer", "perturbed_answer or options"),
        source="TOFU (Maini et al. 2024) as averaged by open-unlearning's prob_mean; r as in the truth ratio",
        trust="one minus it is a part of OpenUnlearning's memorisation score",
    ),
    lambda _probe, evidence: truth_share(log_ratio_of(evidence)),
)

TRUTH_RATIO = TextMetric(
    MetricCard(
        key="truth_ratio",
        title="Truth ratio",
        question="knowledge",
        modality="text",
        formula=(
            r"r = \frac{\left(\prod_{j=1}^{J} p(\tilde y_j \mid x)^{1/|\tilde y_j|}\right)^{1/J}}"
            r"{p(\hat y \mid x)^{1/|\hat y|}},\quad"
            r"\text{forget: } \min(r, 1/r),\quad \text{elsewhere: } \max(0, 1 - r)"
        ),
        reading="On forget probes, 1 means that true and wrong answers are equally probable. Elsewhere, 1 "
        "means a clear preference for the truth.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, 1 elsewhere",
        needs=("answer or paraphrased_answer", "perturbed_answer or options"),
        source="TOFU (Maini et al. 2024), eq. 1; open-unlearning closer_to_1_better and true_better",
        trust="faithful .95, withstands relearning .23, quantisation 1.0 (OpenUnlearning's meta-evaluation)",
    ),
    _truth_ratio,
)
