"""ROUGE is that of the package rouge-score, counted in another way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from backends.metrics.rouge import common_subsequence, rouge

WORDS = st.lists(st.sampled_from(["a", "running", "runs", "cat", "Cats", "é", "-", "x1", "of"]), max_size=40)
TEXTS = WORDS.map(" ".join)


@given(TEXTS, TEXTS, st.booleans())
def test_every_number_is_that_of_the_package(reference: str, text: str, stemmed: bool) -> None:
    theirs = RougeScorer(["rouge1", "rougeL"], use_stemmer=stemmed).score(reference, text)
    ours = rouge(reference, text, stemmed=stemmed)
    for own, other in ((ours.one, theirs["rouge1"]), (ours.longest, theirs["rougeL"])):
        assert (own.recall, own.precision, own.f1) == (other.recall, other.precision, other.fmeasure)


@given(st.text(max_size=80), st.text(max_size=80))
def test_texts_of_any_kind_are_cut_into_words_as_the_package_does(reference: str, text: str) -> None:
    theirs = RougeScorer(["rougeL"], use_stemmer=True).score(reference, text)["rougeL"]
    assert rouge(reference, text).longest.recall == theirs.recall


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [("", "a", 0), ("a", "", 0), ("a b c", "c b a", 1), ("a b c d", "b x d", 2), ("a a a", "a a", 2)],
)
def test_the_longest_common_subsequence_keeps_the_order(first: str, second: str, length: int) -> None:
    assert common_subsequence(first.split(), second.split()) == length


def test_a_subsequence_may_be_longer_than_a_machine_word() -> None:
    words = [str(n) for n in range(300)]
    assert common_subsequence(words, words) == 300
    assert common_subsequence(words, words[::2]) == 150
