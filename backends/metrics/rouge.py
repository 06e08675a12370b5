"""ROUGE-1 and ROUGE-L of two texts: the numbers of the package rouge-score, in a tenth of its time.

Words come from that package (lower case, stems of NLTK's Porter stemmer where they are asked for), once for each word
between spaces, since few recur often. What it counts in a table of Python lists, the longest common subsequence, is
counted here in the bits of integers, a word at a time. What is known of a reference is kept for the next model's text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
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
    theirs, ours = _reference(reference, stemmed), _words(text, stemmed)
    counts = Counter(ours)
    shared = sum(min(counts[word], theirs.counts[word]) for word in counts.keys() & theirs.counts.keys())
    common = theirs.common(ours)
    return Rouge(_overlap(shared, theirs.length, len(ours)), _overlap(common, theirs.length, len(ours)))


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Source: the bit-vector algorithm of Hyyrö 2004: bit i of the row is 0 where the best subsequence of the words so far
    grows at word i of `first`; addition carries the growth on to the next place of each word.
    """
    return _Reference.of(first).common(second)


class _Reference(NamedTuple):
    """What is asked of a text that others are compared with.

    Attributes:
        length: its words.
        counts: word -> how often.
        places: word -> a bit for each of its places.
    """

    length: int
    counts: Counter[str]
    places: dict[str, int]

    @classmethod
    def of(cls, words: Sequence[str]) -> _Reference:
        places: dict[str, int] = {}
        for place, word in enumerate(words):
            places[word] = places.get(word, 0) | (1 << place)
        return cls(len(words), Counter(words), places)

    def common(self, words: Sequence[str]) -> int:
        """Length of the longest common subsequence with these words."""
        whole = (1 << self.length) - 1
        row, places = whole, self.places
        for word in words:
            if word in places:
                here = row & places[word]
                row = ((row + here) | (row - here)) & whole
        return self.length - row.bit_count()


@lru_cache(maxsize=20_000)
def _reference(text: str, stemmed: bool) -> _Reference:
    return _Reference.of(_words(text, stemmed))


def _overlap(shared: int, reference: int, text: int) -> Overlap:
    return Overlap(shared / max(reference, 1), shared / max(text, 1))


def _words(text: str, stemmed: bool) -> list[str]:
    """Words of a text; what lies between two spaces is cut up without a look at the rest."""
    return list(chain.from_iterable(map(_cut(stemmed), text.split())))


@lru_cache(maxsize=2)
def _cut(stemmed: bool) -> Callable[[str], tuple[str, ...]]:
    from rouge_score.tokenize import tokenize

    stemmer = _Stemmer() if stemmed else None
    return lru_cache(maxsize=100_000)(lambda part: tuple(tokenize(part, stemmer)))


class _Stemmer:
    """NLTK's Porter stemmer, which remembers stems."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.stem = lru_cache(maxsize=100_000)(PorterStemmer().stem)
