"""How much a text varies: the n-gram entropy that model editing calls fluency."""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache

from backends.evidence import TextEvidence
from backends.metrics.card import MetricCard, TextMetric
from backends.study import Probe

WEIGHTS = {2: 2 / 3, 3: 4 / 3}
"""Length of the n-grams -> weight of their entropy, as in ROME and RWKU."""


def ngram_entropy(words: list[str], n: int) -> float:
    """Entropy of the n-grams of a text, bits, 0 and up; NaN where it has none.

    Args:
        words: its words and marks in order.
        n: length of the runs that are counted.
    """
    counts = Counter(zip(*(words[start:] for start in range(n)), strict=False))
    total = counts.total()
    if not total:
        return math.nan
    parts = {count: count / total * math.log2(count / total) for count in set(counts.values())}
    return -math.fsum(map(parts.__getitem__, counts.values()))


def fluency(text: str) -> float:
    """Mean of the weighted entropies of word pairs and triples, bits; higher means less repetition.

    (2/3 H_2 + 4/3 H_3) / 2. NaN for fewer than three words. Grows with the length of the text: at most about
    log2(words), so it compares answers of one length limit only.

    Source: Zhang et al. 2018; weights and mean as in ROME (Meng et al. 2022) and RWKU. Words by NLTK's Treebank rules,
    without its split into sentences, which needs a download: a full stop inside the text stays with its word.
    """
    words = list(_tokenizer()(text))
    return sum(weight * ngram_entropy(words, n) for n, weight in WEIGHTS.items()) / len(WEIGHTS)


@lru_cache(maxsize=1)
def _tokenizer():  # type: ignore[no-untyped-def]
    from nltk.tokenize import NLTKWordTokenizer

    return lru_cache(maxsize=20_000)(NLTKWordTokenizer().tokenize)


def _fluency(_probe: Probe, evidence: TextEvidence) -> float:
    values = [fluency(answer.text) for answer in evidence.answers]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


FLUENCY = TextMetric(
    MetricCard(
        key="fluency",
        title="Fluency (n-gram entropy)",
        question="collapse",
        modality="text",
        formula=r"\frac{1}{2}\left(\tfrac{2}{3} H_2 + \tfrac{4}{3} H_3\right),\quad H_n = -\sum_g p(g)\log_2 p(g)",
        reading="Diversity of the answer's n-grams, in bits: low values mean repetition. Short answers always "
        "score low.",
        on_forget="higher",
        elsewhere="higher",
        low=0.0,
        high=None,
        ideal="the original's value",
        needs=("generated answers",),
        source="Zhang et al. 2018; weights of ROME (Meng et al. 2022) and RWKU, Treebank words without sentence split",
        trust="compare only models whose answers have the same length limit; random words score high",
    ),
    _fluency,
)
