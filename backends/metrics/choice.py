"""Multiple choice without letters: is the true answer more probable than the wrong options?

Each option is scored by its length-normalised probability after the same prompt, as open-unlearning's
`probability_w_options` does for TOFU's real authors and world facts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from backends.evidence import ANSWER, TextEvidence
from backends.metrics.card import MetricCard, TextMetric
from backends.study import Probe


def choice_accuracy(true: float, wrong: Sequence[float]) -> float:
    """1 where the true answer is strictly the most probable, else 0; NaN without wrong options.

    Args:
        true: mean log-probability of the true answer's tokens, nats.
        wrong: the same of each wrong option.
    """
    return float(all(true > each for each in wrong)) if wrong else math.nan


def choice_probability(true: float, wrong: Sequence[float]) -> float:
    """Probability of the true answer over that of all options, 0 to 1; NaN without wrong options.

    Args:
        true: mean log-probability of the true answer's tokens, nats.
        wrong: the same of each wrong option.

    Source: TOFU (Maini et al. 2024), section 2.2.1, real authors and world facts.
    """
    if not wrong:
        return math.nan
    right = math.exp(true)
    everything = right + sum(map(math.exp, wrong))
    return right / everything if everything > 0 else math.nan


def split_options(probe: Probe, evidence: TextEvidence) -> tuple[float, list[float]] | None:
    """Mean log-probabilities of the true answer and of the wrong options, nats; None where one of them is missing.

    Utility probes without options have their perturbed answers instead: TOFU's real authors and world facts.
    """
    kinds = ("option:", "perturbed:") if probe.role == "utility" else ("option:",)
    means = evidence.mean_logprobs
    for kind in kinds:
        wrong = [mean for name, mean in means.items() if name.startswith(kind)]
        if wrong and ANSWER in means:
            return means[ANSWER], wrong
    return None


def _choice_accuracy(probe: Probe, evidence: TextEvidence) -> float:
    options = split_options(probe, evidence)
    return choice_accuracy(*options) if options else math.nan


def _choice_probability(probe: Probe, evidence: TextEvidence) -> float:
    options = split_options(probe, evidence)
    return choice_probability(*options) if options else math.nan


CHOICE_ACCURACY = TextMetric(
    MetricCard(
        key="choice_accuracy",
        title="Multiple-choice accuracy",
        question="utility",
        modality="text",
        formula=r"\mathbf{1}\left[p(y)^{1/|y|} > \max_j p(\tilde y_j)^{1/|\tilde y_j|}\right]",
        reading="Share of questions where the true answer is more probable than every wrong option.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="chance (1 / number of options) on forget probes, the original's value elsewhere",
        needs=("answer", "options"),
        source="length-normalised likelihood choice; differs from WMDP and MMLU, which score the letters A to D",
        interval="rate",
    ),
    _choice_accuracy,
)

CHOICE_PROBABILITY = TextMetric(
    MetricCard(
        key="choice_probability",
        title="Probability among the options",
        question="utility",
        modality="text",
        formula=r"\frac{p(y)^{1/|y|}}{p(y)^{1/|y|} + \sum_j p(\tilde y_j)^{1/|\tilde y_j|}}",
        reading="Probability of the true option over that of all options.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="chance (1 / number of options) on forget probes, the original's value elsewhere",
        needs=("answer", "options"),
        source="TOFU (Maini et al. 2024), real authors and world facts; without the end-of-turn token",
    ),
    _choice_probability,
)
