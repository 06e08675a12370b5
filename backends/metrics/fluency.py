"""How much a text varies: the n-gram entropy that model editing calls fluency."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from itertools import chain

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
    total = len(words) - n + 1
    if total <= 0:
        return math.nan
    runs = list(zip(*(words[start:] for start in range(n)), strict=False))
    if len(set(runs)) == total:
        return math.log2(total)
    counts = Counter(runs)
    equal = Counter(counts.values())  # nearly all are there once
    return -math.fsum(times * (count / total * math.log2(count / total)) for count, times in equal.items())


def fluency(text: str) -> float:
    """Mean of the weighted entropies of word pairs and triples, bits; higher means less repetition.

    (2/3 H_2 + 4/3 H_3) / 2. NaN for fewer than three words. Grows with the length of the text: at most about
    log2(words), so it compares answers of one length limit only.

    Source: Zhang et al. 2018; weights and mean as in ROME (Meng et al. 2022) and RWKU. Words by NLTK's Treebank rules,
    without its split into sentences, which needs a download: a full stop inside the text stays with its word.
    """
    words = tokens(text)
    return sum(weight * ngram_entropy(words, n) for n, weight in WEIGHTS.items()) / len(WEIGHTS)


def tokens(text: str) -> list[str]:
    """Words and marks of a text, as `NLTKWordTokenizer` cuts it.

    Its thirty rules look at the whole text, but what they do to a word between two spaces depends on other words in few
    cases only: such texts go through them whole, of the others each word once.
    """
    parts = text.split()
    if not parts or _MAY_REACH_FURTHER.search(text):
        return list(_tokenizer().tokenize(text))
    *before, last = parts
    return [*chain.from_iterable(map(_inside, before)), *_at_end(last)]


_MAY_REACH_FURTHER = re.compile(r"""["`]|''|'[^\S ]|[\x1c-\x1f\x85]|(?:^|\s)[\])}>'»”’]+\s*$""")
"""Double quotes, which open at the beginning and behind spaces only; a quote before a line's end; separators that the
rules take for letters; closing marks alone at the end, where the rule for the last full stop looks behind them."""


@lru_cache(maxsize=100_000)
def _inside(word: str) -> tuple[str, ...]:
    """Of a word that others follow."""
    return tuple(_tokenizer().tokenize(f"x {word} x")[1:-1])


@lru_cache(maxsize=100_000)
def _at_end(word: str) -> tuple[str, ...]:
    """Of the last word of a text."""
    return tuple(_tokenizer().tokenize(f"x {word}")[1:])


@lru_cache(maxsize=1)
def _tokenizer():  # type: ignore[no-untyped-def]
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


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
