"""Metrics of a whole model, made of other metrics' values: model utility and forget quality."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from backends.metrics.card import MetricCard, StudyMetric
from backends.study import Modality, Probe

UTILITY_PARTS: Mapping[Modality, tuple[str, ...]] = MappingProxyType(
    {
        "text": (
            "retain/probability",
            "retain/rouge_l",
            "retain/truth_ratio",
            "utility/choice_probability",
            "utility/rouge_l",
            "utility/truth_ratio",
        ),
        "image": ("retain/in_domain_retain", "retain/cross_domain_retain"),
    }
)
"""What model utility is the harmonic mean of, where the study has it."""


FORGETTING_PARTS = ("extraction_strength", "exact_memorization", "paraphrased_probability")
"""What the memorisation score takes one minus of, beside the truth ratio."""


def memorisation_parts(
    values: Mapping[str, NDArray[np.float64]], log_truth_ratios: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Per-probe parts of the memorisation score, 0 to 1, 1 where nothing of the answer is left.

    One minus each of extraction strength, exact memorisation, paraphrased probability, and p / (p + p_wrong), which is
    1 / (1 + r) of the truth ratio r.

    Args:
        values: metric -> one value for each forget probe, shape (N,).
        log_truth_ratios: log r, shape (N,).

    Returns:
        Shape (4, N).
    """
    unsure = 1.0 / (1.0 + np.exp(-log_truth_ratios))
    return np.stack([*(1.0 - values[part] for part in FORGETTING_PARTS), unsure])


def part_applies(metric: str, probe: Probe, judged: Collection[str], forgotten: Collection[str]) -> bool:
    """Whether a part of model utility can have a value on this probe, once it is evaluated.

    Args:
        metric: key of the part's metric.
        probe: of the part's role.
        judged: domains that the study's judges name.
        forgotten: domains that the study's forgotten concepts belong to.
    """
    if metric in ("in_domain_retain", "cross_domain_retain"):
        wanted = (
            set(judged) & set(forgotten) if metric == "in_domain_retain" else set(judged) - set(forgotten)
        )
        return bool(wanted & set(probe.concepts))
    has = {
        "truth_ratio": bool(probe.perturbed_answers or probe.options),
        "choice_probability": bool(probe.options or (probe.role == "utility" and probe.perturbed_answers)),
    }
    return bool(probe.answer) and has.get(metric, True)


def harmonic_mean(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Harmonic mean over the first axis; a zero gives 0, a NaN gives NaN, nothing at all gives NaN.

    Args:
        values: shape (P,) or (P, B), each 0 to 1.

    Returns:
        Shape () or (B,); higher means more useful. One part near 0 pulls all of it down.
    """
    parts = np.asarray(values, np.float64)
    if parts.shape[0] == 0:
        return np.full(parts.shape[1:], np.nan)
    with np.errstate(divide="ignore"):
        mean = parts.shape[0] / np.sum(1.0 / parts, axis=0)
    return np.asarray(mean)


def forget_quality(ours: NDArray[np.float64], retained: NDArray[np.float64]) -> float:
    """p-value of the two-sample Kolmogorov-Smirnov test between truth ratios, 0 to 1.

    Near 1 the model cannot be told from one that never saw the forget set; near 0 it can. It saturates, and depends on
    the number of probes: compare it within one study only. Log ratios may be given, the test sees ranks only.

    Args:
        ours: truth ratios of the model on the forget probes, shape (N,); NaN are left out.
        retained: the same of the retained model.

    Source: TOFU (Maini et al. 2024), section 2.2.2.
    """
    from scipy.stats import ks_2samp

    ours, retained = ours[~np.isnan(ours)], retained[~np.isnan(retained)]
    if not len(ours) or not len(retained):
        return math.nan
    with warnings.catch_warnings():
        # Rounding can push SciPy's exact p-value past 1; it then says so and takes the asymptotic one, which will do.
        warnings.filterwarnings("ignore", "ks_2samp: Exact calculation unsuccessful", RuntimeWarning)
        return float(ks_2samp(ours, retained).pvalue)


MODEL_UTILITY = StudyMetric(
    MetricCard(
        key="model_utility",
        title="Model utility",
        question="utility",
        modality="text",
        formula=r"\frac{P}{\sum_{i=1}^{P} 1/u_i}",
        reading="Harmonic mean of the metrics on what should be kept; one lost ability pulls it down.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the original's value",
        needs=("retain or utility probes",),
        source=(
            "TOFU (Maini et al. 2024) takes nine parts: probability, ROUGE and truth ratio on retain, real authors and "
            "world facts. Here: those on retain, and on each utility probe set; only parts the study has"
        ),
        roles=frozenset({"all"}),
        interval="harmonic",
    )
)

FORGET_QUALITY = StudyMetric(
    MetricCard(
        key="forget_quality",
        p_value=True,
        title="Forget quality (p-value)",
        question="forgetting",
        modality="text",
        formula=r"p_{\mathrm{KS}}\left(\{r_i\}_{\text{model}}, \{r_i\}_{\text{retained}}\right)",
        reading="Near 1: indistinguishable from the retained model. It is a p-value: it saturates, and grows "
        "with fewer probes.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="1",
        needs=("retained model", "truth ratio on forget probes"),
        source="TOFU (Maini et al. 2024), section 2.2.2; two-sample Kolmogorov-Smirnov, not its logarithm",
        roles=frozenset({"forget"}),
        interval="p-value",
    )
)

MEMORISATION = StudyMetric(
    MetricCard(
        key="memorisation",
        title="Memorisation score (1 = forgotten)",
        question="forgetting",
        modality="text",
        formula=(
            r"\mathrm{HM}\left(1 - \mathrm{ES},\ 1 - \mathrm{EM},\ 1 - p_{\text{para}},\ 1 - \tfrac{1}{1 + r}\right)"
        ),
        reading="Harmonic mean of four measures of what is left of the forget set; a single one that still "
        "finds it pulls the score down.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value",
        needs=("answer", "paraphrased_answer", "perturbed_answer"),
        source=(
            "OpenUnlearning's overall benchmark (mem), with this tool's extraction strength (a true zero) and answers "
            "without the end-of-turn token"
        ),
        roles=frozenset({"forget"}),
        interval="harmonic",
    )
)
