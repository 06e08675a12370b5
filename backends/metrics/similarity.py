"""How much of the true answer is in what the model wrote: ROUGE-L recall and the key fact."""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from backends.evidence import TextEvidence
from backends.metrics.card import MetricCard, TextMetric
from backends.study import Probe

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer


def rouge_l_recall(reference: str, text: str) -> float:
    """Longest common subsequence of stemmed words over the reference's words, 0 to 1; higher means more alike.

    Source: Lin 2004; package rouge-score with use_stemmer=True, as TOFU and open-unlearning use it.
    """
    return float(_scorer().score(reference, text)["rougeL"].recall)


def contains_fact(fact: str, text: str) -> bool:
    """The fact stands in the text as whole words, whatever case and spacing."""
    pattern = rf"(?<!\w){re.escape(_plain(fact))}(?!\w)"
    return re.search(pattern, _plain(text)) is not None


def _rouge_l(probe: Probe, evidence: TextEvidence) -> float:
    if not probe.answer or not evidence.answers:
        return math.nan
    values = [rouge_l_recall(probe.answer, answer.text) for answer in evidence.answers]
    return sum(values) / len(values)


def _key_fact(probe: Probe, evidence: TextEvidence) -> float:
    if not probe.key_fact or not evidence.answers:
        return math.nan
    return sum(contains_fact(probe.key_fact, answer.text) for answer in evidence.answers) / len(
        evidence.answers
    )


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


class _Tokenizer:
    """rouge-score's tokenizer, remembering texts and stems: both recur for every model, and stemming is slow."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.tokenize = lru_cache(maxsize=20_000)(self._tokenize)
        self.stem = lru_cache(maxsize=100_000)(PorterStemmer().stem)

    def _tokenize(self, text: str) -> list[str]:
        from rouge_score.tokenize import tokenize

        return list(tokenize(text, self))


@lru_cache(maxsize=1)
def _scorer() -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Tokenizer())


ROUGE_L = TextMetric(
    MetricCard(
        key="rouge_l",
        title="ROUGE-L recall",
        question="memorisation",
        modality="text",
        formula=r"\frac{\mathrm{LCS}(y, \hat y)}{|y|}",
        reading="Share of the true answer's words found, in order, in what the model wrote.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("answer", "generated answers"),
        source="Lin 2004; rouge-score with stemming, as in TOFU. Answers that echo the question score above 0",
        trust="faithful .72, withstands relearning .20, quantisation .95 (OpenUnlearning's meta-evaluation)",
    ),
    _rouge_l,
)

KEY_FACT = TextMetric(
    MetricCard(
        key="key_fact",
        title="Key fact stated",
        question="knowledge",
        modality="text",
        formula=r"\frac{1}{S}\sum_{s=1}^{S} \mathbf{1}\left[\text{fact} \subset \hat y_s\right]",
        reading="Share of the written answers that contain the one word or name that answers the question.",
        on_forget="lower",
        elsewhere="higher",
        low=0.0,
        high=1.0,
        ideal="the retained model's value on forget probes, the original's elsewhere",
        needs=("key_fact", "generated answers"),
        source="own; whole words, case ignored. Unlike ROUGE, an echoed question does not count",
    ),
    _key_fact,
)
