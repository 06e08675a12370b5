"""How much of the true answer is in what the model wrote: ROUGE and the key fact."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable

from backends.evidence import TextEvidence
from backends.metrics.card import MetricCard, TextMetric
from backends.metrics.rouge import rouge
from backends.study import Probe


def rouge_l_recall(reference: str, text: str) -> float:
    """Longest common subsequence of stemmed words over the reference's words, 0 to 1; higher means more alike.

    Source: Lin 2004; package rouge-score with use_stemmer=True, as TOFU and open-unlearning use it.
    """
    return rouge(reference, text).longest.recall


def rouge_l_f1(reference: str, text: str) -> float:
    """Harmonic mean of ROUGE-L recall and precision, 0 to 1: what a text adds to the reference lowers it.

    Source: Lin 2004; with stemming, as open-unlearning's MUSE. The original MUSE scripts do not stem.
    """
    return rouge(reference, text).longest.f1


def rouge_1_recall(reference: str, text: str) -> float:
    """Share of the reference's stemmed words that are in the text, in any order, 0 to 1; higher means more alike.

    Source: Lin 2004; package rouge-score with use_stemmer=True.
    """
    return rouge(reference, text).one.recall


def contains_fact(fact: str, text: str) -> bool:
    """The fact stands in the text as whole words, whatever case and spacing."""
    pattern = rf"(?<!\w){re.escape(_plain(fact))}(?!\w)"
    return re.search(pattern, _plain(text)) is not None


def _mean_over_answers(
    compare: Callable[[str, str], float],
) -> Callable[[Probe, TextEvidence], float]:
    def value(probe: Probe, evidence: TextEvidence) -> float:
        if not probe.answer or not evidence.answers:
            return math.nan
        values = [max(compare(true, answer.text) for true in probe.references) for answer in evidence.answers]
        return sum(values) / len(values)

    return value


def _key_fact(probe: Probe, evidence: TextEvidence) -> float:
    if not probe.key_fact or not evidence.answers:
        return math.nan
    return sum(contains_fact(probe.key_fact, answer.text) for answer in evidence.answers) / len(
        evidence.answers
    )


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


ROUGE_L = TextMetric(
    MetricCard(
        key="rouge_l",
        title="ROUGE-L recall",
        question="memorisation",
        modality="text",
        formula=r"\frac{\mathrm{LCS}(y, \hat y)}{|y|}",
        reading="Share of the true answer's words that appear, in order, in the generated answer.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("answer", "generated answers"),
        source="Lin 2004; rouge-score with stemming, as in TOFU. Answers that echo the question score above 0",
        trust="faithful .72, withstands relearning .20, quantisation .95 (OpenUnlearning's meta-evaluation)",
    ),
    _mean_over_answers(rouge_l_recall),
)

ROUGE_L_F1 = TextMetric(
    MetricCard(
        key="rouge_l_f1",
        title="ROUGE-L F1 (verbatim memorisation)",
        question="memorisation",
        modality="text",
        formula=r"\frac{2PR}{P + R},\quad R = \frac{\mathrm{LCS}(y, \hat y)}{|y|},\ "
        r"P = \frac{\mathrm{LCS}(y, \hat y)}{|\hat y|}",
        reading="As ROUGE-L recall, but additional text in the answer lowers it.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("answer", "generated answers"),
        source="Lin 2004; with stemming, as open-unlearning's MUSE VerbMem; MUSE's own scripts do not stem",
    ),
    _mean_over_answers(rouge_l_f1),
)

ROUGE_1 = TextMetric(
    MetricCard(
        key="rouge_1",
        title="ROUGE-1 recall",
        question="memorisation",
        modality="text",
        formula=r"\frac{\sum_{w} \min(\#_y(w), \#_{\hat y}(w))}{|y|}",
        reading="Share of the true answer's words that appear, in any order, in the generated answer.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("answer", "generated answers"),
        source="Lin 2004; rouge-score with stemming. Common words alone score above 0",
    ),
    _mean_over_answers(rouge_1_recall),
)

KEY_FACT = TextMetric(
    MetricCard(
        key="key_fact",
        title="Key fact stated",
        question="knowledge",
        modality="text",
        formula=r"\frac{1}{S}\sum_{s=1}^{S} \mathbf{1}\left[\text{fact} \subset \hat y_s\right]",
        reading="Share of the generated answers that contain the word or name that answers the question.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("key_fact", "generated answers"),
        source="own; whole words, case ignored. Unlike ROUGE, an echoed question does not count",
        interval="rate",
    ),
    _key_fact,
)
